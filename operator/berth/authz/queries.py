"""Questions about the policy beside "may this one do that": what may somebody do, and who may do something. Pure.

Every answer comes from `decide`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from berth.api.reasons import Reason
from berth.authz.actor import actor_of, certified_until
from berth.authz.decide import decide
from berth.authz.model import (
    ALL_SCOPES,
    ANONYMOUS,
    AUTHENTICATED_USERS,
    AccessRequest,
    Action,
    CredentialKind,
    Decision,
    Identity,
    ProjectPolicy,
    Snapshot,
    Standing,
    Subject,
    SubjectKind,
    TokenScope,
)

SORTS: Final = frozenset({SubjectKind.GROUP, SubjectKind.AUTHENTICATED_USERS})
"""Kinds that mean everybody of a sort: who exactly that is, only their logins tell."""

_ORDER: Final = {kind: position for position, kind in enumerate(SubjectKind)}


@dataclass(frozen=True, slots=True)
class Entitled:
    """A subject that may do what was asked, and by which rule.

    `when_certified`: a push by everybody of a sort; those of them may who are certified. `until` is when the
    certification ends by which it may push; None: none is needed, or it holds until withdrawn.
    """

    subject: Subject
    standing: Standing | None
    when_certified: bool = False
    until: datetime | None = None


def identity_of(snapshot: Snapshot, subject: Subject, scopes: frozenset[TokenScope] = ALL_SCOPES) -> Identity:
    """Somebody who logged in as this subject, for questions about others.

    A User or Robot logs in with a password; one without RegistryUser can only come from an identity provider. A Group
    is somebody who is in it and is nobody else; AuthenticatedUsers is somebody with a login whom nothing names; Public
    is nobody at all. Raises ValueError for a Team: nobody logs in as one, ask about a member.
    """
    kind, name = subject
    if kind is SubjectKind.TEAM:
        raise ValueError(f"nobody logs in as Team {name}; ask about one of its members")
    if kind is SubjectKind.PUBLIC:
        return ANONYMOUS
    if kind is SubjectKind.SERVICE_ACCOUNT:
        return Identity(CredentialKind.SERVICE_ACCOUNT, name, scopes, kind=kind)
    if kind is SubjectKind.GROUP:
        return Identity(CredentialKind.OIDC, scopes=scopes, groups=frozenset({name}))
    if kind is SubjectKind.AUTHENTICATED_USERS:
        return Identity(CredentialKind.OIDC, scopes=scopes)
    user = snapshot.users.get(name)
    if user is None and kind is SubjectKind.USER:
        return Identity(CredentialKind.OIDC, name, scopes)
    if user is not None and user.subject != subject:
        return Identity(CredentialKind.FAILED, name, scopes, Reason.TOKEN_REVOKED)
    return Identity(CredentialKind.PASSWORD, name, scopes, kind=kind)


def can_i(
    snapshot: Snapshot, identity: Identity, project: str, repository: str, now: datetime
) -> Mapping[Action, Decision]:
    """The decision for every action on a repository, or, with an empty `repository`, those that a project has."""
    actions = Action if repository else (Action.VIEW, Action.ADMINISTER)
    return {action: decide(snapshot, identity, AccessRequest(action, project, repository), now) for action in actions}


def who_can(snapshot: Snapshot, action: Action, project: str, repository: str, now: datetime) -> tuple[Entitled, ...]:
    """Everybody who may do this now, the most particular kinds first, by name; teams stand there as their members.

    A user stands there also under each outside name and ServiceAccount that acts as it.
    """
    found = snapshot.projects.get(project)
    if found is None:
        return ()
    request = AccessRequest(action, project, repository)
    entitled: list[Entitled] = []
    for subject in sorted(candidates(snapshot, found, repository), key=lambda subject: (_ORDER[subject.kind], subject)):
        identity = identity_of(snapshot, subject)
        decision = decide(snapshot, identity, request, now)
        only_certified = decision.reason is Reason.NOT_CERTIFIED and subject.kind in SORTS
        if decision.allowed or only_certified:
            _, until = certified_until(snapshot, actor_of(snapshot, identity, now))
            needed = action is Action.PUSH and decision.allowed
            entitled.append(Entitled(subject, decision.standing, only_certified, until if needed else None))
    return tuple(entitled)


def candidates(snapshot: Snapshot, project: ProjectPolicy, repository: str) -> frozenset[Subject]:
    """Every subject that the sharing in force on a repository may mean, teams replaced by their members."""
    local = project.repositories.get(repository)
    rules = local.rules if local is not None and local.rules is not None else project.rules
    named = {rule.subject for rule in rules}
    teams = {subject.name for subject in named if subject.kind is SubjectKind.TEAM}
    members = (member for member, of in snapshot.teams_of.items() if teams and not teams.isdisjoint(of))
    people = {subject for subject in (*named, *members) if subject.kind is not SubjectKind.TEAM}
    if AUTHENTICATED_USERS in named:
        people |= set(snapshot.certifications)  # of everybody these may push
    return frozenset(people | set(_acting_as(snapshot, {subject.name for subject in people})))


def _acting_as(snapshot: Snapshot, users: set[str]) -> Iterable[Subject]:
    return (outside for outside, acted in snapshot.aliases.items() if not users.isdisjoint(acted))
