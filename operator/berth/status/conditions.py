"""From findings to conditions: the rules that hold for the status of every kind. Pure.

Meaning of `Ready`, `Reconciling` and `Stalled`: kstatus (sigs.k8s.io/cli-utils/pkg/kstatus). The last two are present
only when True and never together, and whenever `Ready` is not True exactly one of them is there, so that a waiting
tool always knows whether to go on waiting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from berth.api.conditions import MESSAGE_MAX_LENGTH, Condition, ConditionReason, ConditionType

Status = Literal["True", "False", "Unknown"]

QUOTE_MAX_LENGTH: Final = 300
"""Characters of what somebody else (API server, kubelet, registry) said that a condition repeats."""

_SUMMARY = (ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED)
_ONLY_WHEN_TRUE = (ConditionType.RECONCILING, ConditionType.STALLED, ConditionType.SUSPENDED)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look at one aspect found.

    `settled`: that aspect is as the spec asks, so it does not keep the object from being Ready (a stopped registry of
    a suspended project is settled and not available). `stalled`: only a person can mend it. `follows`: it waits for
    another aspect, whose finding explains more.
    """

    about: ConditionType | None  # None: told by Ready alone
    status: Status
    reason: ConditionReason
    message: str
    settled: bool = False
    stalled: bool = False
    follows: bool = False


def settled(about: ConditionType | None, status: Status, reason: ConditionReason, message: str) -> Finding:
    """A finding that is as the spec asks."""
    return Finding(about, status, reason, message, settled=True)


def progressing(
    about: ConditionType | None, status: Status, reason: ConditionReason, message: str, *, follows: bool = False
) -> Finding:
    """A finding that time may change without anybody's doing."""
    return Finding(about, status, reason, message, follows=follows)


def stalled(about: ConditionType | None, status: Status, reason: ConditionReason, message: str) -> Finding:
    """A finding that only a person can change; the message says how."""
    return Finding(about, status, reason, message, stalled=True)


def conclude(
    findings: Sequence[Finding], ready: Finding, previous: Iterable[Condition], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """All conditions of an object: its summary first, then one for each finding about a type of its own.

    `ready` is told when every finding is settled. A condition keeps its `lastTransitionTime` while its status is the
    same, so the same findings give the same conditions at any time.
    """
    before = {condition.type: condition for condition in previous}

    def condition(about: ConditionType, finding: Finding, status: Status | None = None) -> Condition:
        said = status or finding.status
        known = before.get(about.value)
        since = known.last_transition_time if known and known.status == said else now
        return Condition(
            type=about.value,
            status=said,
            reason=finding.reason.value,
            message=finding.message[:MESSAGE_MAX_LENGTH],
            last_transition_time=since,
            observed_generation=generation,
        )

    open_finding = _most_telling(findings)
    if open_finding is None:
        summary = [condition(ConditionType.READY, ready, "True")]
    else:
        said: Status = "Unknown" if open_finding.reason is ConditionReason.INTERNAL_ERROR else "False"
        why = ConditionType.STALLED if open_finding.stalled else ConditionType.RECONCILING
        summary = [condition(ConditionType.READY, open_finding, said), condition(why, open_finding, "True")]
    return (*summary, *(condition(found.about, found) for found in findings if found.about is not None))


def _most_telling(findings: Sequence[Finding]) -> Finding | None:
    """The finding that explains best why the object is not ready: what a person must mend, else the first cause."""
    unsettled = [finding for finding in findings if not finding.settled]
    for wanted in (
        [finding for finding in unsettled if finding.stalled],
        [finding for finding in unsettled if not finding.follows],
        unsettled,
    ):
        if wanted:
            return wanted[0]
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
    """A status for an object that could not be judged: the rest of it stays as it was, the summary says why.

    For a spec that this version can not read (`InvalidSpec`, `needs_person=True`) and for errors in Berth
    (`InternalError`, False).
    """
    kept = [Condition.model_validate(entry) for entry in previous.get("conditions", ())]
    finding = Finding(None, "False", reason, message, stalled=needs_person)
    summary = conclude([finding], finding, kept, generation, now)
    others = [entry for entry in kept if entry.type not in {kind.value for kind in _SUMMARY}]
    conditions = [entry.to_dict() for entry in (*summary, *others)]
    return {**previous, "observedGeneration": generation, "conditions": conditions}


def quote(text: str, limit: int = QUOTE_MAX_LENGTH) -> str:
    """What somebody else said, on one line, without the final full stop, cut at `limit` characters."""
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def check_invariants(status: Mapping[str, Any]) -> None:
    """Raises AssertionError when a status breaks the contract that holds for every kind and every moment."""
    generation = status.get("observedGeneration")
    _require(isinstance(generation, int) and generation >= -1, "observedGeneration is missing")
    conditions: list[Mapping[str, Any]] = list(status.get("conditions", ()))
    if not conditions:
        return
    by_type = {entry["type"]: entry for entry in conditions}
    _require(len(by_type) == len(conditions), "a condition type stands twice")
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
    _require(entry.get("observedGeneration", 0) <= generation, f"{kind}: judged a generation that is not observed")
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
    """A Ready project that is in use has been written to and answers."""
    needed = (ConditionType.STORAGE_READY, ConditionType.REGISTRY_AVAILABLE, ConditionType.ACCESS_READY)
    if by_type[ConditionType.READY]["status"] != "True" or ConditionType.SUSPENDED in by_type:
        return
    for kind in needed:
        if kind in by_type:
            _require(by_type[kind]["status"] == "True", f"Ready is True and {kind} is {by_type[kind]['status']}")


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)
