"""`RegistryUser`: a person or robot that may use the registry."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from berth.api.base import ApiModel, Resource, Time
from berth.api.schema import SET, USER_NAME_MAX_LENGTH, ObjectName, matching, rule, rules
from berth.api.status import ObjectStatus
from berth.api.subjects import SERVICE_ACCOUNT_MAX_LENGTH, SERVICE_ACCOUNT_PATTERN

DEFAULT_PASSWORD_KEY: Final = "passwordHash"

KubernetesName = Annotated[str, Field(min_length=1, max_length=256)]
ServiceAccountName = Annotated[
    str,
    matching(
        SERVICE_ACCOUNT_PATTERN,
        "must be the namespace and name of a ServiceAccount: write namespace/name, for example builders/ci",
        max_length=SERVICE_ACCOUNT_MAX_LENGTH,
    ),
]
SecretKey = Annotated[
    str,
    matching(
        r"^[-._a-zA-Z0-9]+$",
        "must be a key of a Secret: use letters, digits, hyphens, dots and underscores",
        max_length=253,
    ),
]


class UserType(StrEnum):
    """Person or machine."""

    PERSON = "Person"
    ROBOT = "Robot"


class SecretKeyReference(ApiModel):
    """A key of a Secret in Berth's namespace."""

    name: Annotated[ObjectName, Field(description="Name of the Secret in Berth's namespace. No default.")]
    key: Annotated[
        SecretKey,
        Field(
            description=f"Key with the argon2id or bcrypt hash. Default: {DEFAULT_PASSWORD_KEY}.",
        ),
    ] = DEFAULT_PASSWORD_KEY


class KubernetesIdentity(ApiModel):
    """The names of a user in the cluster and at the identity provider."""

    users: Annotated[
        tuple[KubernetesName, ...],
        Field(
            max_length=20,
            description="User names in the cluster and at the identity provider, with the prefix of the installation; "
            "a login with one of them acts as this user. Default: none.",
            json_schema_extra=SET,
        ),
    ] = ()
    groups: Annotated[
        tuple[KubernetesName, ...],
        Field(max_length=20, description="Groups in the cluster. Default: none.", json_schema_extra=SET),
    ] = ()
    service_accounts: Annotated[
        tuple[ServiceAccountName, ...],
        Field(
            max_length=20,
            description="ServiceAccounts as namespace/name; their Pods may push and pull as this user too. "
            "Default: none.",
            json_schema_extra=SET,
        ),
    ] = ()


class RegistryUserSpec(ApiModel):
    """The desired state of a user."""

    type: Annotated[UserType, Field(description="Person or Robot. Default: Person.")] = UserType.PERSON
    display_name: Annotated[
        str | None, Field(max_length=100, description="Name for people. Default: metadata.name.")
    ] = None
    disabled: Annotated[bool, Field(description="Refuse every request of this user at once. Default: false.")] = False
    password_secret_ref: Annotated[
        SecretKeyReference | None,
        Field(description="Secret with the hash of the password, never the password itself. Default: no password."),
    ] = None
    kubernetes: Annotated[
        KubernetesIdentity | None,
        Field(
            description="Names of the user in the cluster; members of a project get rights in its namespace under "
            "these names. Default: none."
        ),
    ] = None


class RegistryUserStatus(ObjectStatus):
    """The observed state of a user."""

    certified_until: Annotated[
        Time | None,
        Field(description="Latest end of the user's certifications, RFC 3339. Absent: none, or until withdrawn."),
    ] = None


class RegistryUser(Resource):
    """A person or robot that may use the registry. Its name is the user name for docker login."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                f"size(self.metadata.name) <= {USER_NAME_MAX_LENGTH}",
                f"is the user name for docker login: use at most {USER_NAME_MAX_LENGTH} characters",
                at=".metadata.name",
            ),
        )
    )

    kind: Literal["RegistryUser"] = "RegistryUser"
    spec: Annotated[RegistryUserSpec, Field(description="The desired state of the user. Default: all defaults.")] = (
        RegistryUserSpec()
    )
    status: Annotated[
        RegistryUserStatus, Field(description="The observed state of the user; written by Berth alone.")
    ] = RegistryUserStatus()
