"""A decision as short lines for people, from the very trace that made it. Pure."""

from __future__ import annotations

from berth.access.model import Decision, Step


def explain(decision: Decision) -> tuple[str, ...]:
    """One line for each check that was made, then the outcome."""
    outcome = "allowed" if decision.allowed else f"denied: {decision.reason}"
    return (*(_line(step) for step in decision.trace), outcome)


def _line(step: Step) -> str:
    return f"{'ok  ' if step.passed else 'DENY'} {step.check}: {step.detail}"
