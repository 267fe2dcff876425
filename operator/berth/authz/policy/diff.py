"""The rights that subjects gain and lose between two policies. Pure.

Only differences are evaluated: projects with a changed policy, and subjects that changed themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from berth.api.policy import Action
from berth.api.sharing import SubjectKind
from berth.authz.actor import actor_of
from berth.authz.decide import is_allowed
from berth.authz.model import AUTHENTICATED_USERS, PUBLIC, AccessRequest, ProjectPolicy, Snapshot, Subject
from berth.authz.queries import identity_of

NEW_REPOSITORY: Final = "*"
"""Placeholder for the other repositories of a project, existing ones without local sharing and future ones."""

_UNNAMED: Final = "some-undeclared-repository"
_ORDER: Final = {kind: position for position, kind in enumerate(SubjectKind)}


@dataclass(frozen=True, slots=True)
class Change:
    """The actions on one repository that one subject gains and loses."""

    subject: Subject
    project: str
    repository: str  # path; empty for the project itself; `*` for all others in it
    gained: tuple[Action, ...]
    lost: tuple[Action, ...]


def policy_diff(old: Snapshot, new: Snapshot, now: datetime) -> tuple[Change, ...]:
    """Every difference between two policies at one time, by project, repository and subject.

    Teams are listed as their members. A login that no rule names has the rights of AuthenticatedUsers.
    """
    people = _changed_people(old, new)
    changes: list[Change] = []
    for project in sorted({*old.projects, *new.projects}):
        before, after = old.projects.get(project), new.projects.get(project)
        named = _named(old, before) | _named(new, after)
        everyone = frozenset({AUTHENTICATED_USERS, PUBLIC})
        same = before == after and old.public_allowed == new.public_allowed and old.fresh_until == new.fresh_until
        affected = people if named & everyone else people & named
        subjects = affected if same else named | people | everyone
        if subjects:
            changes.extend(_changes(old, new, project, subjects, now))
    return tuple(changes)


def _changes(
    old: Snapshot, new: Snapshot, project: str, subjects: Iterable[Subject], now: datetime
) -> Iterator[Change]:
    paths = _paths(old.projects.get(project)) | _paths(new.projects.get(project))
    for path in ("", NEW_REPOSITORY, *sorted(paths)):
        for subject in sorted(subjects, key=lambda subject: (_ORDER[subject.kind], subject)):
            before = _actions(old, subject, project, path, now)
            after = _actions(new, subject, project, path, now)
            if before != after:
                yield Change(subject, project, path, _in_order(after - before), _in_order(before - after))


def _actions(snapshot: Snapshot, subject: Subject, project: str, path: str, now: datetime) -> frozenset[Action]:
    actor = actor_of(snapshot, identity_of(snapshot, subject), now)
    repository = _UNNAMED if path == NEW_REPOSITORY else path
    actions = Action if path else (Action.VIEW, Action.ADMINISTER)
    return frozenset(
        action for action in actions if is_allowed(snapshot, actor, AccessRequest(action, project, repository), now)
    )


def _in_order(actions: frozenset[Action]) -> tuple[Action, ...]:
    return tuple(action for action in Action if action in actions)


def _paths(project: ProjectPolicy | None) -> frozenset[str]:
    """The repositories with an entry of their own."""
    return frozenset(project.repositories) if project is not None else frozenset()


def _named(snapshot: Snapshot, project: ProjectPolicy | None) -> frozenset[Subject]:
    """Every subject that the sharing of a project or its repositories may apply to, teams as their members."""
    if project is None:
        return frozenset()
    lists = [project.rules, *(found.rules for found in project.repositories.values() if found.rules is not None)]
    named = {rule.subject for rules in lists for rule in rules}
    teams = {subject.name for subject in named if subject.kind is SubjectKind.TEAM}
    members = {member for member, of in snapshot.teams_of.items() if not teams.isdisjoint(of)}
    people = {subject for subject in named | members if subject.kind is not SubjectKind.TEAM}
    if AUTHENTICATED_USERS in named:
        people |= set(snapshot.certifications)  # these may push
    users = {subject.name for subject in people}
    return frozenset(people | {outside for outside, acted in snapshot.aliases.items() if not users.isdisjoint(acted)})


def _changed_people(old: Snapshot, new: Snapshot) -> frozenset[Subject]:
    """Subjects with a changed user, team membership or certification, and the subjects that act as them."""
    users = set(_differing(old.users, new.users))
    # Both kinds: a Robot that is removed or becomes a Person is a User from then on.
    changed = {Subject(kind, name) for kind in (SubjectKind.USER, SubjectKind.ROBOT) for name in users}
    for before, after in (
        (old.teams_of, new.teams_of),
        (old.certifications, new.certifications),
        (old.aliases, new.aliases),
    ):
        changed |= set(_differing(before, after))
    names = {subject.name for subject in changed}
    for snapshot in (old, new):
        changed |= {outside for outside, acted in snapshot.aliases.items() if not names.isdisjoint(acted)}
    return frozenset(changed)


def _differing(old: Mapping[Any, object], new: Mapping[Any, object]) -> Iterator[Any]:
    missing = object()
    return (key for key in {*old, *new} if old.get(key, missing) != new.get(key, missing))
