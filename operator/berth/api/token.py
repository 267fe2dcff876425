"""`AccessToken`: a login token, stored as its hash alone: safe in Git, useless if leaked."""

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
    """What a token may be used for, within the rights of its owner."""

    VIEW = "view"
    DOWNLOAD = "download"
    MODIFY = "modify"


class TokenOwner(ApiModel):
    """The owner of a token."""

    kind: Annotated[TokenOwnerKind, Field(description="User or Robot: a RegistryUser of that type. No default.")]
    name: Annotated[UserName, Field(description="metadata.name of the RegistryUser. No default.")]


Sha256 = Annotated[
    str,
    matching(
        SHA256_PATTERN,
        "must be the SHA-256 of the token in 64 lower-case hexadecimal digits: "
        "create one with kubectl berth token create",
        max_length=64,
    ),
]


class AccessTokenSpec(ApiModel):
    """The owner, the scopes and the expiry of a token."""

    owner: Annotated[
        TokenOwner, Field(description="Owner of the token, whose rights it has. Cannot be changed. No default.")
    ]
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
        Sha256, Field(description="SHA-256 of the whole secret, in hexadecimal digits. Cannot be changed. No default.")
    ]
    expires_at: Annotated[
        Time | None,
        Field(
            description="First time at which the token is no longer valid, RFC 3339. "
            "Default: valid until the object is deleted."
        ),
    ] = None
    description: Annotated[
        str | None, Field(max_length=500, description="Purpose of the token, in plain text. Default: none.")
    ] = None


class AccessTokenStatus(ObjectStatus):
    """The observed state of a token."""

    last_used: Annotated[
        Time | None,
        Field(description="Time of the last login with it, to the hour, RFC 3339. Absent: never."),
    ] = None


class AccessToken(Resource):
    """A token that logs its owner in, limited by its scopes. Deleting the object revokes it at once."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.spec.owner == oldSelf.spec.owner",
                "cannot be changed: delete this AccessToken and create another for the other owner",
                at=".spec.owner",
            ),
            rule(
                "self.spec.sha256 == oldSelf.spec.sha256",
                "cannot be changed: delete this AccessToken and create another for the other secret",
                at=".spec.sha256",
            ),
        )
    )

    kind: Literal["AccessToken"] = "AccessToken"
    spec: Annotated[AccessTokenSpec, Field(description="The owner, the scopes and the expiry of the token.")]
    status: Annotated[
        AccessTokenStatus, Field(description="The observed state of the token; written by Berth alone.")
    ] = AccessTokenStatus()
