"""Conditions from findings: the rules for the status of every kind. Pure.

`Ready`, `Reconciling` and `Stalled` follow kstatus (sigs.k8s.io/cli-utils/pkg/kstatus). The last two are present only
when True, and exactly one of them is present while `Ready` is not True, so a waiting tool can tell whether to wait.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from berth.api.conditions import MESSAGE_MAX_LENGTH, Condition, ConditionReason, ConditionType
from berth.status.observed import ApplyFailure

Status = Literal["True", "False", "Unknown"]

QUOTE_MAX_LENGTH: Final = 300
"""Characters of a quoted message (of the API server, kubelet or registry) in a condition."""
NAMES_MAX: Final = 10
"""Names listed in one message."""

_SUMMARY = (ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED)
_ONLY_WHEN_TRUE = (ConditionType.RECONCILING, ConditionType.STALLED, ConditionType.SUSPENDED)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one aspect of an object.

    `settled`: the aspect is in the requested state, so Ready may be True (the stopped registry of a suspended project
    is settled and not available). `stalled`: it needs a change by a user. `is_consequence`: it waits for another
    aspect, whose finding explains more.
    """

    type: ConditionType | None  # None: shown by Ready only
    status: Status
    reason: ConditionReason
    message: str
    settled: bool = False
    stalled: bool = False
    is_consequence: bool = False


def settled(type: ConditionType | None, status: Status, reason: ConditionReason, message: str) -> Finding:
    """A finding in the requested state."""
    return Finding(type, status, reason, message, settled=True)


def progressing(
    type: ConditionType | None, status: Status, reason: ConditionReason, message: str, *, is_consequence: bool = False
) -> Finding:
    """A finding that may change without a user's action."""
    return Finding(type, status, reason, message, is_consequence=is_consequence)


def stalled(type: ConditionType | None, status: Status, reason: ConditionReason, message: str) -> Finding:
    """A finding that needs a user's action; the message says which."""
    return Finding(type, status, reason, message, stalled=True)


def conclude(
    findings: Sequence[Finding], ready: Finding, previous: Iterable[Condition], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """All conditions of an object: the summary first, then one for each finding with a type.

    `ready` is the finding shown when every other one is settled. A condition keeps its `lastTransitionTime` while its
    status stays the same, so the same findings give the same conditions at any time.
    """
    by_type = {condition.type: condition for condition in previous}

    def condition(type: ConditionType, finding: Finding, status: Status | None = None) -> Condition:
        status = status or finding.status
        before = by_type.get(type.value)
        since = before.last_transition_time if before and before.status == status else now
        return Condition(
            type=type.value,
            status=status,
            reason=finding.reason.value,
            message=finding.message[:MESSAGE_MAX_LENGTH],
            last_transition_time=since,
            observed_generation=generation,
        )

    primary = _primary_finding(findings)
    if primary is None:
        summary = [condition(ConditionType.READY, ready, "True")]
    else:
        status: Status = "Unknown" if primary.reason is ConditionReason.INTERNAL_ERROR else "False"
        why = ConditionType.STALLED if primary.stalled else ConditionType.RECONCILING
        summary = [condition(ConditionType.READY, primary, status), condition(why, primary, "True")]
    return (*summary, *(condition(finding.type, finding) for finding in findings if finding.type is not None))


def _primary_finding(findings: Sequence[Finding]) -> Finding | None:
    """The finding that Ready shows: the first stalled one, else the first that is no consequence of another."""
    unsettled = [finding for finding in findings if not finding.settled]
    for candidates in (
        [finding for finding in unsettled if finding.stalled],
        [finding for finding in unsettled if not finding.is_consequence],
        unsettled,
    ):
        if candidates:
            return candidates[0]
    return None


def failed_status(
    previous: Mapping[str, Any],
    generation: int,
    reason: ConditionReason,
    message: str,
    now: datetime,
    *,
    needs_person: bool,
) -> dict[str, Any]:
    """The status of an object that could not be reconciled: a new summary, everything else unchanged.

    For a spec that this version cannot read (`InvalidSpec`, `needs_person=True`) and for errors in Berth
    (`InternalError`, False).
    """
    kept = [Condition.model_validate(entry) for entry in previous.get("conditions", ())]
    finding = Finding(None, "False", reason, message, stalled=needs_person)
    summary = conclude([finding], finding, kept, generation, now)
    others = [entry for entry in kept if entry.type not in {kind.value for kind in _SUMMARY}]
    conditions = [entry.to_dict() for entry in (*summary, *others)]
    return {**previous, "observedGeneration": generation, "conditions": conditions}


def quote(text: str, limit: int = QUOTE_MAX_LENGTH) -> str:
    """Another component's message on one line, without the final full stop, cut at `limit` characters."""
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def parenthesize(text: str) -> str:
    """A quoted message in parentheses, with a space in front; empty for an empty message."""
    return f" ({quote(text)})" if text else ""


def name_some(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return quote(", ".join(names[:NAMES_MAX]), 1000) + more


def refused_child(failure: ApplyFailure) -> Finding:
    """A child that the API server did not accept, shown by Ready."""
    make = stalled if failure.is_permanent else progressing
    sentence = f"The API server refuses {failure.kind} {failure.name}: {quote(failure.message)}."
    return make(None, "False", ConditionReason.APPLY_REFUSED, sentence)


def check_invariants(status: Mapping[str, Any]) -> None:
    """Raise AssertionError when a status violates the contract of every kind."""
    generation = status.get("observedGeneration")
    _require(isinstance(generation, int) and generation >= -1, "observedGeneration is missing")
    conditions: list[Mapping[str, Any]] = list(status.get("conditions", ()))
    if not conditions:
        return
    by_type = {entry["type"]: entry for entry in conditions}
    _require(len(by_type) == len(conditions), "a condition type is repeated")
    for entry in conditions:
        _check_condition(entry, int(generation or 0))
    _check_summary(by_type, generation)
    _check_project(by_type)


def _check_condition(entry: Mapping[str, Any], generation: int) -> None:
    kind, message = entry["type"], entry["message"]
    _require(kind in set(ConditionType), f"{kind} is not a known condition type")
    _require(entry["reason"] in set(ConditionReason), f"{kind}: {entry['reason']} is not a known reason")
    _require(entry["status"] in {"True", "False", "Unknown"}, f"{kind}: status {entry['status']!r}")
    _require(bool(message) and "\n" not in message and message == message.strip(), f"{kind}: message {message!r}")
    _require(len(message) <= MESSAGE_MAX_LENGTH, f"{kind}: message is too long")
    _require(_TIME.fullmatch(entry["lastTransitionTime"]) is not None, f"{kind}: lastTransitionTime")
    _require(entry.get("observedGeneration", 0) <= generation, f"{kind}: a generation above the observed one")
    if kind in set(_ONLY_WHEN_TRUE):
        _require(entry["status"] == "True", f"{kind} is present only when True")


def _check_summary(by_type: Mapping[str, Mapping[str, Any]], generation: object) -> None:
    _require(ConditionType.READY in by_type, "Ready is missing")
    ready = by_type[ConditionType.READY]
    _require(ready.get("observedGeneration") == generation, "Ready is about another generation")
    explained = [kind for kind in (ConditionType.RECONCILING, ConditionType.STALLED) if kind in by_type]
    if ready["status"] == "True":
        _require(not explained, f"Ready is True beside {explained}")
    else:
        _require(len(explained) == 1, f"Ready is not True: exactly one of Reconciling and Stalled, not {explained}")
        same = by_type[explained[0]]
        _require(same["reason"] == ready["reason"], f"Ready and {explained[0]} give different reasons")


def _check_project(by_type: Mapping[str, Mapping[str, Any]]) -> None:
    """The storage of a Ready, running project is writable, and its registry and access respond."""
    needed = (ConditionType.STORAGE_READY, ConditionType.REGISTRY_AVAILABLE, ConditionType.ACCESS_READY)
    if by_type[ConditionType.READY]["status"] != "True" or ConditionType.SUSPENDED in by_type:
        return
    for kind in needed:
        if kind in by_type:
            _require(by_type[kind]["status"] == "True", f"Ready is True and {kind} is {by_type[kind]['status']}")


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)
