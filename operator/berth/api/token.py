"""`AccessToken`: a token with which somebody logs in, known by its hash alone: safe in Git, useless if leaked."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from berth.api.base import ApiModel, Resource, Time
from berth.api.schema import SET, UserName, matching, rule, rules
from berth.api.status import ObjectStatus

SHA256_PATTERN: Final = r"^[a-f0-9]{64}$"


class TokenOwnerKind(StrEnum):
    """Kinds of subjects that can own a token."""

    USER = "User"
    ROBOT = "Robot"


class TokenScope(StrEnum):
    """What a token may be used for, whatever its owner may do."""

    VIEW = "view"
    DOWNLOAD = "download"
    MODIFY = "modify"


class TokenOwner(ApiModel):
    """Whose token it is."""

    kind: Annotated[TokenOwnerKind, Field(description="User or Robot: a RegistryUser of that type. No default.")]
    name: Annotated[UserName, Field(description="metadata.name of the RegistryUser. No default.")]


Sha256 = Annotated[
    str,
    matching(
        SHA256_PATTERN,
        "must be the SHA-256 of the token in 64 lower-case hexadecimal digits: "
        "make one with kubectl berth token create",
        max_length=64,
    ),
]


class AccessTokenSpec(ApiModel):
    """Whose token it is, what it may be used for, and until when."""

    owner: Annotated[TokenOwner, Field(description="Whose rights it has. Can not be changed. No default.")]
    scopes: Annotated[
        tuple[TokenScope, ...],
        Field(
            min_length=1,
            max_length=len(TokenScope),
            description="view: see what the owner may see. download: pull. modify: delete, and with download push. "
            "No default.",
            json_schema_extra=SET,
        ),
    ]
    sha256: Annotated[
        Sha256, Field(description="SHA-256 of the whole secret, in hexadecimal digits. Can not be changed. No default.")
    ]
    expires_at: Annotated[
        Time | None,
        Field(description="First moment at which it no longer holds, RFC 3339. Default: until the object is deleted."),
    ] = None
    description: Annotated[
        str | None, Field(max_length=500, description="What it is for, for people. Default: none.")
    ] = None


class AccessTokenStatus(ObjectStatus):
    """What became of the token."""

    last_used: Annotated[
        Time | None,
        Field(description="When somebody last logged in with it, to the hour, RFC 3339. Absent: never, so far."),
    ] = None


class AccessToken(Resource):
    """A token that logs its owner in, for what its scopes allow. Deleting the object revokes it at once."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.spec.owner == oldSelf.spec.owner",
                "can not be changed: delete this AccessToken and make another for the other owner",
                at=".spec.owner",
            ),
            rule(
                "self.spec.sha256 == oldSelf.spec.sha256",
                "can not be changed: delete this AccessToken and make another for the other secret",
                at=".spec.sha256",
            ),
        )
    )

    kind: Literal["AccessToken"] = "AccessToken"
    spec: Annotated[AccessTokenSpec, Field(description="Whose token it is, what it may be used for, until when.")]
    status: Annotated[AccessTokenStatus, Field(description="What became of it; written by Berth alone.")] = (
        AccessTokenStatus()
    )
