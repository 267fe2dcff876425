"""When a token was last used: to the hour, once, and never back in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from berth.kube.errors import ConflictError, KubeError, UnavailableError
from berth.kube.resources import Manifest
from berth.services.access.tokens.last_used import LastUse

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class Cluster:
    """One AccessToken, and replicas that each know it as it was when they last looked."""

    def __init__(self) -> None:
        self.now = NOON + timedelta(minutes=20)
        self.away = False
        self.writes: list[str] = []
        self.stored = self._object("1", {})

    @staticmethod
    def _object(version: str, status: Mapping[str, Any]) -> Manifest:
        return {
            "apiVersion": "berth.dev/v1alpha1",
            "kind": "AccessToken",
            "metadata": {"name": "laptop", "uid": "u", "resourceVersion": version},
            "spec": {"owner": {"kind": "User", "name": "ann"}, "scopes": ["download"], "sha256": "a" * 64},
            "status": dict(status),
        }

    async def write(self, body: Mapping[str, Any]) -> Manifest:
        if self.away:
            raise UnavailableError("Applying AccessToken laptop got no answer from the API server.")
        if body["metadata"]["resourceVersion"] != self.stored["metadata"]["resourceVersion"]:
            raise ConflictError("the object has been modified", status=409)
        self.writes.append(body["status"]["lastUsed"])
        version = str(int(self.stored["metadata"]["resourceVersion"]) + 1)
        self.stored = self._object(version, body["status"])
        return self.stored

    def replica(self) -> Replica:
        return Replica(self)


class Replica:
    def __init__(self, cluster: Cluster) -> None:
        self.known = cluster.stored
        self.pauses = 0
        self._cluster = cluster
        self.last_use = LastUse(
            now=lambda: cluster.now,
            present=lambda name: self.known if name == "laptop" else None,
            write=cluster.write,
            observe=self.observe,
            sleep=self.sleep,
        )

    def observe(self, written: Manifest) -> None:
        self.known = written

    def look(self) -> None:
        """The watch catches up."""
        self.known = self._cluster.stored

    async def sleep(self, _seconds: float) -> None:
        self.pauses += 1
        self.look()
        await asyncio.sleep(0)

    async def use(self, times: int = 1) -> None:
        for _ in range(times):
            self.last_use.used("laptop")
        await self.last_use.flush()


async def test_many_uses_in_an_hour_are_one_write_of_the_hour() -> None:
    cluster = Cluster()
    replica = cluster.replica()
    for minute in range(20, 60):
        cluster.now = NOON + timedelta(minutes=minute)
        await replica.use(times=100)
    assert cluster.writes == ["2026-11-24T12:00:00Z"]
    cluster.now = NOON + timedelta(minutes=60)
    await replica.use()
    assert cluster.writes == ["2026-11-24T12:00:00Z", "2026-11-24T13:00:00Z"]


async def test_replicas_and_restarts_do_not_repeat_a_write() -> None:
    cluster = Cluster()
    for _ in range(3):
        await cluster.replica().use()
    assert len(cluster.writes) == 1


async def test_of_two_concurrent_replicas_one_writes_and_the_other_retries() -> None:
    cluster = Cluster()
    first, second = cluster.replica(), cluster.replica()
    await first.use()
    await second.use()
    assert len(cluster.writes) == 1
    second.look()
    await second.last_use.flush()
    assert len(cluster.writes) == 1


async def test_an_older_time_never_replaces_a_newer_one() -> None:
    cluster = Cluster()
    late = cluster.replica()
    late.last_use.used("laptop")
    cluster.now = NOON + timedelta(hours=2)
    await cluster.replica().use()
    await late.last_use.flush()
    late.look()
    await late.last_use.flush()
    assert cluster.writes == ["2026-11-24T14:00:00Z"]


async def test_a_use_while_the_api_server_is_away_is_written_when_it_is_back() -> None:
    cluster = Cluster()
    replica = cluster.replica()
    cluster.away = True
    replica.last_use.used("laptop")
    running = asyncio.create_task(replica.last_use.run())
    while replica.pauses < 3:  # noqa: ASYNC110 - each pause is a round
        await asyncio.sleep(0)
    assert cluster.writes == []
    cluster.away = False
    while not cluster.writes:  # noqa: ASYNC110 - each pause is a round
        await asyncio.sleep(0)
    running.cancel()


async def test_a_token_whose_status_is_refused_does_not_delay_others() -> None:
    cluster = Cluster()
    refused = {**cluster.stored, "metadata": {"name": "broken", "uid": "b", "resourceVersion": "1"}}

    async def write(body: Mapping[str, Any]) -> Manifest:
        if body["metadata"]["name"] == "broken":
            raise KubeError("AccessToken broken is invalid.", status=422)
        return await cluster.write(body)

    known = {"broken": refused, "laptop": cluster.stored}
    last_use = LastUse(now=lambda: cluster.now, present=known.get, write=write, observe=lambda _: None)
    for name in known:
        last_use.used(name)
    await last_use.flush()
    assert cluster.writes == ["2026-11-24T12:00:00Z"]


async def test_a_token_that_was_deleted_meanwhile_is_forgotten() -> None:
    cluster = Cluster()
    replica = cluster.replica()
    replica.last_use.used("gone")
    await replica.last_use.flush()
    assert cluster.writes == []
