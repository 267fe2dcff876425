"""Which policy is in use at a start, and how old it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime

from berth.authz.model import ProjectPolicy, Snapshot, User
from berth.kube.client import Listing, Selection, WatchEvent
from berth.kube.errors import UnavailableError
from berth.snapshot.store import StoredPolicy
from berth.snapshot.watcher import SnapshotWatcher

SNAPSHOT = Snapshot(
    generation=7,
    projects={"genomics": ProjectPolicy("genomics")},
    users={"ann": User("ann", password_hash="$argon2id$canary"), "bot": User("bot", robot=True, disabled=True)},
)
STORED = StoredPolicy(SNAPSHOT, 1_800_000_000.25, {"issuer": "https://i", "keys": [{"kid": "k"}]})


class ApiServer:
    """A source of empty lists and bookmarks that can become unavailable."""

    def __init__(self) -> None:
        self.unavailable = False
        self.bookmark = asyncio.Event()
        self.silent_about = ""
        self.version = 1

    async def listing(self, selection: Selection) -> Listing:
        if self.unavailable:
            raise UnavailableError("no answer")
        return Listing([], str(self.version))

    async def watch(
        self, selection: Selection, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[WatchEvent, None]:
        while True:
            await self.bookmark.wait()
            if self.unavailable:
                raise UnavailableError("connection closed")
            if selection.resource.kind == self.silent_about:
                await asyncio.sleep(3600)
            self.version += 1
            metadata = {"resourceVersion": str(self.version)}
            yield WatchEvent("BOOKMARK", {"kind": selection.resource.kind, "metadata": metadata})
            await asyncio.sleep(0)


class Start:
    """A watcher with a fake API server and a fake clock."""

    def __init__(self, stored: StoredPolicy | None = None, *, unavailable: bool = False) -> None:
        self.time = 1_800_000_100.0
        self.server = ApiServer()
        self.server.unavailable = unavailable
        self.watcher = SnapshotWatcher(
            self.server,
            namespace="berth-system",
            layer_size_limit=None,
            max_age=900,
            clock=lambda: self.time,
            stored=stored,
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.watcher.run())
            while not holds():  # noqa: ASYNC110 - the condition is that of other tasks
                await asyncio.sleep(0.001)
            running.cancel()


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def test_the_stored_policy_is_used_while_the_api_server_is_unavailable_with_its_age() -> None:
    start = Start(STORED, unavailable=True)
    assert not start.watcher.ready
    await start.until(lambda: start.watcher.ready)
    assert not start.watcher.listed
    assert start.watcher.snapshot.users == SNAPSHOT.users
    assert start.watcher.snapshot.fresh_until == moment(STORED.last_event_at + 900)


async def test_the_stored_policy_is_not_used_while_the_api_server_responds() -> None:
    start = Start(STORED)
    assert (start.watcher.ready, start.watcher.snapshot.users) == (False, {})
    await start.until(lambda: start.watcher.ready)
    assert start.watcher.listed
    assert start.watcher.snapshot.users == {}
    assert start.watcher.snapshot.generation >= SNAPSHOT.generation


async def test_without_a_stored_policy_an_unavailable_api_server_means_no_policy() -> None:
    start = Start(unavailable=True)
    await start.until(lambda: all(reflector.failures for reflector in start.watcher.reflectors))
    assert (start.watcher.ready, start.watcher.snapshot.projects) == (False, {})


async def test_a_policy_stays_fresh_while_every_watch_gets_events() -> None:
    start = Start()
    await start.until(lambda: start.watcher.ready)
    assert start.watcher.snapshot.fresh_until == moment(start.time + 900)
    listed_at = start.time
    start.time += 600
    assert start.watcher.snapshot.fresh_until == moment(listed_at + 900)
    start.server.bookmark.set()
    await start.until(lambda: start.watcher.last_event_at == start.time)
    assert start.watcher.snapshot.fresh_until == moment(start.time + 900)
    start.server.unavailable = True
    last_event = start.time
    start.time += 1000
    await start.until(lambda: all(reflector.failures for reflector in start.watcher.reflectors))
    assert start.watcher.snapshot.fresh_until == moment(last_event + 900)
    assert start.watcher.ready


async def test_a_policy_is_as_old_as_the_last_event_of_the_most_silent_kind() -> None:
    start = Start()
    start.server.silent_about = "AccessToken"
    start.server.bookmark.set()
    await start.until(lambda: start.watcher.ready)
    listed_at = start.time
    start.time += 600
    versions = start.server.version + 50
    await start.until(lambda: start.server.version > versions)
    assert start.watcher.snapshot.fresh_until == moment(listed_at + 900)


async def test_an_unchanged_policy_is_the_same_object() -> None:
    start = Start()
    await start.until(lambda: start.watcher.ready)
    assert start.watcher.snapshot is start.watcher.snapshot


async def test_wait_for_returns_resource_versions_once_the_policy_is_read_from_the_cluster() -> None:
    start = Start(STORED)
    assert await start.watcher.wait_for({"projects": 1}, 0) == {}
    await start.until(lambda: start.watcher.listed)
    wanted = start.server.version + 50
    start.server.bookmark.set()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(start.watcher.run())
        assert (await start.watcher.wait_for({"projects": wanted, "secrets": wanted}, 30))["projects"] >= wanted
        running.cancel()


async def test_wait_for_returns_the_present_resource_versions_at_its_timeout() -> None:
    start = Start()
    await start.until(lambda: start.watcher.listed and "projects" in start.watcher.resource_versions)
    assert (await start.watcher.wait_for({"projects": 10**9}, 0.01))["projects"] < 10**9
