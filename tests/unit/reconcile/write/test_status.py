"""When statuses are written and when they wait."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from berth.kube.client import KubeClient
from berth.kube.errors import ConflictError, ForbiddenError, NotFoundError
from berth.kube.resources import Manifest
from berth.reconcile.watch.caches import Caches
from berth.reconcile.write.policy_propagation import RETRY_SECONDS
from berth.reconcile.write.status import PROGRESS_SECONDS, StatusWriter, own_part


def condition(kind: str, status: str = "True", reason: str = "Progressing") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason}


def status(*conditions: dict[str, str], generation: int = 1, **more: Any) -> dict[str, Any]:
    return {"observedGeneration": generation, "conditions": list(conditions), **more}


NOW = datetime(2026, 11, 24, tzinfo=UTC)
STARTING = status(condition("Ready", "False"), condition("Reconciling"))
PROBING = status(condition("Ready", "False", "Other"), condition("Reconciling", reason="Other"))
READY = status(condition("Ready"))
STALLED = status(condition("Ready", "False"), condition("Stalled"))


class Bench:
    """A writer over a server that stores what it is given."""

    def __init__(self, kind: str = "Project") -> None:
        self.now = 0.0
        self.bodies: list[Manifest] = []
        self.error: Exception | None = None
        self.problem = ""
        self.live: Manifest = {
            "apiVersion": "berth.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": "a", "uid": "u", "resourceVersion": "1", "generation": 1, "labels": {"x": "y"}},
            "status": {"observedGeneration": -1},
        }
        self.writer = StatusWriter(
            cast(KubeClient, self), cast(Caches, self), self.not_propagated, now=lambda: NOW, clock=lambda: self.now
        )

    async def apply(self, _resource: object, body: Manifest, **how: Any) -> Manifest:
        assert how == {"field_manager": "berth-operator", "subresource": "status"}
        if self.error:
            raise self.error
        self.bodies.append(body)
        return {**self.live, "status": body["status"]}

    async def not_propagated(self) -> str:
        return self.problem

    def observe(self, written: Manifest) -> None:
        self.live = written

    async def write(self, wanted: dict[str, Any]) -> float | None:
        return await self.writer.write(self.live, wanted)


async def test_a_status_is_written_once_with_nothing_but_itself() -> None:
    bench = Bench()
    for _ in range(3):
        assert await bench.write(STARTING) is None
    assert len(bench.bodies) == 1
    assert set(bench.bodies[0]) == {"apiVersion", "kind", "metadata", "status"}
    assert bench.bodies[0]["metadata"] == {"name": "a", "uid": "u"}


async def test_no_status_is_written_before_every_replica_of_access_decides_by_what_it_says() -> None:
    bench = Bench()
    bench.live["status"] = READY
    bench.live["metadata"]["generation"] = 1
    bench.problem = "Pod access-1 of the access service does not answer."
    assert await bench.write(status(condition("Ready"), condition("Certified", "False"))) == RETRY_SECONDS
    assert bench.bodies == []
    bench.problem = ""
    assert await bench.write(status(condition("Ready"), condition("Certified", "False"))) is None
    assert len(bench.bodies) == 1


async def test_a_new_generation_reports_which_replica_is_behind_and_the_former_conditions() -> None:
    bench = Bench()
    at = "2026-11-20T00:00:00Z"
    trashed: dict[str, Any] = {
        **condition("Trashed", "False"),
        "message": "No.",
        "lastTransitionTime": at,
        "observedGeneration": 1,
    }
    bench.live["status"] = status(trashed)
    bench.live["metadata"]["generation"] = 2
    bench.problem = "Pod access-1 of the access service does not answer."
    assert await bench.write(status(condition("Ready"), condition("Trashed"), generation=2)) == RETRY_SECONDS
    written = {found["type"]: found for found in bench.bodies[0]["status"]["conditions"]}
    assert bench.bodies[0]["status"]["observedGeneration"] == 2
    assert (written["Ready"]["status"], written["Reconciling"]["reason"]) == ("False", "PolicyPending")
    assert written["Ready"]["message"] == (
        "Not in force everywhere yet: pod access-1 of the access service does not answer."
    )
    assert written["Trashed"] == trashed


async def test_the_order_of_conditions_is_no_difference() -> None:
    bench = Bench()
    await bench.write(STARTING)
    await bench.write({**STARTING, "conditions": STARTING["conditions"][::-1]})
    assert len(bench.bodies) == 1


async def test_progress_alone_waits_and_success_does_not() -> None:
    bench = Bench()
    await bench.write(STARTING)
    bench.now = 1.0
    assert await bench.write(PROBING) == pytest.approx(PROGRESS_SECONDS - 1.0)
    assert await bench.write(READY) is None
    assert [body["status"] for body in bench.bodies] == [STARTING, READY]


async def test_progress_that_lasts_is_written() -> None:
    bench = Bench()
    await bench.write(STARTING)
    bench.now = PROGRESS_SECONDS + 0.1
    assert await bench.write(PROBING) is None
    assert len(bench.bodies) == 2


@pytest.mark.parametrize("after", [STALLED, {**PROBING, "observedGeneration": 2}], ids=["an obstacle", "a generation"])
async def test_what_people_wait_for_is_written_at_once(after: dict[str, Any]) -> None:
    bench = Bench()
    await bench.write(STARTING)
    assert await bench.write(after) is None
    assert len(bench.bodies) == 2


async def test_losing_ready_is_written_at_once() -> None:
    bench = Bench()
    await bench.write(READY)
    assert await bench.write(STARTING) is None
    assert len(bench.bodies) == 2


@pytest.mark.parametrize("error", [NotFoundError("gone"), ConflictError("another uid")])
async def test_an_object_that_is_gone_or_another_is_left_alone(error: Exception) -> None:
    bench = Bench()
    bench.error = error
    assert await bench.write(STARTING) is None


async def test_a_missing_right_is_not_hidden() -> None:
    bench = Bench()
    bench.error = ForbiddenError("no")
    with pytest.raises(ForbiddenError):
        await bench.write(STARTING)


def test_of_a_repository_the_tags_counts_and_the_catalogs_condition_are_not_the_operators() -> None:
    bench = Bench("DockerRepository")
    bench.live["status"] = status(
        condition("Ready"), condition("CatalogInSync"), address="h/a", tags=[], tagCount=3, lastPush={}
    )
    assert own_part(bench.live) == status(condition("Ready"), address="h/a")
