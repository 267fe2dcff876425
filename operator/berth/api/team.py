"""`RegistryTeam`: users, robots, ServiceAccounts and groups that share rights."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from berth.api.base import ApiModel, Resource
from berth.api.schema import keyed_by, rule, rules
from berth.api.status import ObjectStatus
from berth.api.subjects import FORMS, SubjectName, name_rules

MEMBERS_MAX_ITEMS: Final = 1000


class MemberKind(StrEnum):
    """Kinds of subjects that can be in a team. Teams cannot, so there are no cycles."""

    USER = "User"
    ROBOT = "Robot"
    SERVICE_ACCOUNT = "ServiceAccount"
    GROUP = "Group"


class TeamMember(ApiModel):
    """One member of a team."""

    model_config = ConfigDict(json_schema_extra=rules(*name_rules(MemberKind)))

    kind: Annotated[
        MemberKind,
        Field(
            description="User or Robot: a RegistryUser of that type. ServiceAccount: of the cluster. Group: every "
            "login in this group of the identity provider. No default."
        ),
    ]
    name: Annotated[
        SubjectName,
        Field(
            description="metadata.name of the RegistryUser, namespace/name of the ServiceAccount, or the group. "
            "No default."
        ),
    ]


class RegistryTeamSpec(ApiModel):
    """The members of a team."""

    display_name: Annotated[
        str | None, Field(max_length=100, description="Name for people. Default: metadata.name.")
    ] = None
    members: Annotated[
        tuple[TeamMember, ...],
        Field(
            max_length=MEMBERS_MAX_ITEMS,
            description="The members, each once; several writers may each own some. Default: none.",
            json_schema_extra=keyed_by("kind", "name"),
        ),
    ] = ()


class RegistryTeamStatus(ObjectStatus):
    """The observed state of a team."""

    members: Annotated[int | None, Field(ge=0, description="Number of members. Absent: not counted yet.")] = None


class RegistryTeam(Resource):
    """Users, robots, ServiceAccounts and groups that share rights. A change takes effect at once, everywhere."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                f"size(self.metadata.name) <= {FORMS['Team'].max_length}",
                f"is the name in sharing lists: use at most {FORMS['Team'].max_length} characters",
                at=".metadata.name",
            ),
        )
    )

    kind: Literal["RegistryTeam"] = "RegistryTeam"
    spec: Annotated[RegistryTeamSpec, Field(description="The members of the team. Default: none.")] = RegistryTeamSpec()
    status: Annotated[
        RegistryTeamStatus, Field(description="The observed state of the team; written by Berth alone.")
    ] = RegistryTeamStatus()
