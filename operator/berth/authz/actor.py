"""An identity resolved against the current policy: its subjects, scopes and the state of its credential. Pure.

Resolved once for each credential and snapshot; a decision then only looks up rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from berth.api.policy import RuleSource
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel, SubjectKind
from berth.api.token import TokenScope
from berth.authz.model import (
    AUTHENTICATED_USERS,
    PUBLIC,
    CredentialKind,
    EffectiveLevel,
    Identity,
    ProjectPolicy,
    RepositoryPolicy,
    Rule,
    Snapshot,
    Subject,
    User,
)

SERVICE_LEVEL: Final = SharingLevel.EDIT
"""The level of Berth's own processes in every project, limited by their scopes. The operator probes whether a registry
accepts writes and the catalog reads; none of them deletes or administers."""
PUBLIC_LIMIT: Final = SharingLevel.DOWNLOAD
"""The highest level that a rule for Public gives."""

_FAILURES: Final = frozenset(
    {
        Reason.BAD_CREDENTIALS,
        Reason.TOO_MANY_ATTEMPTS,
        Reason.TOKEN_EXPIRED,
        Reason.TOKEN_REVOKED,
        Reason.USER_DISABLED,
        Reason.ISSUER_UNAVAILABLE,
    }
)
_USER_CREDENTIALS: Final = frozenset({CredentialKind.PASSWORD, CredentialKind.ACCESS_TOKEN})
_NO_RULES: Final[Mapping[Subject, Rule]] = MappingProxyType({})
_SPECIFICITY: Final = {kind: position for position, kind in enumerate(SubjectKind)}


@dataclass(frozen=True, slots=True)
class Actor:
    """An identity resolved against one snapshot."""

    identity: Identity
    failure: Reason | None = None  # why every request is refused
    failed_name: str = ""  # the name that the failure is about
    scopes: frozenset[TokenScope] = frozenset()
    principals: tuple[Subject, ...] = ()
    """The identity itself and the users that it acts as: the subjects that a certification may name."""
    subjects: frozenset[Subject] = frozenset()
    """Every subject by which a rule applies to the actor."""
    teams: tuple[tuple[Subject, Subject], ...] = ()  # each team, with the member by which the actor belongs to it

    @property
    def is_service(self) -> bool:
        """Whether the actor is one of Berth's own processes."""
        return self.identity.credential is CredentialKind.SERVICE

    @property
    def is_anonymous(self) -> bool:
        """Whether the request came without credentials."""
        return self.identity.credential is CredentialKind.NONE


def actor_of(snapshot: Snapshot, identity: Identity, now: datetime) -> Actor:
    """Resolve an identity under `snapshot` at `now`. An actor with a failure has no subjects and so no rights."""
    public = frozenset({PUBLIC}) if snapshot.public_allowed else frozenset()
    if identity.credential is CredentialKind.NONE:
        return Actor(identity, scopes=identity.scopes, subjects=public)
    if identity.credential is CredentialKind.SERVICE:
        return Actor(identity, scopes=identity.scopes)
    users = users_of(snapshot, identity)
    failure, failed_name = _failure(snapshot, identity, users, now)
    if failure is not None:
        return Actor(identity, failure, failed_name)
    principals = _persons(snapshot, identity, users)
    teams = tuple(_teams(snapshot, identity, principals))
    groups = (Subject(SubjectKind.GROUP, group) for group in identity.groups)
    return Actor(
        identity,
        scopes=_scopes(snapshot, identity),
        principals=principals,
        subjects=public.union(principals, groups, (team for team, _ in teams), (AUTHENTICATED_USERS,)),
        teams=teams,
    )


def users_of(snapshot: Snapshot, identity: Identity) -> tuple[User, ...]:
    """The `RegistryUser`s that the identity is or acts as, sorted by name.

    A password or `AccessToken` belongs to one user. A ServiceAccount acts as each user that lists it. A login at an
    identity provider acts as the user of the same name and as each user that lists it.
    """
    names: Iterable[str] = ()
    if identity.credential in _USER_CREDENTIALS:
        names = (identity.name,)
    elif identity.credential is CredentialKind.SERVICE_ACCOUNT:
        names = snapshot.aliases.get(Subject(SubjectKind.SERVICE_ACCOUNT, identity.name), ())
    elif identity.credential is CredentialKind.OIDC:
        names = {identity.name, *snapshot.aliases.get(Subject(SubjectKind.USER, identity.name), ())}
    return tuple(snapshot.users[name] for name in sorted(names) if name in snapshot.users)


def effective_level_of(
    project: ProjectPolicy | None, repository: RepositoryPolicy | None, actor: Actor
) -> EffectiveLevel | None:
    """The highest level that the effective sharing gives the actor, with its rule; None without any.

    Local sharing of a repository replaces the project's, even when it is empty; the two never merge. Of rules that
    give the same level the most specific one is reported, so that neither order nor duplicates matter. The cost is one
    look-up for each of the actor's subjects. It does not depend on the number of rules or on whether the project
    exists, so the response time reveals neither.
    """
    if actor.is_service:
        return EffectiveLevel(SERVICE_LEVEL) if project is not None else None
    if actor.failure is not None:
        return None
    local = repository if repository is not None and repository.rules is not None else None
    rules = local.by_subject if local is not None else project.by_subject if project is not None else _NO_RULES
    best: tuple[SharingLevel, int, str] | None = None
    winner: Rule | None = None
    for subject in actor.subjects:
        rule = rules.get(subject)
        if rule is None:
            continue
        level = min(rule.level, PUBLIC_LIMIT) if rule.kind is SubjectKind.PUBLIC else rule.level
        rank = (level, -_SPECIFICITY[rule.kind], rule.name)
        if best is None or rank > best:
            best, winner = rank, rule
    if best is None or winner is None:
        return None
    source = RuleSource.LOCAL_SHARING if local is not None else winner.source
    through = next((member for team, member in actor.teams if team == winner.subject), None)
    return EffectiveLevel(best[0], winner.subject, source, through)


def certified_until(snapshot: Snapshot, actor: Actor) -> tuple[bool, datetime | None]:
    """Whether any certification names the actor, and the latest end of those that do (None: until withdrawn)."""
    ends = [snapshot.certifications[person] for person in actor.principals if person in snapshot.certifications]
    dated = [end for end in ends if end is not None]
    return bool(ends), max(dated) if dated and len(dated) == len(ends) else None


def unchanged_until(snapshot: Snapshot, actor: Actor, now: datetime) -> datetime | None:
    """The earliest time at which decisions for this actor may change while the snapshot stays the same.

    None: only a change of the policy changes them. `now` for a stale policy, which may be confirmed at any time.
    """
    identity = actor.identity
    record = snapshot.tokens.get(identity.token_sha256)
    ends = [
        identity.expires_at,
        record.expires_at if record is not None else None,
        snapshot.fresh_until,
        *(snapshot.certifications.get(person) for person in actor.principals),
    ]
    if snapshot.fresh_until is not None and snapshot.fresh_until <= now:
        return now
    return min((end for end in ends if end is not None and end > now), default=None)


def _failure(
    snapshot: Snapshot, identity: Identity, users: tuple[User, ...], now: datetime
) -> tuple[Reason | None, str]:
    if identity.credential is CredentialKind.FAILED:
        return identity.failure if identity.failure in _FAILURES else Reason.BAD_CREDENTIALS, identity.name
    reason: Reason | None = None
    expires_at = identity.expires_at
    if identity.credential is CredentialKind.ACCESS_TOKEN:
        record = snapshot.tokens.get(identity.token_sha256)
        owners = [user.subject for user in users]
        if record is None or record.owner.name != identity.name or record.owner not in owners:
            return Reason.TOKEN_REVOKED, identity.name
        expires_at = record.expires_at
    if expires_at is not None and now >= expires_at:
        return Reason.TOKEN_EXPIRED, identity.name
    if identity.credential is CredentialKind.PASSWORD and not users:
        return Reason.TOKEN_REVOKED, identity.name
    disabled = next((user for user in users if user.disabled), None)
    if disabled is not None:
        reason = Reason.USER_DISABLED
    return reason, disabled.name if disabled else ""


def _persons(snapshot: Snapshot, identity: Identity, users: tuple[User, ...]) -> tuple[Subject, ...]:
    """The subjects that name the actor itself. An external login without a RegistryUser is a User of its own name."""
    acts_as = tuple(user.subject for user in users)
    if identity.credential is CredentialKind.SERVICE_ACCOUNT:
        return (Subject(SubjectKind.SERVICE_ACCOUNT, identity.name), *acts_as)
    if identity.credential is CredentialKind.OIDC and identity.name and identity.name not in snapshot.users:
        return (Subject(SubjectKind.USER, identity.name), *acts_as)
    return acts_as


def _teams(
    snapshot: Snapshot, identity: Identity, principals: tuple[Subject, ...]
) -> Iterable[tuple[Subject, Subject]]:
    groups = (Subject(SubjectKind.GROUP, group) for group in sorted(identity.groups))
    for member in (*principals, *groups):
        for team in sorted(snapshot.teams_of.get(member, ())):
            yield Subject(SubjectKind.TEAM, team), member


def _scopes(snapshot: Snapshot, identity: Identity) -> frozenset[TokenScope]:
    """The scopes of the credential: for an `AccessToken`, no more than its object lists."""
    if identity.credential is not CredentialKind.ACCESS_TOKEN:
        return identity.scopes
    return identity.scopes & snapshot.tokens[identity.token_sha256].scopes
