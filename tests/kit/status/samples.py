"""The observed state of a healthy project, to be varied by tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from berth.api.policy import PolicyState
from berth.api.project import InventoryEntry, Project
from berth.status.conditions import check_invariants
from berth.status.observed import (
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

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

CLAIM = ObservedClaim("registry", "Bound", requested="10Gi", capacity="10Gi", storage_class="fast")
CONTAINER = ObservedContainer("registry", image="registry.example.org/distribution:3.1.2", ready=True)
POD = ObservedPod("registry-1", "Running", ready=True, containers=(CONTAINER,))
HEALTHY = ProjectObservation(
    host="images.example.org",
    registry_version="3.1.2",
    namespace=ObservedNamespace("berth-genomics", project="genomics"),
    claim=CLAIM,
    storage_class=ObservedStorageClass("fast", allows_expansion=True),
    deployment=ObservedDeployment(generation=2, observed_generation=2, replicas=1, updated=1, available=1, current=1),
    pods=(POD,),
    probe=ObservedProbe(ProbeOutcome.WRITTEN),
    access=ObservedAccess(policy_state=PolicyState.ACTIVE),
    repositories=3,
    inventory=(InventoryEntry(group="", version="v1", kind="Namespace", name="berth-genomics"),),
)
STOPPED = replace(
    HEALTHY,
    deployment=ObservedDeployment(generation=3, observed_generation=3, replicas=0),
    pods=(),
    probe=None,
    access=ObservedAccess(policy_state=PolicyState.SUSPENDED),
)


def waiting_pod(**changed: Any) -> ProjectObservation:
    """A project whose one pod is not ready; `changed` are fields of its container."""
    container = replace(CONTAINER, ready=False, **changed)
    return replace(
        HEALTHY,
        deployment=replace(HEALTHY.deployment or ObservedDeployment(), available=0),
        pods=(replace(POD, ready=False, containers=(container,)),),
        probe=None,
    )


def status_of(project: Project, observed: ProjectObservation, now: datetime = NOW) -> dict[str, Any]:
    """The computed status, checked."""
    status = compute_project_status(project, observed, now)
    check_invariants(status)
    return status


def condition(status: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The condition of a type; empty when there is none."""
    return next((entry for entry in status["conditions"] if entry["type"] == kind), {})


def condition_state(status: Mapping[str, Any], kind: str) -> tuple[str, str]:
    """Status and reason of a condition."""
    found = condition(status, kind)
    return found.get("status", "absent"), found.get("reason", "")
