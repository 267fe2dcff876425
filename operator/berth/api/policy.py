"""`AccessPolicy`: the effective permissions of a project or repository; generated, read by the access service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import Field

from berth.api.base import ApiModel, Resource, Time
from berth.api.names import PROJECT_ID_MAX_LENGTH, PROJECT_ID_PATTERN, pull_robot_name
from berth.api.project import PULL_SECRETS_MAX_ITEMS, Project
from berth.api.repository import DockerRepository
from berth.api.schema import ATOMIC, RepositoryPath
from berth.api.sharing import SHARING_MAX_ITEMS, Share, SharingLevel, SubjectKind
from berth.api.subjects import SubjectName


class PolicyState(StrEnum):
    """Whether the rules decide or every request is refused."""

    ACTIVE = "Active"
    TRASHED = "Trashed"
    SUSPENDED = "Suspended"


class Action(StrEnum):
    """An action that a level allows."""

    VIEW = "view"
    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    ADMINISTER = "administer"


class RuleSource(StrEnum):
    """The field that a rule comes from."""

    SHARING = "Sharing"
    LOCAL_SHARING = "LocalSharing"
    PULL_SECRET = "PullSecret"


_ORDER: Final = (
    (SharingLevel.VIEW, Action.VIEW),
    (SharingLevel.DOWNLOAD, Action.PULL),
    (SharingLevel.EDIT, Action.PUSH),
    (SharingLevel.EDIT_AND_DELETE, Action.DELETE),
    (SharingLevel.ADMINISTER, Action.ADMINISTER),
)
ACTIONS: Final[Mapping[SharingLevel, tuple[Action, ...]]] = {
    level: tuple(action for _, action in _ORDER[: position + 1]) for position, (level, _) in enumerate(_ORDER)
}
"""The actions that each level allows: its own and those of the levels before it."""


class PolicyRule(ApiModel):
    """One subject, its level and its actions."""

    kind: Annotated[SubjectKind, Field(description="Kind of subject, as in sharing.")]
    name: Annotated[
        SubjectName | None, Field(description="Name of the subject. Absent for AuthenticatedUsers and Public.")
    ] = None
    level: Annotated[SharingLevel, Field(description="The sharing level.")]
    actions: Annotated[
        tuple[Action, ...],
        Field(
            max_length=len(Action),
            description="Actions that the level allows, weakest first; push also needs a Certification. "
            "Absent: those of the level.",
            json_schema_extra=ATOMIC,
        ),
    ] = ()
    source: Annotated[
        RuleSource,
        Field(
            description="The field that gives the rule: Sharing or PullSecret (of the Project), or LocalSharing (of "
            "the DockerRepository). A rule for a Team applies to the members in its RegistryTeam."
        ),
    ]
    expires_at: Annotated[
        Time | None,
        Field(
            description="When the access ends unless it is renewed, RFC 3339: for PullSecret the expiry of the robot's "
            "newest token, which rotation extends. Absent: no end, or no token yet. The ends of certifications and "
            "logins are in RegistryUser (certifiedUntil), Certification and AccessToken."
        ),
    ] = None


def project_rules(
    project: Project, *, allow_public: bool, token_ends: Mapping[str, datetime] = MappingProxyType({})
) -> tuple[PolicyRule, ...]:
    """Every rule of a project: its sharing in the order of the spec, then the robots of its pull secrets.

    Entries for Public are left out unless the installation allows them. `token_ends` has the expiry of each robot's
    newest token. The generated policies and the offline policy tests both use this function.
    """
    return (
        *_shared(project.spec.sharing, RuleSource.SHARING, allow_public=allow_public),
        *_pull_secret_rules(project, token_ends),
    )


def local_rules(repository: DockerRepository, *, allow_public: bool) -> tuple[PolicyRule, ...] | None:
    """The rules of a repository with local sharing; None if it inherits its project's."""
    sharing = repository.spec.local_sharing
    return None if sharing is None else _shared(sharing, RuleSource.LOCAL_SHARING, allow_public=allow_public)


def _shared(sharing: Iterable[Share], source: RuleSource, *, allow_public: bool) -> tuple[PolicyRule, ...]:
    return tuple(
        PolicyRule(kind=share.kind, name=share.name, level=share.level, actions=ACTIONS[share.level], source=source)
        for share in sharing
        if allow_public or share.kind is not SubjectKind.PUBLIC
    )


def _pull_secret_rules(project: Project, token_ends: Mapping[str, datetime]) -> tuple[PolicyRule, ...]:
    """The rules for the robots of `spec.pullSecrets`: each may pull from what inherits the project's sharing."""
    level = SharingLevel.DOWNLOAD
    robots = [pull_robot_name(project.project_id, entry.namespace) for entry in project.spec.pull_secrets]
    return tuple(
        PolicyRule(
            kind=SubjectKind.ROBOT,
            name=robot,
            level=level,
            actions=ACTIONS[level],
            source=RuleSource.PULL_SECRET,
            expires_at=token_ends.get(robot),
        )
        for robot in robots
    )


SUMMARY_MAX_LENGTH: Final = 250


def rules_summary(rules: Iterable[PolicyRule]) -> str:
    """The rules on one line, for `kubectl get`: `User curator Administer, Team authors Edit`; cut if it is long.

    A rule from a pull secret has its source and its end: `Robot genomics.pull.analysis Download by PullSecret until
    2027-01-23`.
    """
    words = [_words(rule) for rule in rules]
    shown, length = 0, 0
    for word in words:
        length += len(word) + 2
        if length > SUMMARY_MAX_LENGTH - len(", and 200 more"):
            break
        shown += 1
    more = [f"and {len(words) - shown} more"] if shown < len(words) else []
    return ", ".join((*words[:shown], *more)) or "none"


def _words(rule: PolicyRule) -> str:
    source = f"by {rule.source}" if rule.source is RuleSource.PULL_SECRET else ""
    until = f"until {rule.expires_at.astimezone(UTC).date().isoformat()}" if rule.expires_at else ""
    return " ".join(word for word in (rule.kind, rule.name, rule.level, source, until) if word)


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
    summary: Annotated[
        str | None,
        Field(max_length=SUMMARY_MAX_LENGTH, description="The rules on one line. Absent: not written."),
    ] = None
    rules: Annotated[
        tuple[PolicyRule, ...],
        Field(
            max_length=SHARING_MAX_ITEMS + PULL_SECRETS_MAX_ITEMS,
            description="Subjects and their levels. A subject without a rule has no access. Default: none.",
            json_schema_extra=ATOMIC,
        ),
    ] = ()


class AccessPolicy(Resource):
    """The effective permissions of a project (name `project`) or of a repository with local sharing. Generated."""

    kind: Literal["AccessPolicy"] = "AccessPolicy"
    spec: Annotated[AccessPolicySpec, Field(description="The effective permissions; written by Berth alone.")]
