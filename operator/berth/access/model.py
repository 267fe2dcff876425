"""The words of authorization: levels, actions, scopes, identities, the policy snapshot, the decision. Pure.

Everything here is frozen. A `Snapshot` is the whole present policy; whoever watches the cluster builds a new one
for each change and swaps the reference, so a decision never sees half a change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final

from berth.api.reasons import Reason


class Level(IntEnum):
    """Sharing levels, weakest first; each includes the ones before it."""

    VIEW = 1
    DOWNLOAD = 2
    EDIT = 3
    EDIT_AND_DELETE = 4
    ADMINISTER = 5

    @property
    def label(self) -> str:
        """The level as manifests write it: `View`, `Download`, `Edit`, `EditAndDelete`, `Administer`."""
        return _LEVEL_LABELS[self]


_LEVEL_LABELS: Final[dict[Level, str]] = {
    Level.VIEW: "View",
    Level.DOWNLOAD: "Download",
    Level.EDIT: "Edit",
    Level.EDIT_AND_DELETE: "EditAndDelete",
    Level.ADMINISTER: "Administer",
}


class Action(StrEnum):
    """What somebody wants to do with a repository (or, for `view`, with a project)."""

    VIEW = "view"
    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    ADMINISTER = "administer"


class TokenScope(StrEnum):
    """What a credential may be used for, whoever owns it."""

    VIEW = "view"
    DOWNLOAD = "download"
    MODIFY = "modify"


class SubjectKind(StrEnum):
    """Kinds of sharing subjects that this version decides on."""

    USER = "User"
    AUTHENTICATED_USERS = "AuthenticatedUsers"


class State(StrEnum):
    """The state of a project or repository as its `AccessPolicy` and its own spec say; the stricter one counts."""

    ACTIVE = "Active"
    SUSPENDED = "Suspended"
    TRASHED = "Trashed"


class Creation(StrEnum):
    """`spec.repositoryCreation` of a project."""

    ON_PUSH = "OnPush"
    DECLARED = "Declared"


class CredentialKind(StrEnum):
    """How somebody proved who they are."""

    NONE = "None"
    PASSWORD = "Password"
    SERVICE = "Service"  # one of Berth's own processes, by its ServiceAccount token
    FAILED = "Failed"  # credentials were given and refused; never treated as none


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a policy: this subject has this level."""

    kind: SubjectKind
    name: str  # empty for AuthenticatedUsers
    level: Level


@dataclass(frozen=True, slots=True)
class RepositoryPolicy:
    """What is particular to one repository. A repository that needs none of it is still known by its entry."""

    path: str
    rules: tuple[Rule, ...] | None = None  # None: inherits the project's; () replaces it by nothing
    state: State = State.ACTIVE
    external: bool = False
    has_content: bool = False  # at least one digest stands in the catalog


@dataclass(frozen=True, slots=True)
class ProjectPolicy:
    """The effective policy of one project and its repositories (by path below the project)."""

    project_id: str
    rules: tuple[Rule, ...] = ()
    state: State = State.ACTIVE
    creation: Creation = Creation.ON_PUSH
    layer_size_limit: int | None = None  # bytes
    repositories: Mapping[str, RepositoryPolicy] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class User:
    """A `RegistryUser` as far as decisions need it."""

    name: str
    disabled: bool = False
    password_hash: str | None = None  # argon2id or bcrypt; never logged, never in a repr
    certified: bool = False  # some certification that names this user exists
    certified_until: datetime | None = None  # latest end; None with certified=True means until withdrawn

    def __repr__(self) -> str:
        return f"User(name={self.name!r})"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole present policy. `generation` grows with each change and keys every cache of answers."""

    generation: int
    projects: Mapping[str, ProjectPolicy] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking, as far as their credential proved it."""

    credential: CredentialKind
    name: str = ""  # RegistryUser name, or ServiceAccount namespace/name for SERVICE; empty for NONE
    scopes: frozenset[TokenScope] = frozenset(TokenScope)
    failure: Reason | None = None  # set when credential is FAILED


ANONYMOUS = Identity(credential=CredentialKind.NONE, scopes=frozenset(TokenScope))


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One wish: this action on this repository of this project. `repository` is empty for the project itself."""

    action: Action
    project: str
    repository: str = ""
    largest_layer: int | None = None  # bytes; known at the manifest only


@dataclass(frozen=True, slots=True)
class Step:
    """One check of the chain and its outcome, for the explainer."""

    check: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer. A denial has exactly one reason and one sentence of at most 200 characters."""

    allowed: bool
    reason: Reason | None
    sentence: str
    trace: tuple[Step, ...]
