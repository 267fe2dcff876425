"""`AccessPolicy`: the effective permissions of a project or repository; generated, read by the access service."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from berth.api.base import ApiModel, Resource
from berth.api.names import PROJECT_ID_MAX_LENGTH, PROJECT_ID_PATTERN
from berth.api.schema import ATOMIC, RepositoryPath, UserName
from berth.api.sharing import SHARING_MAX_ITEMS, SharingLevel, SubjectKind


class PolicyState(StrEnum):
    """Whether requests are decided by the rules or refused altogether."""

    ACTIVE = "Active"
    TRASHED = "Trashed"
    SUSPENDED = "Suspended"


class PolicyAction(StrEnum):
    """What a level lets somebody do."""

    VIEW = "view"
    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    ADMINISTER = "administer"


class RuleSource(StrEnum):
    """The field that a rule comes from."""

    SHARING = "Sharing"
    LOCAL_SHARING = "LocalSharing"


class PolicyRule(ApiModel):
    """One subject and what it may do."""

    kind: Annotated[SubjectKind, Field(description="User or AuthenticatedUsers.")]
    name: Annotated[
        UserName | None, Field(description="metadata.name of the RegistryUser. Absent for AuthenticatedUsers.")
    ] = None
    level: Annotated[SharingLevel, Field(description="The sharing level.")]
    actions: Annotated[
        tuple[PolicyAction, ...],
        Field(
            max_length=len(PolicyAction),
            description="What the level lets the subject do, weakest first; push needs a Certification too.",
            json_schema_extra=ATOMIC,
        ),
    ] = ()
    source: Annotated[
        RuleSource,
        Field(description="Where it comes from: Sharing (of the Project) or LocalSharing (of the DockerRepository)."),
    ]


class AccessPolicySpec(ApiModel):
    """The effective permissions."""

    project: Annotated[
        str,
        Field(max_length=PROJECT_ID_MAX_LENGTH, pattern=PROJECT_ID_PATTERN, description="Project id."),
    ]
    repository: Annotated[
        RepositoryPath | None, Field(description="Repository path. Absent on the project's own policy.")
    ] = None
    state: Annotated[
        PolicyState,
        Field(description="Active: the rules decide. Trashed, Suspended: every request is refused. Default: Active."),
    ] = PolicyState.ACTIVE
    rules: Annotated[
        tuple[PolicyRule, ...],
        Field(
            max_length=SHARING_MAX_ITEMS,
            description="Who may do what; whoever is not named may do nothing. Default: nobody.",
            json_schema_extra=ATOMIC,
        ),
    ] = ()


class AccessPolicy(Resource):
    """The effective permissions of a project (name `project`) or of a repository with local sharing. Generated."""

    kind: Literal["AccessPolicy"] = "AccessPolicy"
    spec: Annotated[AccessPolicySpec, Field(description="The effective permissions; written by Berth alone.")]
