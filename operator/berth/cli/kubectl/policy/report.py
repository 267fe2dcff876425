"""The output of `policy test` and `policy diff`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any
from xml.etree import ElementTree

import click

from berth.api.text import full_name
from berth.authz.checks import subject_text
from berth.authz.explain import explain
from berth.authz.policy.diff import Change
from berth.authz.policy.expectations import Outcome


def lines(outcomes: Sequence[Outcome], *, quiet: bool = False) -> Iterator[str]:
    """A line for each met expectation; for a failed one the expected (-) and actual (+) result and the reason."""
    for test, each in groupby(outcomes, key=lambda outcome: outcome.test):
        group = list(each)
        if quiet and all(outcome.passed for outcome in group):
            continue
        yield f"AccessTest {test}"
        for outcome in group:
            if not outcome.passed:
                yield from _failure(outcome)
            elif not quiet:
                yield f"  {click.style('ok', fg='green')}    {outcome.title}: {outcome.found}"
    failed = sum(not outcome.passed for outcome in outcomes)
    yield f"{_count(len(outcomes), 'expectation')}, {failed or 'none'} failed."


def _failure(outcome: Outcome) -> Iterator[str]:
    yield f"  {click.style('FAIL', fg='red')}  {outcome.title}"
    yield click.style(f"        - {outcome.expected}", fg="red")
    yield click.style(f"        + {outcome.found}", fg="green")
    yield f"          {_why(outcome)}"


def _why(outcome: Outcome) -> str:
    if not outcome.decision.allowed:
        return outcome.decision.sentence
    return next((step.detail for step in outcome.decision.trace if step.check == "visible"), "")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def junit(outcomes: Sequence[Outcome]) -> bytes:
    """The outcomes as JUnit XML: a suite for each AccessTest, a case for each expectation."""
    failed = sum(not outcome.passed for outcome in outcomes)
    root = ElementTree.Element("testsuites", _numbers("kubectl berth policy test", len(outcomes), failed))
    for test, each in groupby(outcomes, key=lambda outcome: outcome.test):
        group = list(each)
        lost = sum(not outcome.passed for outcome in group)
        suite = ElementTree.SubElement(root, "testsuite", _numbers(test, len(group), lost))
        for outcome in group:
            _case(suite, outcome)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _numbers(name: str, tests: int, failures: int) -> dict[str, str]:
    return {"name": name, "tests": str(tests), "failures": str(failures), "errors": "0"}


def _case(suite: ElementTree.Element, outcome: Outcome) -> None:
    title = f"{outcome.number}. {outcome.title}"
    case = ElementTree.SubElement(suite, "testcase", classname=outcome.test, name=title)
    if not outcome.passed:
        message = f"expected {outcome.expected}, found {outcome.found}"
        ElementTree.SubElement(case, "failure", message=message).text = "\n".join(explain(outcome.decision))


def change_lines(changes: Sequence[Change]) -> Iterator[str]:
    """The gained (+) and lost (-) actions of each subject, grouped by name."""
    for name, each in groupby(changes, key=_name):
        yield name
        for change in each:
            who = subject_text(change.subject)
            if change.gained:
                yield click.style(f"  + {who}: {', '.join(change.gained)}", fg="green")
            if change.lost:
                yield click.style(f"  - {who}: {', '.join(change.lost)}", fg="red")


def changes_document(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """The changes as JSON."""
    return [
        {
            "name": _name(change),
            "subject": {"kind": change.subject.kind.value, "name": change.subject.name or None},
            "gained": [action.value for action in change.gained],
            "lost": [action.value for action in change.lost],
        }
        for change in changes
    ]


def _name(change: Change) -> str:
    return full_name(change.project, change.repository)
