"""Random worlds with every kind of subject and credential, so small that requests often match the objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, Final, TypeVar

import hypothesis
from hypothesis import strategies

from berth.api.policy import Action, PolicyState
from berth.api.project import RepositoryCreation
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel, SubjectKind
from berth.api.token import TokenScope
from berth.authz.model import (
    AccessRequest,
    AccessTokenRecord,
    CredentialKind,
    Identity,
    ProjectPolicy,
    RepositoryPolicy,
    Rule,
    Snapshot,
    Subject,
    User,
)
from tests.kit.authz.worlds import NOW, SECOND

_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")

EXAMPLES: Final = 75
"""Worlds that Hypothesis tries for each property."""

PROJECTS = ("alpha", "beta")
PATHS = ("x", "a/b")
PEOPLE = ("ann", "bob", "nightly")  # the last one usually is a robot
ACCOUNTS = ("ns/ci", "ns/web")
OUTSIDE = ("ann", "carl", "bob@example.org")
GROUPS = ("idp:one", "idp:two")
TEAMS = ("red", "blue")
HASHES = ("h0", "h1")

USER, ROBOT, ACCOUNT = SubjectKind.USER, SubjectKind.ROBOT, SubjectKind.SERVICE_ACCOUNT
PERSONS = (
    *(Subject(kind, name) for kind in (USER, ROBOT) for name in PEOPLE),
    Subject(USER, "carl"),
    *(Subject(ACCOUNT, name) for name in ACCOUNTS),
)
MEMBERS = (*PERSONS, *(Subject(SubjectKind.GROUP, name) for name in GROUPS))
NAMED = (
    *MEMBERS,
    *(Subject(SubjectKind.TEAM, name) for name in TEAMS),
    Subject(SubjectKind.AUTHENTICATED_USERS),
    Subject(SubjectKind.PUBLIC),
)
LEVELS, ACTIONS, SCOPES, STATES = tuple(SharingLevel), tuple(Action), tuple(TokenScope), tuple(PolicyState)
PROVEN = (CredentialKind.PASSWORD, CredentialKind.ACCESS_TOKEN, CredentialKind.SERVICE_ACCOUNT, CredentialKind.OIDC)
CREDENTIALS = (*PROVEN, *PROVEN, *PROVEN, CredentialKind.NONE, CredentialKind.SERVICE, CredentialKind.FAILED)
ENDS = (None, NOW - SECOND, NOW, NOW + SECOND)
FAILURES = (None, *Reason)
SCOPE_SETS = tuple(frozenset(SCOPES[n] for n in range(3) if mask & 1 << n) for mask in range(8))


@dataclass(frozen=True, slots=True)
class Case:
    """One world, an identity in it, and its request."""

    snapshot: Snapshot
    identity: Identity
    request: AccessRequest


class Dice:
    """Random choices from fractions in [0, 1); smaller fractions choose less."""

    def __init__(self, fraction: Callable[[], float]) -> None:
        self.fraction = fraction

    def chance(self, share: float) -> bool:
        return self.fraction() >= 1 - share

    def pick(self, items: Sequence[_Item]) -> _Item:
        return items[int(self.fraction() * len(items))]

    def some(self, items: Sequence[_Item], share: float) -> Iterator[_Item]:
        return (item for item in items if self.fraction() >= 1 - share)


def seeded_dice(seed: int) -> Dice:
    """Quick choices, the same for the same seed."""
    return Dice(Random(seed).random)


def drawn_dice(draw: Callable[[strategies.SearchStrategy[int]], int]) -> Dice:
    """Choices that Hypothesis makes and shrinks: to false, to the first item, to no item."""
    thousandths = strategies.integers(0, 999)
    return Dice(lambda: draw(thousandths) / 1000)


def random_case(dice: Dice) -> Case:
    """A world, an identity and a request."""
    snapshot = random_snapshot(dice)
    return Case(snapshot, random_identity(dice), random_request(dice))


@strategies.composite
def drawn_cases(draw: strategies.DrawFn) -> Case:
    """The worlds of `random_case` as a Hypothesis strategy."""
    return random_case(drawn_dice(draw))


def cases(seed: int, count: int) -> Iterator[Case]:
    """That many worlds, each with one request; the same for the same seed."""
    dice = seeded_dice(seed)
    return (random_case(dice) for _ in range(count))


def check_worlds(
    holds: Callable[[Case, Dice], _Outcome], *, seed: int, count: int, examples: int = EXAMPLES
) -> Counter[_Outcome]:
    """Check a property with Hypothesis, which shrinks a failing world, then in many more seeded worlds.

    `holds` raises AssertionError, and may make further choices with the dice. Returns how often it returned what in the
    seeded worlds.
    """

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=examples)
    @hypothesis.given(drawn_cases(), strategies.data())
    def check_drawn(case: Case, data: strategies.DataObject) -> None:
        holds(case, drawn_dice(data.draw))

    check_drawn()
    dice = seeded_dice(seed + 1000)
    return Counter(holds(case, dice) for case in cases(seed, count))


def random_rules(dice: Dice) -> tuple[Rule, ...]:
    """Up to eight rules, duplicates and contradictions included."""
    subjects = [dice.pick(NAMED) for _ in range(dice.pick(range(9)))]
    return tuple(Rule(subject.kind, subject.name, dice.pick(LEVELS)) for subject in subjects)


def random_snapshot(dice: Dice) -> Snapshot:
    """Mostly a running project whose people exist."""
    return Snapshot(
        generation=1,
        projects={name: _project(dice, name) for name in dice.some(PROJECTS, 0.85)},
        users={name: _user(dice, name) for name in dice.some(PEOPLE, 0.85)},
        tokens={key: _token(dice) for key in dice.some(HASHES, 0.8)},
        teams_of={member: frozenset(dice.some(TEAMS, 0.6)) for member in dice.some(MEMBERS, 0.4)},
        aliases=_aliases(dice),
        certifications={person: dice.pick(ENDS) for person in dice.some(PERSONS, 0.5)},
        public_allowed=dice.chance(0.5),
        fresh_until=dice.pick(ENDS) if dice.chance(0.2) else None,
    )


def random_identity(dice: Dice) -> Identity:
    """Any credential, named, scoped and aged at random."""
    credential = dice.pick(CREDENTIALS)
    scopes = SCOPE_SETS[-1] if dice.chance(0.7) else dice.pick(SCOPE_SETS)
    fields: dict[str, Any] = {}
    if credential is CredentialKind.NONE:
        name = ""
    elif credential is CredentialKind.SERVICE_ACCOUNT:
        name, fields = dice.pick(ACCOUNTS), {"kind": ACCOUNT, "expires_at": _end(dice)}
    elif credential is CredentialKind.OIDC:
        groups = frozenset(dice.some(GROUPS, 0.4))
        name, fields = dice.pick(OUTSIDE), {"groups": groups, "expires_at": _end(dice)}
    else:
        name = dice.pick(("ann", *PEOPLE))
    if credential is CredentialKind.ACCESS_TOKEN:
        fields = {"token": "laptop", "token_sha256": dice.pick(HASHES)}
    if credential is CredentialKind.FAILED:
        fields = {"failure": dice.pick(FAILURES)}
    return Identity(credential, name, scopes, **fields)


def random_request(dice: Dice) -> AccessRequest:
    """Any action on a repository, now and then on a project or on a name that is none."""
    luck = dice.fraction()
    repository = dice.pick(PATHS) if luck < 0.8 else "new" if luck < 0.9 else "" if luck < 0.98 else "Not/A/Name"
    project = dice.pick(PROJECTS) if dice.chance(0.97) else "absent"
    layer = dice.pick((5, 10, 11)) if dice.chance(0.6) else None
    return AccessRequest(dice.pick(ACTIONS), project, repository, layer, absent=dice.chance(0.5))


def _project(dice: Dice, name: str) -> ProjectPolicy:
    return ProjectPolicy(
        project_id=name,
        rules=random_rules(dice),
        state=_state(dice),
        creation=RepositoryCreation.DECLARED if dice.chance(0.4) else RepositoryCreation.ON_PUSH,
        layer_size_limit=10 if dice.chance(0.6) else None,
        repositories={path: _repository(dice, path) for path in dice.some(PATHS, 0.7)},
    )


def _repository(dice: Dice, path: str) -> RepositoryPolicy:
    return RepositoryPolicy(
        path=path,
        rules=random_rules(dice) if dice.chance(0.4) else None,
        state=_state(dice),
        external=dice.chance(0.1),
        has_content=dice.chance(0.7),
    )


def _user(dice: Dice, name: str) -> User:
    return User(name, robot=(name == "nightly") is not dice.chance(0.1), disabled=dice.chance(0.1))


def _token(dice: Dice) -> AccessTokenRecord:
    owner = dice.pick((Subject(USER, "ann"), Subject(USER, "ann"), Subject(USER, "bob"), Subject(ROBOT, "nightly")))
    scopes = SCOPE_SETS[-1] if dice.chance(0.6) else dice.pick(SCOPE_SETS)
    return AccessTokenRecord("laptop", owner, scopes, _end(dice))


def _aliases(dice: Dice) -> Mapping[Subject, frozenset[str]]:
    outside = (Subject(USER, "bob@example.org"), Subject(USER, "ann"), Subject(ACCOUNT, "ns/ci"))
    return {name: frozenset(dice.some(PEOPLE, 0.4)) for name in dice.some(outside, 0.5)}


def _state(dice: Dice) -> PolicyState:
    return dice.pick(STATES) if dice.chance(0.15) else PolicyState.ACTIVE


def _end(dice: Dice) -> datetime | None:
    return dice.pick(ENDS) if dice.chance(0.2) else None
