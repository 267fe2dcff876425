"""The status of a `Certification`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from berth.api.base import rfc3339
from berth.api.certification import Certification, CertificationStatus, CertificationSubjectKind
from berth.api.conditions import ConditionReason
from berth.status.conditions import Finding, conclude, settled, stalled
from berth.status.observed import CertificationObservation


def compute_certification_status(
    certification: Certification, observed: CertificationObservation, now: datetime
) -> dict[str, Any]:
    """The whole status. Time alone changes it at `spec.validUntil`."""
    finding = _compute_ready(certification, observed, now)
    generation = certification.metadata.generation
    status = CertificationStatus(
        observed_generation=generation,
        conditions=conclude([finding], finding, certification.status.conditions, generation, now),
    )
    return status.to_dict()


def _compute_ready(certification: Certification, observed: CertificationObservation, now: datetime) -> Finding:
    subject, until = certification.spec.subject, certification.spec.valid_until
    name = subject.name
    if not observed.subject_exists:
        of_type = " of type Robot" if subject.kind is CertificationSubjectKind.ROBOT else ""
        sentence = f"RegistryUser {name}{of_type} does not exist: create it, or correct spec.subject.name."
        return stalled(None, "False", ConditionReason.USER_NOT_FOUND, sentence)
    if until is not None and now >= until:
        sentence = (
            f"It ended at {rfc3339(until)}: set a later spec.validUntil when {name} is certified again, "
            "or remove this Certification."
        )
        return stalled(None, "False", ConditionReason.CERTIFICATION_EXPIRED, sentence)
    end = "it is withdrawn" if until is None else rfc3339(until)
    if observed.subject_disabled:
        sentence = f"{name} is certified until {end}, but disabled: every request of this user is refused."
        return settled(None, "True", ConditionReason.DISABLED, sentence)
    return settled(None, "True", ConditionReason.VALID, f"{name} may push until {end}.")
