"""Policies to decide on: a fixed one that every table test starts from, and words for its variants."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from berth.api.policy import Action
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel, SubjectKind
from berth.api.token import TokenScope
from berth.authz.decide import decide
from berth.authz.model import (
    AccessRequest,
    CredentialKind,
    Identity,
    ProjectPolicy,
    RepositoryPolicy,
    Rule,
    Snapshot,
    Subject,
    User,
)

NOW = datetime(2026, 12, 1, 12, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)

PROJECTS = ("alpha", "beta")
PATHS = ("x", "a/b", "y")
USERS = ("ann", "bob", "eve")

ALIGNER = RepositoryPolicy("aligner", has_content=True)

SERVICE = Identity(CredentialKind.SERVICE, "berth-system/berth-operator")
READER = Identity(
    CredentialKind.SERVICE, "berth-system/berth-catalog", frozenset({TokenScope.VIEW, TokenScope.DOWNLOAD})
)


def person(name: str, *scopes: TokenScope) -> Identity:
    """An identity that logged in with a password; with all token scopes unless some are named."""
    return Identity(CredentialKind.PASSWORD, name, frozenset(scopes or TokenScope))


def shared(name: str, level: SharingLevel) -> Rule:
    """A sharing rule for one user."""
    return Rule(SubjectKind.USER, name, level)


def everybody(level: SharingLevel) -> Rule:
    """A sharing rule for everyone with a login."""
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
        shared("viewer", SharingLevel.VIEW),
        shared("reader", SharingLevel.DOWNLOAD),
        shared("editor", SharingLevel.EDIT),
        shared("deleter", SharingLevel.EDIT_AND_DELETE),
        shared("admin", SharingLevel.ADMINISTER),
        shared("novice", SharingLevel.EDIT),
        shared("disabled", SharingLevel.ADMINISTER),
    )
    project = ProjectPolicy("genomics", rules, repositories={"aligner": RepositoryPolicy("aligner", has_content=True)})
    users = {name: User(name) for name in ("viewer", "reader", "novice", "stranger", "editor", "deleter", "admin")}
    users["disabled"] = User("disabled", disabled=True)
    certifications = {Subject(SubjectKind.USER, name): None for name in ("editor", "deleter", "admin", "disabled")}
    changed = replace(project, **changes)  # type: ignore[arg-type]
    return Snapshot(1, {"genomics": changed}, users, certifications=certifications)


def reason(
    snapshot: Snapshot,
    identity: Identity,
    action: Action,
    repository: str = "aligner",
    *,
    project: str = "genomics",
    layer: int | None = None,
) -> Reason | None:
    """Why it is refused; None when it is allowed."""
    decision = decide(snapshot, identity, AccessRequest(action, project, repository, layer), NOW)
    assert decision.allowed is (decision.reason is None)
    return decision.reason


def with_repository(repository: RepositoryPolicy, **changes: object) -> Snapshot:
    """The same project with this repository alone."""
    return lab(repositories={repository.path: repository}, **changes)
