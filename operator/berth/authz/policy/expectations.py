"""Checks of the expectations in AccessTests, by `decide`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from berth.api.accesstest import AccessTest, Expectation
from berth.api.policy import Action
from berth.api.sharing import SubjectKind
from berth.api.token import TokenScope
from berth.authz.checks import subject_text
from berth.authz.decide import decide
from berth.authz.model import AccessRequest, Decision, Snapshot, Subject
from berth.authz.queries import identity_of


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one expectation. `number` counts from 1 within its test."""

    test: str
    number: int
    expectation: Expectation
    decision: Decision

    @property
    def passed(self) -> bool:
        """Whether the decision is as expected, and the reason if one is expected."""
        expectation = self.expectation
        return self.decision.allowed is expectation.allowed and expectation.reason in (None, self.decision.reason)

    @property
    def title(self) -> str:
        """`User curator push genomics/aligner [download]`."""
        expectation = self.expectation
        scopes = f" [{' '.join(scope.value for scope in expectation.scopes)}]" if expectation.scopes else ""
        return f"{subject_text(_subject(expectation))} {expectation.action.value} {expectation.image}{scopes}"

    @property
    def expected(self) -> str:
        """`allowed`, `denied` or `denied: NotCertified`."""
        return _outcome_text(self.expectation.allowed, self.expectation.reason)

    @property
    def found(self) -> str:
        """The decision in the same form."""
        return _outcome_text(self.decision.allowed, self.decision.reason)


def run_tests(snapshot: Snapshot, tests: Iterable[AccessTest], now: datetime) -> tuple[Outcome, ...]:
    """Every expectation of every test, in order, each at the time of its test (`now` where it names none)."""
    return tuple(
        Outcome(test.metadata.name, number, expectation, _decide(snapshot, expectation, test.spec.at or now))
        for test in tests
        for number, expectation in enumerate(test.spec.expect, start=1)
    )


def _decide(snapshot: Snapshot, expectation: Expectation, now: datetime) -> Decision:
    words = expectation.scopes
    scopes = frozenset(words) if words is not None else frozenset(TokenScope)
    identity = identity_of(snapshot, _subject(expectation), scopes)
    return decide(snapshot, identity, AccessRequest(Action(expectation.action.value), *expectation.name), now)


def _subject(expectation: Expectation) -> Subject:
    return Subject(SubjectKind(expectation.subject.kind.value), expectation.subject.name or "")


def _outcome_text(allowed: bool, reason: object) -> str:
    return "allowed" if allowed else f"denied: {reason}" if reason is not None else "denied"
