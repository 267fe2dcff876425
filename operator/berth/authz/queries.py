"""Queries of the policy: the actions of an identity, the subjects that may do an action, parsing of names. Pure.

Every result comes from `decide`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from berth.api.policy import Action
from berth.api.reasons import Reason
from berth.api.sharing import SubjectKind
from berth.api.text import full_name, phrase
from berth.api.token import TokenScope
from berth.authz.actor import actor_of, certified_until
from berth.authz.decide import decide
from berth.authz.model import (
    ALL_SCOPES,
    ANONYMOUS,
    AUTHENTICATED_USERS,
    PUBLIC,
    AccessRequest,
    CredentialKind,
    Decision,
    EffectiveLevel,
    Identity,
    ProjectPolicy,
    Snapshot,
    Subject,
    User,
)

COLLECTIVE_KINDS: Final = frozenset({SubjectKind.GROUP, SubjectKind.AUTHENTICATED_USERS})
"""Kinds that stand for many logins, which the policy does not list."""

_ORDER: Final = {kind: position for position, kind in enumerate(SubjectKind)}


@dataclass(frozen=True, slots=True)
class AllowedSubject:
    """A subject that may do the requested action, with its effective level.

    `when_certified`: a push by a collective kind, allowed to its certified logins. `until` is the end of the
    certification for a push; None: none is needed, or it is valid until withdrawn.
    """

    subject: Subject
    effective_level: EffectiveLevel | None
    when_certified: bool = False
    until: datetime | None = None


def identity_of(snapshot: Snapshot, subject: Subject, scopes: frozenset[TokenScope] = ALL_SCOPES) -> Identity:
    """The identity of a login as this subject, for queries about others.

    A User or Robot logs in with a password; a User without a RegistryUser comes from the identity provider. A Group is
    a login with this group and no name, AuthenticatedUsers a login that no rule names, Public an anonymous caller.
    Raises ValueError for a Team, because no login is a team.
    """
    kind, name = subject
    if kind is SubjectKind.TEAM:
        raise ValueError(f"no login is Team {name}; query one of its members")
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
    """The decision for every action on a repository; with an empty `repository`, for the actions on the project."""
    actions = Action if repository else (Action.VIEW, Action.ADMINISTER)
    return {action: decide(snapshot, identity, AccessRequest(action, project, repository), now) for action in actions}


def who_can(
    snapshot: Snapshot, action: Action, project: str, repository: str, now: datetime
) -> tuple[AllowedSubject, ...]:
    """Every subject that may do this now, the most specific kinds first, by name; teams as their members.

    A user is also listed under each external name and ServiceAccount that acts as it.
    """
    found = snapshot.projects.get(project)
    if found is None:
        return ()
    request = AccessRequest(action, project, repository)
    allowed: list[AllowedSubject] = []
    for subject in sorted(candidates(snapshot, found, repository), key=lambda subject: (_ORDER[subject.kind], subject)):
        identity = identity_of(snapshot, subject)
        decision = decide(snapshot, identity, request, now)
        only_certified = decision.reason is Reason.NOT_CERTIFIED and subject.kind in COLLECTIVE_KINDS
        if decision.allowed or only_certified:
            _, until = certified_until(snapshot, actor_of(snapshot, identity, now))
            needed = action is Action.PUSH and decision.allowed
            allowed.append(AllowedSubject(subject, decision.effective_level, only_certified, until if needed else None))
    return tuple(allowed)


def candidates(snapshot: Snapshot, project: ProjectPolicy, repository: str) -> frozenset[Subject]:
    """Every subject that the effective sharing of a repository may apply to, teams replaced by their members."""
    local = project.repositories.get(repository)
    rules = local.rules if local is not None and local.rules is not None else project.rules
    named = {rule.subject for rule in rules}
    teams = {subject.name for subject in named if subject.kind is SubjectKind.TEAM}
    members = (member for member, of in snapshot.teams_of.items() if teams and not teams.isdisjoint(of))
    people = {subject for subject in (*named, *members) if subject.kind is not SubjectKind.TEAM}
    if AUTHENTICATED_USERS in named:
        people |= set(snapshot.certifications)  # these may push
    return frozenset(people | set(_acting_as(snapshot, {subject.name for subject in people})))


def _acting_as(snapshot: Snapshot, users: set[str]) -> Iterable[Subject]:
    return (outside for outside, acted in snapshot.aliases.items() if not users.isdisjoint(acted))


SUBJECT_SYNTAX: Final = (
    "a RegistryUser's name, user:NAME, robot:NAME, serviceaccount:NAMESPACE/NAME, group:NAME, AuthenticatedUsers or "
    "Public"
)


_SCHEMES: Final = ("docker://", "oci://", "https://")


_NAMELESS: Final = {subject.kind.value: subject for subject in (AUTHENTICATED_USERS, PUBLIC)}


_PREFIXES: Final = {
    kind.value.lower(): kind
    for kind in (SubjectKind.USER, SubjectKind.ROBOT, SubjectKind.SERVICE_ACCOUNT, SubjectKind.GROUP)
}


_KUBERNETES_ACCOUNT: Final = "system:serviceaccount:"


class UnknownSubjectError(ValueError):
    """Text that names no subject. `sentence` says what to write instead."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class ImageName:
    """The parts of an image name as written. `decide` checks whether project and repository are valid."""

    host: str  # empty: absent
    project: str
    repository: str  # path below the project; empty: the project itself
    reference: str  # tag or digest; empty: absent

    @property
    def name(self) -> str:
        """`project/repository`."""
        return full_name(self.project, self.repository)


def parse_image(text: str) -> ImageName:
    """Split `[HOST/]PROJECT[/REPOSITORY][:TAG][@DIGEST]` into its parts. Never raises.

    The first component is a host if it holds a dot or a colon or is `localhost`, as in every client; project ids have
    neither.
    """
    for scheme in _SCHEMES:
        text = text.removeprefix(scheme)
    name, _, digest = text.partition("@")
    first, slash, rest = name.partition("/")
    host = ""
    if slash and ("." in first or ":" in first or first == "localhost"):
        host, name = first, rest
    folder, _, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    project, _, repository = full_name(folder, last).partition("/") if folder else (last, "", "")
    return ImageName(host, project, repository, digest or tag)


def parse_subject(text: str, snapshot: Snapshot) -> Subject:
    """Parse a subject. A name without a kind is a RegistryUser or a name that one lists in `spec.kubernetes.users`.

    Raises UnknownSubjectError for an unknown name, and for a kind that is not that of the RegistryUser.
    """
    if text in _NAMELESS:
        return _NAMELESS[text]
    if text.startswith(_KUBERNETES_ACCOUNT):
        return Subject(SubjectKind.SERVICE_ACCOUNT, text.removeprefix(_KUBERNETES_ACCOUNT).replace(":", "/", 1))
    prefix, colon, name = text.partition(":")
    kind = _PREFIXES.get(prefix.lower()) if colon else None
    if kind is None:
        return _bare(text, snapshot)
    if not name or (kind is SubjectKind.SERVICE_ACCOUNT and name.count("/") != 1):
        raise UnknownSubjectError(phrase(f"{{text}} is not a subject; write {SUBJECT_SYNTAX}.", text=text))
    user = snapshot.users.get(name)
    if kind is SubjectKind.ROBOT and user is None:
        raise UnknownSubjectError(phrase("There is no RegistryUser {name} of type Robot; check the name.", name=name))
    if kind in (SubjectKind.USER, SubjectKind.ROBOT) and user is not None and user.subject.kind is not kind:
        raise UnknownSubjectError(_other_type(user))
    return Subject(kind, name)


def _bare(name: str, snapshot: Snapshot) -> Subject:
    user = snapshot.users.get(name)
    if user is not None:
        return user.subject
    external = Subject(SubjectKind.USER, name)
    if external in snapshot.aliases:
        return external
    raise UnknownSubjectError(
        phrase(
            "There is no RegistryUser {name}; check the name, or write user:{name} for a user of the identity provider "
            "without a RegistryUser.",
            name=name or "(empty)",
        )
    )


def _other_type(user: User) -> str:
    kind = user.subject.kind
    written = f"{kind.value.lower()}:{user.name}"
    return phrase(
        "The RegistryUser {name} is of type {type}; write {written}.",
        name=user.name,
        type="Robot" if user.robot else "Person",
        written=written,
    )
