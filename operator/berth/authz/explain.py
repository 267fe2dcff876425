"""A decision for people and for programs, from the very trace that made it. Pure."""

from __future__ import annotations

from typing import Any

from berth.authz.decide import subject_text
from berth.authz.messages import full_name
from berth.authz.model import AccessRequest, Decision, Identity, Standing, Step


def explain(decision: Decision) -> tuple[str, ...]:
    """One line for each check that was made, then the outcome. The level's line says by which subject and source."""
    outcome = "allowed" if decision.allowed else f"denied: {decision.reason}"
    return (*(_line(step) for step in decision.trace), outcome)


def decision_document(identity: Identity, request: AccessRequest, decision: Decision) -> dict[str, Any]:
    """The decision as JSON: who, what, whether, why, by which rule, and every check that was made."""
    return {
        "who": identity.name,
        "credential": identity.credential.value,
        "action": request.action.value,
        "name": full_name(request.project, request.repository),
        "allowed": decision.allowed,
        "reason": decision.reason.value if decision.reason is not None else None,
        "sentence": decision.sentence or None,
        "standing": _standing(decision.standing),
        "checks": [{"check": step.check, "passed": step.passed, "detail": step.detail} for step in decision.trace],
    }


def _standing(standing: Standing | None) -> dict[str, Any] | None:
    if standing is None:
        return None
    document: dict[str, Any] = {"level": standing.level.label}
    if standing.rule is not None:
        document |= {"subject": subject_text(standing.rule), "source": standing.source.value}
    if standing.through is not None:
        document["member"] = subject_text(standing.through)
    return document


def _line(step: Step) -> str:
    return f"{'ok  ' if step.passed else 'DENY'} {step.check}: {step.detail}"
