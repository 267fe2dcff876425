"""The reflector against a scripted API server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from typing import Any

from berth.kube.client import EventType, Listing, Selection, WatchEvent
from berth.kube.errors import ForbiddenError, GoneError, UnavailableError
from berth.kube.reflector import WATCH_SECONDS, WATCH_SECONDS_AFTER_FAILURE, Reflector
from berth.kube.resources import DEPLOYMENTS, Manifest

Reported = list[tuple[str, str]]


def deployment(name: str, version: int, uid: str = "", **spec: Any) -> Manifest:
    metadata = {"name": name, "namespace": "n", "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**metadata, "managedFields": [{}]},
        "spec": spec,
    }


def event(kind: EventType, name: str, version: int, **spec: Any) -> WatchEvent:
    return WatchEvent(kind, deployment(name, version, **spec))


class Script:
    """Answers lists and watches in order. At the end of the script it cancels the reflector by waiting forever."""

    def __init__(self, lists: list[Listing | Exception], watches: list[list[WatchEvent | Exception]]) -> None:
        self.lists = lists
        self.watches = watches
        self.watched_from: list[str] = []
        self.watched_for: list[int] = []
        self.done = asyncio.Event()

    async def listing(self, selection: Selection) -> Listing:
        if not self.lists:
            await self._hang()
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def watch(
        self, selection: Selection, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[WatchEvent, None]:
        self.watched_from.append(resource_version)
        self.watched_for.append(timeout_seconds)
        if not self.watches:
            await self._hang()
        for answer in self.watches.pop(0):
            if isinstance(answer, Exception):
                raise answer
            yield answer

    async def _hang(self) -> None:
        self.done.set()
        await asyncio.Event().wait()


class Run:
    """One run of a reflector over a script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.reported: Reported = []
        self.pauses: list[float] = []
        self.reflector = Reflector(
            script, DEPLOYMENTS, on_change=self._changed, sleep=self._sleep, rng=random.Random(1)
        )

    def _changed(self, old: Manifest | None, new: Manifest | None) -> None:
        name = (new or old or {})["metadata"]["name"]
        kind = "appeared" if old is None else "gone" if new is None else "changed"
        self.reported.append((kind, name))

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    async def to_the_end(self) -> Run:
        task = asyncio.create_task(self.reflector.run())
        async with asyncio.timeout(5):
            await self.script.done.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return self

    def names(self) -> set[str]:
        return {name for _, name in self.reflector.objects}


async def test_the_cache_has_listed_objects_and_follows_events() -> None:
    script = Script(
        [Listing([deployment("a", 1), deployment("b", 2)], "5")],
        [[event("MODIFIED", "a", 6), event("DELETED", "b", 7), event("ADDED", "c", 8)]],
    )
    run = await Run(script).to_the_end()
    assert run.names() == {"a", "c"}
    assert run.reported == [("appeared", "a"), ("appeared", "b"), ("changed", "a"), ("gone", "b"), ("appeared", "c")]
    assert run.reflector.synced.is_set()
    assert script.watched_from == ["5", "8"]


async def test_managed_fields_are_not_cached() -> None:
    run = await Run(Script([Listing([deployment("a", 1)], "5")], [])).to_the_end()
    assert "managedFields" not in run.reflector.objects["n", "a"]["metadata"]


async def test_objects_of_lists_events_and_own_writes_are_transformed() -> None:
    script = Script([Listing([deployment("a", 1, tags=1)], "5")], [[event("ADDED", "b", 6, tags=1)]])
    reflector = Reflector(script, DEPLOYMENTS, transform=lambda item: {**item, "spec": {}})
    task = asyncio.create_task(reflector.run())
    async with asyncio.timeout(5):
        await script.done.wait()
    task.cancel()
    reflector.observe(deployment("c", 7, tags=1))
    assert {name: item["spec"] for (_, name), item in reflector.objects.items()} == {"a": {}, "b": {}, "c": {}}


async def test_a_bookmark_advances_the_watch_without_a_callback() -> None:
    bookmark = WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "90"}})
    script = Script([Listing([deployment("a", 1)], "5")], [[bookmark]])
    run = await Run(script).to_the_end()
    assert script.watched_from == ["5", "90"]
    assert run.reported == [("appeared", "a")]


async def test_a_deletion_without_an_event_is_found_by_the_list_after_a_gap() -> None:
    script = Script(
        [Listing([deployment("a", 1), deployment("b", 2)], "5"), Listing([deployment("b", 9)], "20")],
        [[GoneError("too old")]],
    )
    run = await Run(script).to_the_end()
    assert run.names() == {"b"}
    assert run.reported[2:] == [("gone", "a"), ("changed", "b")]
    assert run.pauses == []


async def test_repeated_410_responses_are_retried_with_backoff() -> None:
    listing = Listing([], "5")
    script = Script([listing] * 4, [[GoneError("too old")] for _ in range(4)])
    run = await Run(script).to_the_end()
    assert len(run.pauses) >= 3


async def test_a_broken_connection_continues_at_its_resource_version() -> None:
    script = Script([Listing([], "5")], [[event("ADDED", "a", 8), UnavailableError("broken")], []])
    run = await Run(script).to_the_end()
    assert script.watched_from == ["5", "8", "8"]
    assert len(run.pauses) == 1
    assert run.reflector.failures == 0


async def test_failures_are_counted_logged_and_retried_with_backoff() -> None:
    script = Script([ForbiddenError("not allowed")] * 6, [])
    run = await Run(script).to_the_end()
    assert run.reflector.failures == 6
    assert run.reflector.last_error == "not allowed"
    assert not run.reflector.synced.is_set()
    assert run.pauses[0] < run.pauses[2] < run.pauses[5] <= 30


async def test_during_an_outage_the_backoff_is_short_and_a_gap_is_listed_at_once() -> None:
    outage: list[list[WatchEvent | Exception]] = [[UnavailableError("away")] for _ in range(20)]
    script = Script([Listing([], "5"), Listing([deployment("a", 9)], "20")], [*outage, [GoneError("too old")]])
    run = await Run(script).to_the_end()
    assert run.names() == {"a"}
    assert len(run.pauses) == len(outage)
    assert max(run.pauses) <= 5


async def test_the_first_watch_after_an_outage_is_short_for_an_early_bookmark() -> None:
    watches: list[list[WatchEvent | Exception]] = [[UnavailableError("x")], [UnavailableError("x")], [], []]
    script = Script([Listing([deployment("a", 1)], "5")], watches)
    await Run(script).to_the_end()
    short = [seconds == WATCH_SECONDS_AFTER_FAILURE for seconds in script.watched_for]
    assert short == [False, True, True, False, False]
    assert min(WATCH_SECONDS) > WATCH_SECONDS_AFTER_FAILURE


async def test_an_unexpected_error_does_not_end_the_reflector() -> None:
    script = Script([Listing([], "5"), Listing([deployment("a", 7)], "9")], [[KeyError("oops")]])
    run = await Run(script).to_the_end()
    assert run.names() == {"a"}


async def test_an_own_write_is_cached_at_once_and_not_reported() -> None:
    script = Script([Listing([deployment("a", 1)], "5")], [[event("MODIFIED", "a", 8, mine=True)]])
    run = Run(script)
    run.reflector._replace(script.lists[0])  # type: ignore[arg-type]
    run.reflector.observe(deployment("a", 8, mine=True))
    assert run.reflector.objects["n", "a"]["spec"] == {"mine": True}
    script.lists.clear()
    await run.to_the_end()
    assert run.reported == [("appeared", "a")]


async def test_a_foreign_change_before_an_own_write_is_reported_and_does_not_revert_the_cache() -> None:
    theirs, mine = event("MODIFIED", "a", 7, theirs=True), event("MODIFIED", "a", 8, theirs=True, mine=True)
    script = Script([Listing([deployment("a", 1)], "5")], [[theirs, mine]])
    run = Run(script)
    run.reflector._replace(script.lists[0])  # type: ignore[arg-type]
    run.reflector.observe(mine.object)
    seen: list[Manifest] = []
    run.reflector._on_change = lambda _old, _new: seen.append(run.reflector.objects["n", "a"]["spec"])
    script.lists.clear()
    await run.to_the_end()
    assert seen == [{"theirs": True, "mine": True}]


async def test_the_late_deletion_of_a_predecessor_does_not_remove_its_successor() -> None:
    script = Script([Listing([deployment("a", 1)], "5")], [[event("DELETED", "a", 7)]])
    run = Run(script)
    run.reflector._replace(script.lists[0])  # type: ignore[arg-type]
    run.reflector.forget(("n", "a"), "uid-a")
    run.reflector.observe(deployment("a", 8, uid="second"))
    script.lists.clear()
    await run.to_the_end()
    assert run.names() == {"a"}


async def test_objects_are_found_by_index() -> None:
    other = deployment("b", 2)
    other["metadata"]["namespace"] = "m"
    script = Script([Listing([deployment("a", 1), other], "5")], [[event("DELETED", "a", 6)]])
    run = await Run(script).to_the_end()
    assert run.reflector.by_index("n") == {}
    assert set(run.reflector.by_index("m")) == {("m", "b")}


async def test_latest_version_is_that_of_the_last_change_without_bookmarks() -> None:
    bookmark = WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "90"}})
    listing = Listing([deployment("a", 1), deployment("b", 2)], "5")
    assert (await Run(Script([listing], [])).to_the_end()).reflector.latest_version == 2
    script = Script([listing], [[event("DELETED", "b", 7), bookmark]])
    run = await Run(script).to_the_end()
    assert run.reflector.latest_version == 7
    run.reflector.observe(deployment("a", 8))
    assert run.reflector.latest_version == 8


async def test_a_deletion_without_an_event_happened_no_later_than_the_list_that_lacks_it() -> None:
    lists: list[Listing | Exception] = [
        Listing([deployment("a", 1), deployment("b", 2)], "5"),
        Listing([deployment("b", 9)], "20"),
    ]
    run = await Run(Script(lists, [[GoneError("too old")]])).to_the_end()
    assert run.reflector.latest_version == 20


async def test_latest_version_is_unknown_between_an_own_deletion_and_its_event() -> None:
    script = Script([Listing([deployment("a", 1)], "5")], [[event("DELETED", "a", 7)]])
    run = Run(script)
    run.reflector._replace(script.lists[0])  # type: ignore[arg-type]
    run.reflector.forget(("n", "a"), "uid-a")
    assert run.reflector.latest_version is None
    confirmed = asyncio.create_task(run.reflector.deletions_confirmed())
    script.lists.clear()
    await run.to_the_end()
    await confirmed
    assert run.reflector.latest_version == 7
