"""The contract of every status, in some thousand random situations, and that its check can fail."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from berth.api.conditions import ConditionReason
from berth.api.project import ProjectStatus
from berth.status.conditions import check_invariants, failed_status
from berth.status.project import compute_project_status
from tests.kit.desired.samples import project
from tests.kit.status.random_observations import (
    healthier,
    random_observed,
    random_project,
)
from tests.kit.status.samples import HEALTHY, NOW, condition_state, status_of


def test_every_status_keeps_the_contract() -> None:
    chance = random.Random(20261124)
    seen: set[tuple[str, str]] = set()
    for _ in range(6000):
        given, observed = random_project(chance), random_observed(chance)
        if chance.random() < 0.5:
            observed = healthier(observed, chance)
        status = status_of(given, observed)
        seen.add(condition_state(status, "Ready"))
        before = given.model_copy(update={"status": ProjectStatus.model_validate(status)})
        assert status_of(before, observed, NOW + timedelta(hours=1)) == status
        if given.spec.trashed or given.metadata.being_deleted:
            assert condition_state(status, "Trashed")[0] == "True"
    assert {reason for said, reason in seen if said == "True"} == {"Ready", "Suspended", "ProjectTrashed"}
    assert len({reason for said, reason in seen if said == "False"}) > 15


def test_every_step_from_any_situation_to_any_other_keeps_the_contract() -> None:
    chance = random.Random(7)
    given = project()
    for step in range(2000):
        observed = healthier(random_observed(chance), chance)
        status = status_of(given, observed, NOW + timedelta(seconds=step))
        given = given.model_copy(update={"status": ProjectStatus.model_validate(status)})


def _ready(status: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = status["conditions"][0]
    return found


BREAKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no generation": lambda s: s.pop("observedGeneration"),
    "a type that is not known": lambda s: _ready(s).update(type="Happy"),
    "a reason that is not known": lambda s: _ready(s).update(reason="Because"),
    "a type twice": lambda s: s["conditions"].append(dict(_ready(s))),
    "no message": lambda s: _ready(s).update(message=""),
    "two lines": lambda s: _ready(s).update(message="a\nb"),
    "another generation": lambda s: _ready(s).update(observedGeneration=0),
    "a time of another form": lambda s: _ready(s).update(lastTransitionTime="yesterday"),
    "Ready beside Stalled": lambda s: s["conditions"].append({**_ready(s), "type": "Stalled"}),
    "Stalled that is False": lambda s: s["conditions"].append({**_ready(s), "type": "Stalled", "status": "False"}),
    "not Ready without a word": lambda s: _ready(s).update(status="False"),
    "no Ready": lambda s: s["conditions"].pop(0),
    "Ready on storage that is not": lambda s: s["conditions"][1].update(status="Unknown"),
}


@pytest.mark.parametrize("damage", list(BREAKS))
def test_the_check_refuses_what_breaks_the_contract(damage: str) -> None:
    status = copy.deepcopy(status_of(project(), HEALTHY))
    BREAKS[damage](status)
    with pytest.raises(AssertionError):
        check_invariants(status)


def test_an_object_that_cannot_be_reconciled_keeps_its_other_conditions() -> None:
    before = compute_project_status(project(), HEALTHY, NOW)
    for needs_person, reason in ((True, ConditionReason.INVALID_SPEC), (False, ConditionReason.INTERNAL_ERROR)):
        status = failed_status(before, 2, reason, "It is so.", NOW, needs_person=needs_person)
        check_invariants(status)
        assert status["address"] == before["address"]
        assert condition_state(status, "StorageReady") == ("True", "VolumeWritable")
        assert condition_state(status, "Stalled" if needs_person else "Reconciling") == ("True", reason.value)
    assert condition_state(status, "Ready")[0] == "Unknown"
    again = failed_status(status, 2, reason, "It is so.", NOW + timedelta(hours=1), needs_person=False)
    assert again == status
