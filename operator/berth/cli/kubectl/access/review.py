"""The answers of `why`, `can-i` and `who-can`: the registry's own decision on the objects of the cluster."""

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
_ALWAYS_NEEDED: Final = frozenset({"registryusers", "dockerrepositories", "accesspolicies", "projects"})
_MAY_CHANGE: Final = {
    "visible": frozenset({"registryteams"}),
    "level": frozenset({"registryteams"}),
    "certification": frozenset({"certifications"}),
}
"""Unread resources that could change a denial by this check."""


@dataclass(frozen=True, slots=True)
class QuerySubject:
    """The subject of a query as written; all empty means the user of the kubeconfig."""

    subject: str
    groups: tuple[str, ...]
    token: str  # name of an AccessToken


_CURRENT_USER: Final = QuerySubject("", (), "")


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision, ready to be printed."""

    identity: Identity
    request: AccessRequest
    decision: Decision
    unread: tuple[str, ...]  # resources that the user may not read
    host: str = ""  # of the registry; empty: unknown

    @property
    def allowed(self) -> bool:
        """Whether the registry allows the request, by the objects that could be read."""
        return self.decision.allowed

    @property
    def document(self) -> dict[str, Any]:
        """The answer as JSON."""
        return {**decision_document(self.identity, self.request, self.decision), "unread": list(self.unread)}

    @property
    def chain(self) -> str:
        """The answer as lines: the request, then every check."""
        return "\n".join((self._title, *(f"  {line}" for line in explain(self.decision))))

    @property
    def yes_or_no(self) -> str:
        """The answer as one line."""
        if not self.allowed:
            return f"no: {self.decision.sentence}"
        level = next((step.detail for step in self.decision.trace if step.check == "visible"), "")
        return f"yes: {level}"

    @property
    def in_doubt(self) -> str:
        """Why unread objects could change the answer, in a sentence; empty if they cannot."""
        last = self.decision.trace[-1].check
        relevant = _ALWAYS_NEEDED if self.allowed else _ALWAYS_NEEDED | _MAY_CHANGE.get(last, frozenset())
        return _unknown([resource for resource in self.unread if resource in relevant], self.host)

    @property
    def _title(self) -> str:
        who = identity_text(self.identity)
        name = "/".join(part for part in (self.request.project, self.request.repository) if part)
        return f"{self.request.action.value} {name} as {who}"


@dataclass(frozen=True, slots=True)
class Listed:
    """The subjects that may do an action, ready to be printed."""

    HEADER: ClassVar[tuple[str, ...]] = ("KIND", "NAME", "LEVEL", "BY", "SOURCE", "NOTE")

    action: str
    name: str
    subjects: tuple[AllowedSubject, ...]
    unread: tuple[str, ...]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """A line for each subject."""
        return [_row(each) for each in self.subjects]

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


async def ask(action: str, image: str, subject: QuerySubject, connection: Connection) -> Answer:
    """Decide one request. Raises KubeError and UnknownSubjectError, each with a sentence."""
    named = parse_image(image)
    async with connect(connection.kubeconfig, connection.context) as client:
        world = await read_world(client, named.project, tokens=bool(subject.token))
        user = await user_name(client) if subject == _CURRENT_USER else ""
    _check_host(named, world)
    try:
        subject = replace(subject, subject=own_name(user, world.snapshot)) if user else subject
        identity = identity_for(subject, world.snapshot)
    except UnknownSubjectError as problem:
        unread = [resource for resource in ("registryusers", "accesstokens") if resource in world.unread]
        raise UnknownSubjectError(_unknown(unread, world.host) or problem.sentence) from None
    request = AccessRequest(Action(action), named.project, named.repository, absent=_is_absent(named, world))
    decision = decide(world.snapshot, identity, request, datetime.now(UTC))
    return Answer(identity, request, decision, world.unread, world.host)


async def who(action: str, image: str, connection: Connection) -> Listed:
    """Find the subjects that may do an action. Raises KubeError, with a sentence."""
    named = parse_image(image)
    async with connect(connection.kubeconfig, connection.context) as client:
        world = await read_world(client, named.project)
    _check_host(named, world)
    found = who_can(world.snapshot, Action(action), named.project, named.repository, datetime.now(UTC))
    return Listed(action, named.name, found, world.unread)


def own_name(user: str, snapshot: Snapshot) -> str:
    """The subject of the kubeconfig's user in the registry. Raises UnknownSubjectError without one."""
    if user.startswith(_KUBERNETES_ACCOUNT):
        return user
    try:
        parse_subject(user, snapshot)
    except UnknownSubjectError:
        raise UnknownSubjectError(
            phrase(
                "No RegistryUser lists {user}, your name in this cluster, in spec.kubernetes.users; choose a "
                "subject with --as.",
                user=user,
            )
        ) from None
    return user


def identity_for(subject: QuerySubject, snapshot: Snapshot) -> Identity:
    """The identity of the queried login. Raises UnknownSubjectError."""
    if subject.token:
        return _with_token(subject, snapshot)
    if not subject.subject:
        return Identity(CredentialKind.OIDC, groups=frozenset(subject.groups))
    identity = identity_of(snapshot, parse_subject(subject.subject, snapshot))
    if not subject.groups:
        return identity
    if identity.credential in (CredentialKind.NONE, CredentialKind.SERVICE_ACCOUNT):
        raise UnknownSubjectError("Only a login at the identity provider has groups; leave --as-group out.")
    # Groups come from the identity provider, with or without a RegistryUser.
    groups = identity.groups.union(subject.groups)
    return replace(identity, credential=CredentialKind.OIDC, kind=SubjectKind.USER, groups=groups)


def _with_token(subject: QuerySubject, snapshot: Snapshot) -> Identity:
    found = next(((key, token) for key, token in snapshot.tokens.items() if token.name == subject.token), None)
    if found is None:
        raise UnknownSubjectError(
            phrase("There is no AccessToken {name}; see kubectl berth token list.", name=subject.token)
        )
    key, token = found
    if subject.groups or (subject.subject and not _owns(subject.subject, token, snapshot)):
        raise UnknownSubjectError(
            phrase(
                "The AccessToken {name} belongs to {owner}; leave out --as and --as-group.",
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
    """The identity as text."""
    if identity.credential is CredentialKind.NONE:
        return "anonymous (not logged in)"
    groups = f"in {' and '.join(f'Group {group}' for group in sorted(identity.groups))}" if identity.groups else ""
    if not identity.name:
        return f"a login {groups}" if groups else "a login without a name"
    token = f"with AccessToken {identity.token}" if identity.token else ""
    return " ".join(part for part in (subject_text(identity.subject), groups, token) if part)


def _unknown(missing: Sequence[str], host: str) -> str:
    """The error that these unread resources are needed, in a sentence; empty when none is missing."""
    if not missing:
        return ""
    return (
        f"The answer is unknown, because you may not read {' and '.join(missing)} in this cluster; open "
        f"https://{host or 'HOST'}/why instead, or ask your registry administrators."
    )


def _is_absent(named: ImageName, world: World) -> bool:
    """Whether the cluster has no object of this name; False if the objects could not be read."""
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


def _row(allowed: AllowedSubject) -> tuple[str, ...]:
    effective = allowed.effective_level
    kind, name = allowed.subject
    note = f"certified until {rfc3339(allowed.until)}" if allowed.until else ""
    if allowed.when_certified:
        note = "only certified logins"
    if effective is None or effective.rule is None:
        return kind.value, name or "-", "-", "-", "-", note
    return kind.value, name or "-", effective.level.value, subject_text(effective.rule), effective.source.value, note
