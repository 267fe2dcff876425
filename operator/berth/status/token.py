"""The operator's part of the status of an `AccessToken`. The access service writes its last use."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from berth.api.base import rfc3339
from berth.api.conditions import ConditionReason
from berth.api.token import AccessToken
from berth.status.conditions import Finding, conclude, settled, stalled
from berth.status.observed import TokenObservation


def compute_token_status(token: AccessToken, observed: TokenObservation, now: datetime) -> dict[str, Any]:
    """`observedGeneration` and conditions. Time alone changes them at `spec.expiresAt`."""
    finding = _compute_ready(token, observed, now)
    generation = token.metadata.generation
    conditions = conclude([finding], finding, token.status.conditions, generation, now)
    return {"observedGeneration": generation, "conditions": [condition.to_dict() for condition in conditions]}


def _compute_ready(token: AccessToken, observed: TokenObservation, now: datetime) -> Finding:
    owner, until = token.spec.owner, token.spec.expires_at
    login = f"{owner.kind.value} {owner.name}"
    if not observed.owner_exists:
        sentence = f"{login} does not exist, so the token is refused: create the RegistryUser, or remove this token."
        return stalled(None, "False", ConditionReason.USER_NOT_FOUND, sentence)
    if until is not None and now >= until:
        sentence = f"It ended at {rfc3339(until)}: create another token (kubectl berth token create), remove this one."
        return stalled(None, "False", ConditionReason.TOKEN_EXPIRED, sentence)
    if observed.duplicate_of:
        sentence = (
            f"AccessToken {observed.duplicate_of} has the same secret and takes precedence: remove one of the two."
        )
        return stalled(None, "False", ConditionReason.TOKEN_REPEATED, sentence)
    end = "it is deleted" if until is None else rfc3339(until)
    if observed.owner_disabled:
        sentence = f"It is valid until {end}, but {login} is disabled: every request with it is refused."
        return settled(None, "True", ConditionReason.DISABLED, sentence)
    return settled(None, "True", ConditionReason.VALID, f"It logs {login} in until {end}.")
