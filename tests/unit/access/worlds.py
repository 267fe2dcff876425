"""Policies to decide on: a fixed one that every table test starts from, and random ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from berth.access.model import (
    AccessRequest,
    Action,
    Creation,
    CredentialKind,
    Identity,
    Level,
    ProjectPolicy,
    RepositoryPolicy,
    Rule,
    Snapshot,
    State,
    Subject,
    SubjectKind,
    TokenScope,
    User,
)
from berth.api.reasons import Reason

NOW = datetime(2026, 12, 1, 12, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)

PROJECTS = ("alpha", "beta")
PATHS = ("x", "a/b", "y")
USERS = ("ann", "bob", "eve")

SERVICE = Identity(CredentialKind.SERVICE, "berth-system/berth-operator")


def person(name: str, *scopes: TokenScope) -> Identity:
    """Somebody who logged in with a password; with all token scopes unless some are named."""
    return Identity(CredentialKind.PASSWORD, name, frozenset(scopes or TokenScope))


def shared(name: str, level: Level) -> Rule:
    """A sharing rule for one user."""
    return Rule(SubjectKind.USER, name, level)


def everybody(level: Level) -> Rule:
    """A sharing rule for whoever is logged in."""
    return Rule(SubjectKind.AUTHENTICATED_USERS, "", level)


def certified(snapshot: Snapshot, name: str, until: datetime | None = None) -> Snapshot:
    """The same world where that person exists and has this one certification."""
    return replace(
        snapshot,
        users={**snapshot.users, name: User(name)},
        certifications={**snapshot.certifications, Subject(SubjectKind.USER, name): until},
    )


def lab(**changes: object) -> Snapshot:
    """Project `genomics` with repository `aligner`: one person for each level, `editor` and above certified."""
    rules = (
        shared("viewer", Level.VIEW),
        shared("reader", Level.DOWNLOAD),
        shared("editor", Level.EDIT),
        shared("deleter", Level.EDIT_AND_DELETE),
        shared("admin", Level.ADMINISTER),
        shared("novice", Level.EDIT),
        shared("disabled", Level.ADMINISTER),
    )
    project = ProjectPolicy("genomics", rules, repositories={"aligner": RepositoryPolicy("aligner", has_content=True)})
    users = {name: User(name) for name in ("viewer", "reader", "novice", "stranger", "editor", "deleter", "admin")}
    users["disabled"] = User("disabled", disabled=True)
    certifications = {Subject(SubjectKind.USER, name): None for name in ("editor", "deleter", "admin", "disabled")}
    changed = replace(project, **changes)  # type: ignore[arg-type]
    return Snapshot(1, {"genomics": changed}, users, certifications=certifications)


def random_rules(rng: Random) -> tuple[Rule, ...]:
    """Up to three rules, duplicates and contradictions included."""
    return tuple(
        everybody(rng.choice(list(Level)))
        if rng.random() < 0.25
        else shared(rng.choice(USERS), rng.choice(list(Level)))
        for _ in range(rng.choice((0, 1, 1, 2, 3)))
    )


def random_snapshot(rng: Random) -> Snapshot:
    """A small world, so that requests often meet what is in it."""
    return Snapshot(
        rng.randrange(1000),
        {project: _random_project(rng, project) for project in PROJECTS if rng.random() < 0.8},
        {name: _random_user(rng, name) for name in USERS if rng.random() < 0.9},
    )


def random_identity(rng: Random) -> Identity:
    """Mostly people; sometimes nobody, one of Berth's own, or refused credentials."""
    scopes = frozenset(scope for scope in TokenScope if rng.random() < 0.85)
    kind = rng.choices(list(CredentialKind), weights=(1, 12, 1, 1))[0]
    if kind is CredentialKind.NONE:
        return Identity(kind)
    if kind is CredentialKind.FAILED:
        return Identity(kind, rng.choice(USERS), scopes, rng.choice([None, *Reason]))
    return Identity(kind, rng.choice(USERS), scopes)


def random_request(rng: Random) -> AccessRequest:
    """Any action on a repository, now and then on a project or on a name that is none."""
    repository = rng.choices((*PATHS, "new", "", "Not/A/Name"), weights=(5, 5, 5, 3, 2, 1))[0]
    layer = rng.choice((None, None, 5, 10, 11))
    return AccessRequest(rng.choice(list(Action)), rng.choice((*PROJECTS, *PROJECTS, "absent")), repository, layer)


def _random_project(rng: Random, project: str) -> ProjectPolicy:
    return ProjectPolicy(
        project,
        random_rules(rng),
        _random_state(rng),
        rng.choice(list(Creation)),
        rng.choice((None, 10)),
        {path: _random_repository(rng, path) for path in PATHS if rng.random() < 0.7},
    )


def _random_repository(rng: Random, path: str) -> RepositoryPolicy:
    return RepositoryPolicy(
        path,
        random_rules(rng) if rng.random() < 0.5 else None,
        _random_state(rng),
        external=rng.random() < 0.15,
        has_content=rng.random() < 0.7,
    )


def _random_state(rng: Random) -> State:
    return rng.choices(list(State), weights=(8, 1, 1))[0]


def _random_user(rng: Random, name: str) -> User:
    until = rng.choice((None, NOW - SECOND, NOW, NOW + SECOND))
    return User(name, disabled=rng.random() < 0.1, certified=rng.random() < 0.7, certified_until=until)
