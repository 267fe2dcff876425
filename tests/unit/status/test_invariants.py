"""What holds for every status, over some thousand random situations, and that the check itself can fail."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from berth.api.conditions import ConditionReason
from berth.api.policy import PolicyState
from berth.api.project import Project, ProjectStatus
from berth.status.conditions import check_invariants, failed_status
from berth.status.observed import (
    ApplyFailure,
    ObservedAccess,
    ObservedClaim,
    ObservedContainer,
    ObservedDeployment,
    ObservedNamespace,
    ObservedPod,
    ObservedProbe,
    ObservedStorageClass,
    ProbeOutcome,
    ProjectObservation,
)
from berth.status.project import compute_project_status
from tests.kit.desired.samples import project
from tests.kit.status.samples import HEALTHY, NOW, status_of, told

SIZES = ("", "1Gi", "10Gi", "20Gi", "10240Mi")
WORDS = ("", "some words.", " two\nlines \t here.\n", "x" * 5000, '{"msg": "said"}', '{"msg": 3}', "ä–\u2028")


def random_project(chance: random.Random) -> Project:
    deleted = {"deletionTimestamp": "2026-11-24T11:00:00Z"} if chance.random() < 0.1 else {}
    claim = {"size": chance.choice(SIZES[1:])}
    if chance.random() < 0.3:
        claim |= {"storageClassName": "slow"}
    flags: dict[str, Any] = {name: chance.random() < 0.15 for name in ("suspend", "trashed")}
    return project(metadata={"generation": chance.randint(1, 9), **deleted}, claim=claim, **flags)


def random_container(chance: random.Random) -> ObservedContainer:
    waiting = ("", "", "CrashLoopBackOff", "ImagePullBackOff", "ContainerCreating")
    return ObservedContainer(
        name="registry",
        image="registry.example.org/distribution:3.1.2",
        ready=chance.random() < 0.5,
        restarts=chance.choice((0, 1, 5)),
        waiting=chance.choice(waiting),
        waiting_message=chance.choice(WORDS),
        last_exit_code=chance.choice((None, 0, 2, 137)),
        last_reason=chance.choice(("", "Error", "OOMKilled")),
        last_message=chance.choice(WORDS),
    )


def random_pod(chance: random.Random) -> ObservedPod:
    return ObservedPod(
        name=f"registry-{chance.randint(0, 9)}",
        ready=chance.random() < 0.5,
        unschedulable=chance.choice(WORDS),
        event=chance.choice(WORDS),
        containers=tuple(random_container(chance) for _ in range(chance.randint(0, 2))),
        terminating=chance.random() < 0.5,
    )


def random_claim(chance: random.Random) -> ObservedClaim:
    return ObservedClaim(
        name="registry",
        phase=chance.choice(("Pending", "Bound", "Bound", "Lost")),
        requested=chance.choice(SIZES),
        capacity=chance.choice(SIZES),
        storage_class=chance.choice(("", "fast")),
        resize=chance.choice(("", "Resizing")),
        resize_message=chance.choice(WORDS),
        event=chance.choice(WORDS),
        terminating=chance.random() < 0.05,
    )


def random_deployment(chance: random.Random) -> ObservedDeployment:
    def number() -> int:
        return chance.randint(0, 2)

    return ObservedDeployment(number(), number(), number(), number(), number(), number(), chance.choice(WORDS))


def random_observed(chance: random.Random) -> ProjectObservation:
    pick = chance.choice

    def maybe(value: Any) -> Any:
        return value if chance.random() < 0.85 else None

    refused = ApplyFailure("Service", "registry", pick(WORDS), permanent=pick((True, False)))
    return ProjectObservation(
        host="images.example.org",
        registry_version="3.1.2",
        namespace=maybe(ObservedNamespace("berth-genomics", chance.random() < 0.1, pick(("genomics", "genomics", "")))),
        claim=maybe(random_claim(chance)),
        storage_class=maybe(ObservedStorageClass("fast", pick((True, False)), pick((True, False)))),
        deployment=maybe(random_deployment(chance)),
        pods=tuple(random_pod(chance) for _ in range(chance.randint(0, 3))),
        probe=maybe(ObservedProbe(pick(list(ProbeOutcome)), pick(WORDS))),
        access=ObservedAccess(pick((None, *PolicyState)), chance.random() < 0.9, chance.random() < 0.9),
        failure=pick((None, None, None, refused)),
    )


def healthier(observed: ProjectObservation, chance: random.Random) -> ProjectObservation:
    """The same with some aspects healthy, so that Ready is reached often enough."""
    aspects = ("namespace", "claim", "storage_class", "deployment", "pods", "probe", "access", "failure")
    good = {name: getattr(HEALTHY, name) for name in aspects if chance.random() < 0.85}
    return replace(observed, **good)


def test_every_status_keeps_the_contract() -> None:
    chance = random.Random(20261124)
    seen: set[tuple[str, str]] = set()
    for _ in range(6000):
        given, observed = random_project(chance), random_observed(chance)
        if chance.random() < 0.5:
            observed = healthier(observed, chance)
        status = status_of(given, observed)
        seen.add(told(status, "Ready"))
        before = given.model_copy(update={"status": ProjectStatus.model_validate(status)})
        assert status_of(before, observed, NOW + timedelta(hours=1)) == status
        if given.spec.trashed or given.metadata.being_deleted:
            assert told(status, "Trashed")[0] == "True"
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


def test_an_object_that_can_not_be_judged_keeps_what_was_known() -> None:
    before = compute_project_status(project(), HEALTHY, NOW)
    for needs_person, reason in ((True, ConditionReason.INVALID_SPEC), (False, ConditionReason.INTERNAL_ERROR)):
        status = failed_status(before, 2, reason, "It is so.", NOW, needs_person=needs_person)
        check_invariants(status)
        assert status["address"] == before["address"]
        assert told(status, "StorageReady") == ("True", "VolumeWritable")
        assert told(status, "Stalled" if needs_person else "Reconciling") == ("True", reason.value)
    assert told(status, "Ready")[0] == "Unknown"
    again = failed_status(status, 2, reason, "It is so.", NOW + timedelta(hours=1), needs_person=False)
    assert again == status
