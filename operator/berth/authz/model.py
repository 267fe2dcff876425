"""The words of authorization: levels, actions, scopes, identities, the policy snapshot, the decision. Pure.

Everything here is frozen. A `Snapshot` is the whole present policy; whoever watches the cluster builds a new one
for each change and swaps the reference, so a decision never sees half a change.
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
    """Whom a rule, a team, a token or a certification speaks of; equal to the plain tuple of its parts."""

    kind: SubjectKind
    name: str = ""  # `namespace/name` of a ServiceAccount; empty for AuthenticatedUsers and Public


AUTHENTICATED_USERS: Final = Subject(SubjectKind.AUTHENTICATED_USERS)
PUBLIC: Final = Subject(SubjectKind.PUBLIC)


class CredentialKind(StrEnum):
    """How somebody proved who they are."""

    NONE = "None"
    PASSWORD = "Password"
    ACCESS_TOKEN = "AccessToken"
    SERVICE_ACCOUNT = "ServiceAccount"  # somebody's Pod, by its ServiceAccount token
    OIDC = "OIDC"  # an access token of a configured issuer
    SERVICE = "Service"  # one of Berth's own processes, by its ServiceAccount token
    FAILED = "Failed"  # credentials were given and refused; never treated as none


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a policy: this subject has this level."""

    kind: SubjectKind
    name: str  # empty for AuthenticatedUsers and Public
    level: SharingLevel
    source: RuleSource = RuleSource.SHARING

    @property
    def subject(self) -> Subject:
        """Whom it speaks of."""
        return Subject(self.kind, self.name)


@dataclass(frozen=True)  # without slots: what is worked out once has its place in the instance
class RepositoryPolicy:
    """What is particular to one repository. A repository that needs none of it is still known by its entry."""

    path: str
    rules: tuple[Rule, ...] | None = None  # None: inherits the project's; () replaces it by nothing
    state: PolicyState = PolicyState.ACTIVE
    external: bool = False
    has_content: bool = False  # at least one digest stands in the catalog

    @cached_property
    def by_subject(self) -> Mapping[Subject, Rule]:
        """Its own rules: the strongest for each subject; none where it inherits."""
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
        """Its rules: the strongest for each subject."""
        return _strongest(self.rules)


def _strongest(rules: Iterable[Rule]) -> Mapping[Subject, Rule]:
    """Of rules for one subject the one with the highest level; of equal ones that of the source that comes first, so
    that order and duplicates do not matter."""
    order = {source: position for position, source in enumerate(RuleSource)}
    found: dict[Subject, Rule] = {}
    for rule in sorted(rules, key=lambda rule: (-rule.level.rank, order[rule.source])):
        found.setdefault(rule.subject, rule)
    return found


@dataclass(frozen=True, slots=True)
class User:
    """A `RegistryUser` as far as decisions need it."""

    name: str
    robot: bool = False  # spec.type Robot: rules name it by kind Robot, never by kind User
    disabled: bool = False
    password_hash: str | None = None  # argon2id or bcrypt; never logged, never in a repr

    def __repr__(self) -> str:
        return f"User(name={self.name!r})"

    @property
    def subject(self) -> Subject:
        """How rules, teams, tokens and certifications name this user."""
        return Subject(SubjectKind.ROBOT if self.robot else SubjectKind.USER, self.name)


@dataclass(frozen=True, slots=True)
class AccessTokenRecord:
    """An `AccessToken` object. The snapshot has it by the SHA-256 of its secret."""

    name: str
    owner: Subject  # of kind User or Robot
    scopes: frozenset[TokenScope]
    expires_at: datetime | None = None  # the first moment at which it no longer holds


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole present policy. `generation` grows with each change and keys every cache of answers."""

    generation: int
    projects: Mapping[str, ProjectPolicy] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)
    tokens: Mapping[str, AccessTokenRecord] = field(default_factory=dict)
    """By the SHA-256 of the secret, in lower-case hexadecimal digits."""
    teams_of: Mapping[Subject, frozenset[str]] = field(default_factory=dict)
    """The names of the teams of a member (User, Robot, ServiceAccount or Group)."""
    aliases: Mapping[Subject, frozenset[str]] = field(default_factory=dict)
    """The names of the users whose `spec.kubernetes` lists a ServiceAccount or (kind User) an outside user name."""
    certifications: Mapping[Subject, datetime | None] = field(default_factory=dict)
    """The latest end for each subject (User, Robot or ServiceAccount); None: until withdrawn."""
    public_allowed: bool = False
    """Whether the installation allows sharing with Public; rules for it count for nothing otherwise."""
    fresh_until: datetime | None = None
    """From then on the policy is too old to change anything by. None: it is the present one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking, as far as their credential proved it. What they are and may now, the snapshot knows."""

    credential: CredentialKind
    name: str = ""
    """RegistryUser; outside user name for OIDC; `namespace/name` of a ServiceAccount; empty for nobody."""
    scopes: frozenset[TokenScope] = ALL_SCOPES
    failure: Reason | None = None  # set when credential is FAILED
    kind: SubjectKind = SubjectKind.USER
    """User or Robot by RegistryUser (which of both it is now, the snapshot says), or ServiceAccount."""
    groups: frozenset[str] = frozenset()  # of the identity provider, prefixed as configured
    token: str = ""  # metadata.name of the AccessToken that was used, for the audit log
    token_sha256: str = ""  # of that token's secret: its key in the snapshot
    expires_at: datetime | None = None  # when an OIDC or ServiceAccount token ends by itself

    @property
    def subject(self) -> Subject:
        """The identity's own name with its kind."""
        return Subject(self.kind, self.name)


ANONYMOUS: Final = Identity(credential=CredentialKind.NONE)


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One wish: this action on this repository of this project. `repository` is empty for the project itself.

    `absent`: nothing of the repository's name was ever pushed, as far as whoever decides could find out. Counts for
    names alone of which the policy has no object; without it, such a repository may be there.
    """

    action: Action
    project: str
    repository: str = ""
    largest_layer: int | None = None  # bytes; known at the manifest only
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One check of the chain and its outcome, for the explainer."""

    check: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class EffectiveLevel:
    """The level that somebody has, and where it comes from."""

    level: SharingLevel
    rule: Subject | None = None  # None: Berth's own processes have theirs from no rule
    source: RuleSource = RuleSource.SHARING
    through: Subject | None = None  # for a team: the member of it that the somebody is


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer. A denial has exactly one reason and one sentence of at most 200 characters.

    `short_sentence` is a shorter one for use beside the address of the page that explains it; empty where no page does.
    `effective_level` is the asker's level and its source; None when there is none or the chain did not come that far.
    """

    allowed: bool
    reason: Reason | None
    sentence: str
    trace: tuple[Step, ...]
    effective_level: EffectiveLevel | None = None
    short_sentence: str = ""
