"""The questions of `why`, `can-i` and `who-can`, answered by the registry's own decision on what the cluster says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from berth.api.base import rfc3339
from berth.api.policy import Action
from berth.api.sharing import SubjectKind
from berth.api.text import phrase
from berth.authz.checks import subject_text
from berth.authz.decide import decide
from berth.authz.explain import decision_document, explain
from berth.authz.model import AccessRequest, AccessTokenRecord, CredentialKind, Decision, Identity, Snapshot
from berth.authz.queries import (
    AllowedSubject,
    ImageName,
    UnknownSubjectError,
    identity_of,
    parse_image,
    parse_subject,
    who_can,
)
from berth.cli.kubectl.access.policy_reader import World, read_world
from berth.cli.kubectl.cluster import connect, user_name
from berth.cli.kubectl.options import Connection

_KUBERNETES_ACCOUNT: Final = "system:serviceaccount:"
_WHENEVER: Final = frozenset({"registryusers", "dockerrepositories", "accesspolicies", "projects"})
_MAY_CHANGE: Final = {
    "visible": frozenset({"registryteams"}),
    "level": frozenset({"registryteams"}),
    "certification": frozenset({"certifications"}),
}
"""What else could turn a denial by this check around."""


@dataclass(frozen=True, slots=True)
class Somebody:
    """About whom a question is, as written: all empty means whoever asks."""

    subject: str
    groups: tuple[str, ...]
    token: str  # name of an AccessToken


_WHOEVER_ASKS: Final = Somebody("", (), "")


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision, ready to be printed."""

    identity: Identity
    request: AccessRequest
    decision: Decision
    unread: tuple[str, ...]  # resources that the asker may not read
    host: str = ""  # of the registry; empty: unknown

    @property
    def allowed(self) -> bool:
        """Whether the registry allows it, as far as could be read."""
        return self.decision.allowed

    @property
    def document(self) -> dict[str, Any]:
        """The answer as JSON."""
        return {**decision_document(self.identity, self.request, self.decision), "unread": list(self.unread)}

    @property
    def chain(self) -> str:
        """The answer as lines: what was asked, then every check."""
        return "\n".join((self._asked, *(f"  {line}" for line in explain(self.decision))))

    @property
    def yes_or_no(self) -> str:
        """The answer as one line."""
        if not self.allowed:
            return f"no: {self.decision.sentence}"
        level = next((step.detail for step in self.decision.trace if step.check == "visible"), "")
        return f"yes: {level}"

    @property
    def in_doubt(self) -> str:
        """Why the answer may be another one, in a sentence; empty when nothing that was not read could change it."""
        last = self.decision.trace[-1].check
        matter = _WHENEVER if self.allowed else _WHENEVER | _MAY_CHANGE.get(last, frozenset())
        return _untellable([resource for resource in self.unread if resource in matter], self.host)

    @property
    def _asked(self) -> str:
        who = identity_text(self.identity)
        name = "/".join(part for part in (self.request.project, self.request.repository) if part)
        return f"{self.request.action.value} {name} as {who}"


@dataclass(frozen=True, slots=True)
class Listed:
    """Who may do something, ready to be printed."""

    HEADER: ClassVar[tuple[str, ...]] = ("KIND", "NAME", "LEVEL", "BY", "SOURCE", "NOTE")

    action: str
    name: str
    entitled: tuple[AllowedSubject, ...]
    unread: tuple[str, ...]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """A line for each subject."""
        return [_row(each) for each in self.entitled]

    @property
    def document(self) -> dict[str, Any]:
        """The answer as JSON."""
        keys = [heading.lower() for heading in self.HEADER]
        return {
            "action": self.action,
            "name": self.name,
            "subjects": [dict(zip(keys, row, strict=True)) for row in self.rows],
            "unread": list(self.unread),
        }


async def ask(action: str, image: str, somebody: Somebody, connection: Connection) -> Answer:
    """May they? Raises KubeError and UnknownSubject, each with a sentence."""
    named = parse_image(image)
    async with connect(connection.kubeconfig, connection.context) as client:
        world = await read_world(client, named.project, tokens=bool(somebody.token))
        asker = await user_name(client) if somebody == _WHOEVER_ASKS else ""
    _check_host(named, world)
    try:
        somebody = replace(somebody, subject=own_name(asker, world.snapshot)) if asker else somebody
        identity = identity_for(somebody, world.snapshot)
    except UnknownSubjectError as problem:
        unread = [resource for resource in ("registryusers", "accesstokens") if resource in world.unread]
        raise UnknownSubjectError(_untellable(unread, world.host) or problem.sentence) from None
    request = AccessRequest(Action(action), named.project, named.repository, absent=_is_absent(named, world))
    decision = decide(world.snapshot, identity, request, datetime.now(UTC))
    return Answer(identity, request, decision, world.unread, world.host)


async def who(action: str, image: str, connection: Connection) -> Listed:
    """Who may? Raises KubeError, with a sentence."""
    named = parse_image(image)
    async with connect(connection.kubeconfig, connection.context) as client:
        world = await read_world(client, named.project)
    _check_host(named, world)
    found = who_can(world.snapshot, Action(action), named.project, named.repository, datetime.now(UTC))
    return Listed(action, named.name, found, world.unread)


def own_name(user: str, snapshot: Snapshot) -> str:
    """Whom the kubeconfig's user is in the registry. Raises UnknownSubject where that is nobody."""
    if user.startswith(_KUBERNETES_ACCOUNT):
        return user
    try:
        parse_subject(user, snapshot)
    except UnknownSubjectError:
        raise UnknownSubjectError(
            phrase(
                "No RegistryUser lists {user}, your name in this cluster, in spec.kubernetes.users; say who you mean "
                "with --as.",
                user=user,
            )
        ) from None
    return user


def identity_for(somebody: Somebody, snapshot: Snapshot) -> Identity:
    """The login that is asked about. Raises UnknownSubject."""
    if somebody.token:
        return _with_token(somebody, snapshot)
    if not somebody.subject:
        return Identity(CredentialKind.OIDC, groups=frozenset(somebody.groups))
    identity = identity_of(snapshot, parse_subject(somebody.subject, snapshot))
    if not somebody.groups:
        return identity
    if identity.credential in (CredentialKind.NONE, CredentialKind.SERVICE_ACCOUNT):
        raise UnknownSubjectError("Only a login at the identity provider has groups; leave --as-group out.")
    # Whoever has groups came from the identity provider, whether a RegistryUser stands for them or not.
    groups = identity.groups.union(somebody.groups)
    return replace(identity, credential=CredentialKind.OIDC, kind=SubjectKind.USER, groups=groups)


def _with_token(somebody: Somebody, snapshot: Snapshot) -> Identity:
    found = next(((key, token) for key, token in snapshot.tokens.items() if token.name == somebody.token), None)
    if found is None:
        raise UnknownSubjectError(
            phrase("There is no AccessToken {name}; see kubectl berth token list.", name=somebody.token)
        )
    key, token = found
    if somebody.groups or (somebody.subject and not _owns(somebody.subject, token, snapshot)):
        raise UnknownSubjectError(
            phrase(
                "The AccessToken {name} is that of {owner}, who logs in with it alone; leave out --as and --as-group.",
                name=token.name,
                owner=subject_text(token.owner),
            )
        )
    return Identity(
        CredentialKind.ACCESS_TOKEN,
        token.owner.name,
        token.scopes,
        kind=token.owner.kind,
        token=token.name,
        token_sha256=key,
    )


def _owns(subject: str, token: AccessTokenRecord, snapshot: Snapshot) -> bool:
    return parse_subject(subject, snapshot) == token.owner


def identity_text(identity: Identity) -> str:
    """Who is asking, in words."""
    if identity.credential is CredentialKind.NONE:
        return "nobody (not logged in)"
    groups = f"in {' and '.join(f'Group {group}' for group in sorted(identity.groups))}" if identity.groups else ""
    if not identity.name:
        return f"somebody {groups}" if groups else "somebody with a login"
    token = f"with AccessToken {identity.token}" if identity.token else ""
    return " ".join(part for part in (subject_text(identity.subject), groups, token) if part)


def _untellable(missing: Sequence[str], host: str) -> str:
    """That nothing can be told without these resources, in a sentence; empty when none is missing."""
    if not missing:
        return ""
    return (
        f"That cannot be told, because you may not read {' and '.join(missing)} in this cluster; open "
        f"https://{host or 'HOST'}/why instead, or ask whoever runs the registry."
    )


def _is_absent(named: ImageName, world: World) -> bool:
    """Whether the cluster has no object of that name; of what could not be read nothing is said."""
    project = world.snapshot.projects.get(named.project)
    unread = "dockerrepositories" in world.unread
    return project is not None and not unread and named.repository not in project.repositories


def _check_host(named: ImageName, world: World) -> None:
    if named.host and world.host and named.host != world.host:
        raise UnknownSubjectError(
            phrase(
                "Project {project} of this cluster is at {there}, not at {written}; choose the cluster with --context.",
                project=named.project,
                there=world.host,
                written=named.host,
            )
        )


def _row(entitled: AllowedSubject) -> tuple[str, ...]:
    effective = entitled.effective_level
    kind, name = entitled.subject
    note = f"certified until {rfc3339(entitled.until)}" if entitled.until else ""
    if entitled.when_certified:
        note = "each of them who is certified"
    if effective is None or effective.rule is None:
        return kind.value, name or "-", "-", "-", "-", note
    return kind.value, name or "-", effective.level.value, subject_text(effective.rule), effective.source.value, note
