"""When a status may say that a change is in force: every replica of access that serves has taken it up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from berth.kube.resources import Manifest
from berth.reconcile.watch.caches import Caches
from berth.reconcile.write.policy_propagation import RETRY_SECONDS, PolicyPropagation


def pod(name: str, *, ready: bool = True, phase: str = "Running", restarts: int = 0) -> Manifest:
    """A pod whose address is its name."""
    return {
        "metadata": {"name": name, "uid": name},
        "spec": {"containers": [{"ports": [{"name": "metrics", "containerPort": 1}, {"name": "http"} | PORT]}]},
        "status": {
            "phase": phase,
            "podIP": name,
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"restartCount": restarts}],
        },
    }


PORT: dict[str, Any] = {"containerPort": 8080}


class Service:
    """The operator's knowledge, and the replicas with theirs."""

    def __init__(self, *pods: Manifest) -> None:
        self.now = 0.0
        self.pods = list(pods)
        self.versions: Mapping[str, int] | None = {"projects": 10, "registryusers": 20}
        self.known: dict[str, Mapping[str, int] | None] = {}
        self.requested: list[str] = []
        self.propagation = PolicyPropagation(cast(Caches, self), self.revisions, clock=lambda: self.now)

    def access_pods(self) -> list[Manifest]:
        return self.pods

    async def deletions_confirmed(self) -> None:
        if self.versions is None:
            raise TimeoutError

    def policy_versions(self) -> Mapping[str, int] | None:
        return self.versions

    async def revisions(self, address: str, port: int, _wanted: Mapping[str, int]) -> Mapping[str, int] | None:
        assert port == 8080
        self.requested.append(address)
        await asyncio.sleep(0)
        return self.known.get(address)

    async def problem(self) -> str:
        return await self.propagation.not_propagated()


def level(projects: int = 10, users: int = 20) -> Mapping[str, int]:
    return {"projects": projects, "registryusers": users, "secrets": 1}


async def test_it_is_in_force_when_every_replica_has_come_as_far_as_the_operator() -> None:
    service = Service(pod("a"), pod("b"))
    service.known = {"a": level(), "b": level(projects=11)}
    assert await service.problem() == ""


async def test_one_replica_that_is_behind_in_one_kind_is_named() -> None:
    service = Service(pod("a"), pod("b"))
    service.known = {"a": level(), "b": level(users=19)}
    assert await service.problem() == "Pod b of the access service does not have the latest change yet."


async def test_a_ready_replica_that_does_not_answer_is_named_and_one_that_is_not_ready_is_not_waited_for() -> None:
    service = Service(pod("a"), pod("b", ready=False), pod("c", phase="Pending"))
    assert await service.problem() == "Pod a of the access service does not answer."
    service.pods, service.now = service.pods[1:], RETRY_SECONDS
    assert await service.problem() == ""


async def test_a_replica_that_answers_is_waited_for_even_before_it_is_ready() -> None:
    service = Service(pod("a", ready=False))
    service.known = {"a": {}}
    assert await service.problem()


async def test_without_any_replica_nothing_is_served_and_nothing_to_wait_for() -> None:
    assert await Service().problem() == ""


async def test_the_revision_of_a_replica_is_cached_until_something_changes() -> None:
    service = Service(pod("a"))
    service.known = {"a": level()}
    assert [await service.problem() for _ in range(3)] == ["", "", ""]
    assert service.requested == ["a"]
    service.versions, service.known = {"projects": 11}, {"a": level(projects=11)}
    assert await service.problem() == ""
    assert service.requested == ["a", "a"]


async def test_a_replica_that_was_restarted_gets_a_request_again() -> None:
    service = Service(pod("a"))
    service.known = {"a": level()}
    await service.problem()
    service.pods, service.known = [pod("a", restarts=1)], {"a": level(projects=9)}
    assert await service.problem()


async def test_many_statuses_at_once_send_one_request_to_each_replica() -> None:
    service = Service(pod("a"), pod("b"))
    service.known = {"a": level(), "b": level()}
    assert await asyncio.gather(*(service.problem() for _ in range(50))) == [""] * 50
    assert service.requested == ["a", "b"]


async def test_a_replica_that_is_away_gets_a_request_at_most_once_a_second_however_many_wait() -> None:
    service = Service(pod("a"))
    assert all(await asyncio.gather(*(service.problem() for _ in range(50))))
    assert service.requested == ["a"]
    service.now = RETRY_SECONDS
    service.known = {"a": level()}
    assert await service.problem() == ""


async def test_while_a_deletion_of_the_operators_own_has_no_event_yet_nothing_is_in_force() -> None:
    service = Service(pod("a"))
    service.versions = None
    assert await service.problem()
    assert service.requested == []
