"""Who somebody is on the present policy: every subject that speaks of them, and whether their credential holds. Pure.

Worked out once for each credential and snapshot; a decision then only looks its rules up.
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
"""What Berth's own processes have everywhere, as far as their scopes go: the operator probes whether a registry takes
writes, the catalog reads. None of them deletes or administers."""
PUBLIC_LIMIT: Final = SharingLevel.DOWNLOAD
"""What a rule for Public gives at most, whatever it says."""

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
_OF_A_USER: Final = frozenset({CredentialKind.PASSWORD, CredentialKind.ACCESS_TOKEN})
_NO_RULES: Final[Mapping[Subject, Rule]] = MappingProxyType({})
_PARTICULARITY: Final = {kind: position for position, kind in enumerate(SubjectKind)}


@dataclass(frozen=True, slots=True)
class Actor:
    """An identity on one snapshot."""

    identity: Identity
    failure: Reason | None = None  # why it may nothing at all
    failed_name: str = ""  # the name that the failure is about
    scopes: frozenset[TokenScope] = frozenset()
    principals: tuple[Subject, ...] = ()
    """Itself, and the users that it acts as: what a certification may name."""
    subjects: frozenset[Subject] = frozenset()
    """Everything that a rule may name to mean it."""
    teams: tuple[tuple[Subject, Subject], ...] = ()  # team, and the member of it that the actor is

    @property
    def is_service(self) -> bool:
        """Whether this is one of Berth's own processes."""
        return self.identity.credential is CredentialKind.SERVICE

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is logged in."""
        return self.identity.credential is CredentialKind.NONE


def actor_of(snapshot: Snapshot, identity: Identity, now: datetime) -> Actor:
    """Who this identity is under `snapshot` at `now`. An actor with a failure has no subjects and so no rights."""
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
    """The `RegistryUser`s that the identity is or acts as, by name.

    A password or `AccessToken` is that of one user. A ServiceAccount acts as each user that lists it; a login at an
    identity provider as the user of that very name and as each that lists it.
    """
    names: Iterable[str] = ()
    if identity.credential in _OF_A_USER:
        names = (identity.name,)
    elif identity.credential is CredentialKind.SERVICE_ACCOUNT:
        names = snapshot.aliases.get(Subject(SubjectKind.SERVICE_ACCOUNT, identity.name), ())
    elif identity.credential is CredentialKind.OIDC:
        names = {identity.name, *snapshot.aliases.get(Subject(SubjectKind.USER, identity.name), ())}
    return tuple(snapshot.users[name] for name in sorted(names) if name in snapshot.users)


def effective_level_of(
    project: ProjectPolicy | None, repository: RepositoryPolicy | None, actor: Actor
) -> EffectiveLevel | None:
    """The highest level that the sharing in force gives, and by which rule; None for none at all.

    Local sharing of a repository replaces the project's, even when it is empty; the two never merge. Of rules that
    give the same level the most particular one is told, so that neither order nor duplicates matter. The work is that
    of looking up the actor's own subjects: the same for somebody else's project, however many it is shared with, and
    for one that does not exist.
    """
    if actor.is_service:
        return EffectiveLevel(SERVICE_LEVEL) if project is not None else None
    if actor.failure is not None:
        return None
    local = repository if repository is not None and repository.rules is not None else None
    rules = local.by_subject if local is not None else project.by_subject if project is not None else _NO_RULES
    best: tuple[SharingLevel, int, str] | None = None
    told: Rule | None = None
    for subject in actor.subjects:
        rule = rules.get(subject)
        if rule is None:
            continue
        level = min(rule.level, PUBLIC_LIMIT) if rule.kind is SubjectKind.PUBLIC else rule.level
        rank = (level, -_PARTICULARITY[rule.kind], rule.name)
        if best is None or rank > best:
            best, told = rank, rule
    if best is None or told is None:
        return None
    source = RuleSource.LOCAL_SHARING if local is not None else told.source
    through = next((member for team, member in actor.teams if team == told.subject), None)
    return EffectiveLevel(best[0], told.subject, source, through)


def certified_until(snapshot: Snapshot, actor: Actor) -> tuple[bool, datetime | None]:
    """Whether a certification ever named the actor, and the latest end of all that do (None: until withdrawn)."""
    ends = [snapshot.certifications[person] for person in actor.principals if person in snapshot.certifications]
    known = [end for end in ends if end is not None]
    return bool(ends), max(known) if known and len(known) == len(ends) else None


def unchanged_until(snapshot: Snapshot, actor: Actor, now: datetime) -> datetime | None:
    """The moment from which on time alone may change what this actor may do under this snapshot.

    None: only a change of the policy can. `now` where it may be any moment: a policy that is too old may be confirmed.
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
    """What names the actor itself. Somebody from outside whom no RegistryUser stands for goes by that own name."""
    acted = tuple(user.subject for user in users)
    if identity.credential is CredentialKind.SERVICE_ACCOUNT:
        return (Subject(SubjectKind.SERVICE_ACCOUNT, identity.name), *acted)
    if identity.credential is CredentialKind.OIDC and identity.name and identity.name not in snapshot.users:
        return (Subject(SubjectKind.USER, identity.name), *acted)
    return acted


def _teams(
    snapshot: Snapshot, identity: Identity, principals: tuple[Subject, ...]
) -> Iterable[tuple[Subject, Subject]]:
    groups = (Subject(SubjectKind.GROUP, group) for group in sorted(identity.groups))
    for member in (*principals, *groups):
        for team in sorted(snapshot.teams_of.get(member, ())):
            yield Subject(SubjectKind.TEAM, team), member


def _scopes(snapshot: Snapshot, identity: Identity) -> frozenset[TokenScope]:
    """What the credential may be used for now: an `AccessToken` for no more than its object says."""
    if identity.credential is not CredentialKind.ACCESS_TOKEN:
        return identity.scopes
    return identity.scopes & snapshot.tokens[identity.token_sha256].scopes
