"""Explanations of a decision as text and as JSON, from its own trace. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from berth.api.text import full_name, phrase
from berth.authz.actor import actor_of, certified_until
from berth.authz.checks import subject_text
from berth.authz.model import AccessRequest, Decision, EffectiveLevel, Identity, Snapshot, Step


def explain(decision: Decision) -> tuple[str, ...]:
    """One line for each check that ran, then the outcome. The line of `visible` names the subject and the source."""
    outcome = "allowed" if decision.allowed else f"denied: {decision.reason}"
    return (*(_line(step) for step in decision.trace), outcome)


def decision_document(identity: Identity, request: AccessRequest, decision: Decision) -> dict[str, Any]:
    """The decision as JSON: identity, request, outcome, reason, effective level and every check that ran."""
    return {
        "who": identity.name,
        "credential": identity.credential.value,
        "action": request.action.value,
        "name": full_name(request.project, request.repository),
        "allowed": decision.allowed,
        "reason": decision.reason.value if decision.reason is not None else None,
        "sentence": decision.sentence or None,
        "standing": _effective_level(decision.effective_level),
        "checks": [{"check": step.check, "passed": step.passed, "detail": step.detail} for step in decision.trace],
    }


def _effective_level(effective: EffectiveLevel | None) -> dict[str, Any] | None:
    if effective is None:
        return None
    document: dict[str, Any] = {"level": effective.level.value}
    if effective.rule is not None:
        document |= {"subject": subject_text(effective.rule), "source": effective.source.value}
    if effective.through is not None:
        document["member"] = subject_text(effective.through)
    return document


def _line(step: Step) -> str:
    return f"{'ok  ' if step.passed else 'DENY'} {step.check}: {step.detail}"


def certification_warning(snapshot: Snapshot, identity: Identity, now: datetime, days: int) -> str:
    """The warning for a push in the last `days` days of a certification; empty otherwise.

    At most 200 printable ASCII characters without quotes, so that it fits into a `Warning: 299` header.
    """
    certified, until = certified_until(snapshot, actor_of(snapshot, identity, now))
    if not certified or until is None or not now < until <= now + timedelta(days=days):
        return ""
    left = (until - now).days
    span = "today" if left == 0 else "in 1 day" if left == 1 else f"in {left} days"
    return phrase(
        f"The certification of {{who}} to push ends {span}, at {{until}}; ask your registry administrators for a new "
        "Certification.",
        who=identity.name,
        until=until.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    )
