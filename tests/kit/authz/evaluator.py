"""A second evaluator, written from the tables of the documentation and sharing nothing with the chain but its words.

It answers every reason against a request, in no order; the chain must tell the first of them in the documented order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from berth.api.policy import Action
from berth.api.reasons import Reason
from berth.authz.model import AccessRequest, CredentialKind, Identity, ProjectPolicy, Snapshot

RANKS = {"view": 1, "pull": 2, "push": 3, "delete": 4, "administer": 5}
SCOPES = {"view": {"view"}, "pull": {"download"}, "push": {"download", "modify"}}
REPORTED_FAILURES = {
    "BadCredentials",
    "TooManyAttempts",
    "TokenExpired",
    "TokenRevoked",
    "UserDisabled",
    "IssuerUnavailable",
}
PEOPLE = {"Password", "AccessToken", "ServiceAccount", "OIDC"}


def expected(snapshot: Snapshot, identity: Identity, request: AccessRequest, now: datetime) -> set[Reason]:
    """Every reason against the request; none when it is allowed.

    A repository whose local sharing excludes a user of the project is refused as if it did not exist.
    """
    project = snapshot.projects.get(request.project)
    if project is None or request.repository not in project.repositories or identity.credential == "Service":
        return reasons(snapshot, identity, request, now)
    others = {path: found for path, found in project.repositories.items() if path != request.repository}
    without = replace(project, repositories=others)
    by_project = strongest_level(snapshot, without, request.repository, identity)
    if strongest_level(snapshot, project, request.repository, identity) or not by_project:
        return reasons(snapshot, identity, request, now)
    world = replace(snapshot, projects={**snapshot.projects, request.project: without})
    return reasons(world, identity, replace(request, absent=True), now) or {_nothing_there(identity)}


def _nothing_there(identity: Identity) -> Reason:
    return Reason.NOT_AUTHENTICATED if identity.credential == "None" else Reason.NOT_FOUND


def reasons(snapshot: Snapshot, identity: Identity, request: AccessRequest, now: datetime) -> set[Reason]:
    """The same without a repository that is hidden from a user of the project."""
    found = set(_of_the_name(request))
    failures = set(_of_the_credential(snapshot, identity, now))
    project = snapshot.projects.get(request.project)
    service = identity.credential == "Service"
    level = 0
    if project is not None and not failures:
        level = 3 if service else strongest_level(snapshot, project, request.repository, identity)
    if level == 0 or (not service and _is_absent(snapshot, identity, request, now)):
        found.add(_nothing_there(identity))
    if level < RANKS[request.action.value]:
        found.add(Reason.LEVEL_TOO_LOW)
    if project is not None:
        found |= set(_of_the_project(project, request, service=service))
    if not service:
        found |= set(_of_the_person(snapshot, identity, request, now))
    if not SCOPES.get(request.action.value, {"modify"}) <= allowed_scopes(snapshot, identity):
        found.add(Reason.TOKEN_SCOPE_MISSING)
    return found | failures


def _is_absent(snapshot: Snapshot, identity: Identity, request: AccessRequest, now: datetime) -> bool:
    """Whether this asks for what is not there, and the asker may not be the one to push it."""
    known = request.repository in snapshot.projects[request.project].repositories
    if known or not request.absent or not request.repository or request.action.value == "push":
        return False
    first_push = AccessRequest(Action.PUSH, request.project, request.repository)
    return bool(reasons(snapshot, identity, first_push, now))


def strongest_level(snapshot: Snapshot, project: ProjectPolicy, path: str, identity: Identity) -> int:
    """The number of the level by the sharing in force; 0 for none."""
    local = project.repositories[path].rules if path in project.repositories else None
    strongest = 0
    for rule in project.rules if local is None else local:
        if speaks_of(snapshot, rule.kind.value, rule.name, identity):
            strongest = max(strongest, min(rule.level.rank, 2) if rule.kind == "Public" else rule.level.rank)
    return strongest


def speaks_of(snapshot: Snapshot, kind: str, name: str, identity: Identity) -> bool:
    """Whether a subject of a rule means this identity."""
    if kind == "Public":
        return snapshot.public_allowed
    if identity.credential.value not in PEOPLE:
        return False
    if kind == "AuthenticatedUsers":
        return True
    if kind == "Group":
        return name in identity.groups
    if kind == "Team":
        return any(
            name in teams and speaks_of(snapshot, member.kind.value, member.name, identity)
            for member, teams in snapshot.teams_of.items()
        )
    return (kind, name) in set(persons(snapshot, identity))


def persons(snapshot: Snapshot, identity: Identity) -> Iterator[tuple[str, str]]:
    """The kind and name of each person that an identity is."""
    for name in user_names(snapshot, identity):
        if name in snapshot.users:
            yield ("Robot" if snapshot.users[name].robot else "User"), name
    if identity.credential == "ServiceAccount":
        yield "ServiceAccount", identity.name
    if identity.credential == "OIDC" and identity.name not in snapshot.users:
        yield "User", identity.name


def user_names(snapshot: Snapshot, identity: Identity) -> set[str]:
    """The users that an identity is or acts as, whether they exist or not."""
    kind = {"ServiceAccount": "ServiceAccount", "OIDC": "User"}.get(identity.credential.value)
    listed = {name for outside, names in snapshot.aliases.items() if outside == (kind, identity.name) for name in names}
    return listed if identity.credential == "ServiceAccount" else listed | {identity.name}


def allowed_scopes(snapshot: Snapshot, identity: Identity) -> set[str]:
    """What the credential may be used for."""
    scopes = {scope.value for scope in identity.scopes}
    token = snapshot.tokens.get(identity.token_sha256)
    return scopes & {scope.value for scope in token.scopes} if token is not None else scopes


def _of_the_name(request: AccessRequest) -> Iterator[Reason]:
    content = RANKS[request.action.value] in (2, 3, 4)
    if request.repository == "Not/A/Name" or (request.repository == "" and content):
        yield Reason.INVALID_REQUEST


def _of_the_credential(snapshot: Snapshot, identity: Identity, now: datetime) -> Iterator[Reason]:
    if identity.credential is CredentialKind.FAILED:
        proper = identity.failure is not None and identity.failure.value in REPORTED_FAILURES
        yield identity.failure if identity.failure is not None and proper else Reason.BAD_CREDENTIALS
    if identity.credential.value not in PEOPLE:
        return
    users = [snapshot.users[name] for name in user_names(snapshot, identity) if name in snapshot.users]
    end = identity.expires_at
    if identity.credential is CredentialKind.PASSWORD and not users:
        yield Reason.TOKEN_REVOKED
    if identity.credential is CredentialKind.ACCESS_TOKEN:
        token = snapshot.tokens.get(identity.token_sha256)
        if token is None or token.owner not in set(persons(snapshot, identity)):
            yield Reason.TOKEN_REVOKED
            return  # of a token that is not (or no longer) theirs nothing else can be said
        end = token.expires_at
    if end is not None and not now < end:
        yield Reason.TOKEN_EXPIRED
    if any(user.disabled for user in users):
        yield Reason.USER_DISABLED


def _of_the_project(project: ProjectPolicy, request: AccessRequest, *, service: bool) -> Iterator[Reason]:
    repository = project.repositories.get(request.repository)
    states = {project.state.value} | ({repository.state.value} if repository is not None else set())
    action, push = request.action.value, request.action.value == "push"
    if not service and project.state.value == "Trashed":
        yield Reason.PROJECT_TRASHED
    if not service and repository is not None and repository.state.value == "Trashed":
        yield Reason.REPOSITORY_TRASHED
    if not service and "Suspended" in states:
        yield Reason.PROJECT_SUSPENDED
    if repository is not None and repository.external and action in ("pull", "push", "delete"):
        yield Reason.EXTERNAL_REPOSITORY
    if push and not service and repository is None and project.creation.value == "Declared":
        yield Reason.CREATION_DECLARED
    if push and project.layer_size_limit is not None and (request.largest_layer or 0) > project.layer_size_limit:
        yield Reason.LAYER_TOO_LARGE


def _of_the_person(snapshot: Snapshot, identity: Identity, request: AccessRequest, now: datetime) -> Iterator[Reason]:
    fresh = snapshot.fresh_until is None or now < snapshot.fresh_until
    if request.action.value in ("push", "delete", "administer") and not fresh:
        yield Reason.POLICY_STALE
    if request.action.value != "push":
        return
    mine = [end for person, end in snapshot.certifications.items() if person in set(persons(snapshot, identity))]
    if not mine:
        yield Reason.NOT_CERTIFIED
    elif all(end is not None and end <= now for end in mine):
        yield Reason.CERTIFICATION_EXPIRED
