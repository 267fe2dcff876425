"""The status of a `RegistryUser`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from berth.api.base import rfc3339
from berth.api.conditions import ConditionReason, ConditionType
from berth.api.user import RegistryUser, RegistryUserStatus
from berth.status.conditions import Finding, conclude, settled, stalled
from berth.status.observed import ObservedCertification, ObservedPassword, UserObservation


def compute_user_status(user: RegistryUser, observed: UserObservation, now: datetime) -> dict[str, Any]:
    """The whole status. `now` decides whether a certification is valid; see `next_change`."""
    findings = [compute_certified(user.metadata.name, observed.certifications, now)]
    password = _password_problem(user, observed)
    if password is not None:
        findings.insert(0, password)
    generation = user.metadata.generation
    status = RegistryUserStatus(
        observed_generation=generation,
        conditions=conclude(findings, _ready(user), user.status.conditions, generation, now),
        certified_until=latest_end(observed.certifications),
    )
    return status.to_dict()


def next_change(certifications: Iterable[ObservedCertification], now: datetime) -> datetime | None:
    """When time alone changes the status: at the next end of a certification. None: never."""
    ends = [entry.valid_until for entry in certifications if entry.valid_until is not None and entry.valid_until > now]
    return min(ends, default=None)


def latest_end(certifications: Iterable[ObservedCertification]) -> datetime | None:
    """The latest end of all; None when there is no certification, or one is valid until withdrawn."""
    ends: list[datetime] = []
    for entry in certifications:
        if entry.valid_until is None:
            return None
        ends.append(entry.valid_until)
    return max(ends, default=None)


def compute_certified(name: str, certifications: tuple[ObservedCertification, ...], now: datetime) -> Finding:
    """`Certified`. Always settled: a user needs no certification to be Ready."""
    certified = ConditionType.CERTIFIED
    if not certifications:
        sentence = f"No Certification names {name}, so pushes are refused; pulls are not."
        return settled(certified, "False", ConditionReason.NO_CERTIFICATION, sentence)
    end = latest_end(certifications)
    if end is None:
        return settled(certified, "True", ConditionReason.CERTIFIED, f"{name} is certified until it is withdrawn.")
    if now < end:
        return settled(certified, "True", ConditionReason.CERTIFIED, f"{name} is certified until {rfc3339(end)}.")
    sentence = f"The certification of {name} ended at {rfc3339(end)}, so pushes are refused: certify again."
    return settled(certified, "False", ConditionReason.CERTIFICATION_EXPIRED, sentence)


def _password_problem(user: RegistryUser, observed: UserObservation) -> Finding | None:
    """Why the password cannot be checked; None when it can, or there is no password."""
    reference = user.spec.password_secret_ref
    if reference is None or observed.password in (ObservedPassword.USABLE, ObservedPassword.NOT_REFERENCED):
        return None
    this = f"Secret {reference.name} in namespace {observed.berth_namespace}"
    problems = {
        ObservedPassword.SECRET_MISSING: (
            ConditionReason.SECRET_NOT_FOUND,
            f"{this} does not exist: create it with the password's argon2id or bcrypt hash under {reference.key}.",
        ),
        ObservedPassword.KEY_MISSING: (
            ConditionReason.SECRET_KEY_MISSING,
            f"{this} has no key {reference.key}: add it with the password's argon2id or bcrypt hash.",
        ),
        ObservedPassword.EMPTY: (
            ConditionReason.SECRET_EMPTY,
            f"Key {reference.key} of {this} is empty: write the password's argon2id or bcrypt hash.",
        ),
        ObservedPassword.UNKNOWN_SCHEME: (
            ConditionReason.UNKNOWN_HASH_SCHEME,
            f"Key {reference.key} of {this} is neither an argon2id nor a bcrypt hash: write one, never the password.",
        ),
    }
    reason, sentence = problems[observed.password]
    return stalled(None, "False", reason, sentence)


def _ready(user: RegistryUser) -> Finding:
    if user.spec.disabled:
        sentence = "spec.disabled is true: every request of this user is refused."
        return settled(None, "True", ConditionReason.DISABLED, sentence)
    return settled(None, "True", ConditionReason.READY, f"{user.metadata.name} can log in.")
