"""Random Projects and observations of them, for statuses that have to hold always."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from berth.api.policy import PolicyState
from berth.api.project import Project
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
from tests.kit.desired.samples import project
from tests.kit.status.samples import HEALTHY

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
        waiting_reason=chance.choice(waiting),
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

    refused = ApplyFailure("Service", "registry", pick(WORDS), is_permanent=pick((True, False)))
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
