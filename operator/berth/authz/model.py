"""The types of authorization: subjects, rules, identities, the policy snapshot, requests and decisions. Pure.

Everything here is frozen. A `Snapshot` is the whole current policy. The watcher builds a new one for each change and
swaps the reference, so a decision never sees half a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Final, NamedTuple

from berth.api.policy import Action, PolicyState, RuleSource
from berth.api.project import RepositoryCreation
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel, SubjectKind
from berth.api.token import TokenScope

ALL_SCOPES: Final = frozenset(TokenScope)


class Subject(NamedTuple):
    """The subject of a rule, team, token or certification; equal to the plain tuple of its parts."""

    kind: SubjectKind
    name: str = ""  # `namespace/name` of a ServiceAccount; empty for AuthenticatedUsers and Public


AUTHENTICATED_USERS: Final = Subject(SubjectKind.AUTHENTICATED_USERS)
PUBLIC: Final = Subject(SubjectKind.PUBLIC)


class CredentialKind(StrEnum):
    """How an identity was authenticated."""

    NONE = "None"
    PASSWORD = "Password"
    ACCESS_TOKEN = "AccessToken"
    SERVICE_ACCOUNT = "ServiceAccount"  # a Pod, by its ServiceAccount token
    OIDC = "OIDC"  # an access token of a configured issuer
    SERVICE = "Service"  # one of Berth's own processes, by its ServiceAccount token
    FAILED = "Failed"  # credentials were given and refused; never treated as none


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a policy: a subject and its level."""

    kind: SubjectKind
    name: str  # empty for AuthenticatedUsers and Public
    level: SharingLevel
    source: RuleSource = RuleSource.SHARING

    @property
    def subject(self) -> Subject:
        """The subject of the rule."""
        return Subject(self.kind, self.name)


@dataclass(frozen=True)  # without slots, because cached_property needs `__dict__`
class RepositoryPolicy:
    """The policy of one repository. Every known repository has an entry, even without anything of its own."""

    path: str
    rules: tuple[Rule, ...] | None = None  # None: inherits the project's; (): shared with no one
    state: PolicyState = PolicyState.ACTIVE
    external: bool = False
    has_content: bool = False  # the catalog has at least one digest

    @cached_property
    def by_subject(self) -> Mapping[Subject, Rule]:
        """The strongest local rule for each subject; empty where the repository inherits."""
        return _strongest(self.rules or ())


@dataclass(frozen=True)
class ProjectPolicy:
    """The effective policy of one project and its repositories (by path below the project)."""

    project_id: str
    rules: tuple[Rule, ...] = ()
    state: PolicyState = PolicyState.ACTIVE
    creation: RepositoryCreation = RepositoryCreation.ON_PUSH
    layer_size_limit: int | None = None  # bytes
    repositories: Mapping[str, RepositoryPolicy] = field(default_factory=dict)

    @cached_property
    def by_subject(self) -> Mapping[Subject, Rule]:
        """The strongest rule for each subject."""
        return _strongest(self.rules)


def _strongest(rules: Iterable[Rule]) -> Mapping[Subject, Rule]:
    """The rule with the highest level for each subject; of equal ones, the rule of the first source in `RuleSource`.

    So neither order nor duplicates matter.
    """
    order = {source: position for position, source in enumerate(RuleSource)}
    strongest: dict[Subject, Rule] = {}
    for rule in sorted(rules, key=lambda rule: (-rule.level.rank, order[rule.source])):
        strongest.setdefault(rule.subject, rule)
    return strongest


@dataclass(frozen=True, slots=True)
class User:
    """The part of a `RegistryUser` that decisions need."""

    name: str
    robot: bool = False  # spec.type Robot: rules name it by kind Robot, never by kind User
    disabled: bool = False
    password_hash: str | None = None  # argon2id or bcrypt; never logged, never in a repr

    def __repr__(self) -> str:
        return f"User(name={self.name!r})"

    @property
    def subject(self) -> Subject:
        """The subject by which rules, teams, tokens and certifications name this user."""
        return Subject(SubjectKind.ROBOT if self.robot else SubjectKind.USER, self.name)


@dataclass(frozen=True, slots=True)
class AccessTokenRecord:
    """The part of an `AccessToken` that decisions need."""

    name: str
    owner: Subject  # of kind User or Robot
    scopes: frozenset[TokenScope]
    expires_at: datetime | None = None  # the first time at which it is no longer valid


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole current policy. `generation` grows with each change and is part of the key of every response cache."""

    generation: int
    projects: Mapping[str, ProjectPolicy] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)
    tokens: Mapping[str, AccessTokenRecord] = field(default_factory=dict)
    """By the SHA-256 of the secret, in lower-case hexadecimal digits."""
    teams_of: Mapping[Subject, frozenset[str]] = field(default_factory=dict)
    """The team names of each member (User, Robot, ServiceAccount or Group)."""
    aliases: Mapping[Subject, frozenset[str]] = field(default_factory=dict)
    """The user names whose `spec.kubernetes` lists a ServiceAccount or (kind User) an external user name."""
    certifications: Mapping[Subject, datetime | None] = field(default_factory=dict)
    """The latest end for each subject (User, Robot or ServiceAccount); None: until withdrawn."""
    public_allowed: bool = False
    """Whether the installation allows sharing with Public; otherwise rules for Public have no effect."""
    fresh_until: datetime | None = None
    """From this time on the policy is stale and allows no writes. None: the policy is current."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller as its credential proved it. The snapshot decides which users it is and what they may do."""

    credential: CredentialKind
    name: str = ""
    """RegistryUser; external user name for OIDC; `namespace/name` of a ServiceAccount; empty for anonymous callers."""
    scopes: frozenset[TokenScope] = ALL_SCOPES
    failure: Reason | None = None  # set when credential is FAILED
    kind: SubjectKind = SubjectKind.USER
    """User or Robot for a RegistryUser (the snapshot has its current type), or ServiceAccount."""
    groups: frozenset[str] = frozenset()  # of the identity provider, prefixed as configured
    token: str = ""  # metadata.name of the AccessToken that was used, for the audit log
    token_sha256: str = ""  # of that token's secret: its key in the snapshot
    expires_at: datetime | None = None  # when an OIDC or ServiceAccount token ends by itself

    @property
    def subject(self) -> Subject:
        """The kind and name of the identity."""
        return Subject(self.kind, self.name)


ANONYMOUS: Final = Identity(credential=CredentialKind.NONE)


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One requested action on a repository of a project. `repository` is empty for the project itself.

    `absent`: according to the catalog, nothing was ever pushed under this name. It matters only for a name without an
    object in the policy; without `absent`, content may exist under such a name.
    """

    action: Action
    project: str
    repository: str = ""
    largest_layer: int | None = None  # bytes; known at the manifest only
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One check of the chain and its outcome, for explanations."""

    check: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class EffectiveLevel:
    """The level of an actor, and the rule that gives it."""

    level: SharingLevel
    rule: Subject | None = None  # None: the level of Berth's own processes comes from no rule
    source: RuleSource = RuleSource.SHARING
    through: Subject | None = None  # for a team: the member by which the actor belongs to it


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one request. A denial has exactly one reason and one sentence of at most 200 characters.

    `short_sentence` is for use beside the address of the page that explains the decision; empty where no page does.
    `effective_level` is None when the actor has none or an earlier check refused.
    """

    allowed: bool
    reason: Reason | None
    sentence: str
    trace: tuple[Step, ...]
    effective_level: EffectiveLevel | None = None
    short_sentence: str = ""
