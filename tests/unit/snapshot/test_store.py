"""The last known policy on disk, and which policy serves at a start."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from berth.api.policy import PolicyState
from berth.api.project import RepositoryCreation
from berth.api.sharing import SharingLevel, SubjectKind
from berth.api.token import TokenScope
from berth.authz.model import AccessTokenRecord, ProjectPolicy, RepositoryPolicy, Rule, Snapshot, Subject, User
from berth.kube.client import Listing, Selection, WatchEvent
from berth.kube.errors import UnavailableError
from berth.snapshot.store import FILE_NAME, PolicyKeeper, PolicyStore, StoredPolicy
from berth.snapshot.watcher import SnapshotFeed

END = datetime(2027, 1, 1, tzinfo=UTC)
ANN = Subject(SubjectKind.USER, "ann")
RULES = tuple(Rule(kind, "n/a", level) for kind in SubjectKind for level in SharingLevel)
SNAPSHOT = Snapshot(
    generation=7,
    projects={
        "genomics": ProjectPolicy(
            "genomics",
            rules=RULES,
            state=PolicyState.SUSPENDED,
            creation=RepositoryCreation.DECLARED,
            layer_size_limit=5,
            repositories={
                "inherits": RepositoryPolicy("inherits", has_content=True),
                "shared/with/nobody": RepositoryPolicy("shared/with/nobody", rules=(), state=PolicyState.TRASHED),
                "own": RepositoryPolicy("own", rules=RULES[:2], external=True),
            },
        )
    },
    users={"ann": User("ann", password_hash="$argon2id$canary"), "bot": User("bot", robot=True, disabled=True)},
    tokens={"ab" * 32: AccessTokenRecord("laptop", ANN, frozenset({TokenScope.VIEW}), END)},
    teams_of={ANN: frozenset({"a", "b"}), Subject(SubjectKind.GROUP, "g,1"): frozenset({"a"})},
    aliases={Subject(SubjectKind.SERVICE_ACCOUNT, "builders/ci"): frozenset({"bot"})},
    certifications={ANN: END, Subject(SubjectKind.ROBOT, "bot"): None},
)
STORED = StoredPolicy(SNAPSHOT, 1_800_000_000.25, {"issuer": "https://i", "keys": [{"kid": "k"}]})


def test_what_is_saved_comes_back_whole(tmp_path: Path) -> None:
    PolicyStore(tmp_path).save(STORED)
    assert PolicyStore(tmp_path).load() == STORED


def test_the_file_is_its_owners_alone_and_nothing_else_is_left(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        PolicyStore(tmp_path).save(STORED)
    finally:
        os.umask(mask)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_nothing_saved_is_nothing(tmp_path: Path) -> None:
    assert PolicyStore(tmp_path).load() is None
    assert PolicyStore(tmp_path / "absent").load() is None


def test_a_file_that_was_cut_or_changed_anywhere_is_not_believed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = PolicyStore(tmp_path)
    store.save(STORED)
    whole = (tmp_path / FILE_NAME).read_bytes()
    step = max(len(whole) // 97, 1)
    for place in (*range(0, len(whole), step), len(whole) - 1):
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
            (tmp_path / FILE_NAME).write_bytes(damaged)
            assert store.load() is None, place
    assert "canary" not in capsys.readouterr().out


def test_a_file_of_another_form_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("berth.snapshot.store.FORMAT", 3)
    PolicyStore(tmp_path).save(STORED)
    monkeypatch.undo()
    assert PolicyStore(tmp_path).load() is None


def test_a_saving_that_fails_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PolicyStore(tmp_path)
    store.save(STORED)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        store.save(replace(STORED, heard=9e9))
    assert store.load() == STORED
    assert len(list(tmp_path.iterdir())) == 1


async def test_the_keeper_writes_changes_and_every_half_minute_the_time(tmp_path: Path) -> None:
    store = PolicyStore(tmp_path)
    present: list[StoredPolicy | None] = [None]
    keeper = PolicyKeeper(store, lambda: present[0])
    await keeper.keep()
    assert store.load() is None
    present[0] = STORED
    await keeper.keep()
    (tmp_path / FILE_NAME).unlink()
    present[0] = replace(STORED, heard=STORED.heard + 29)
    await keeper.keep()
    assert store.load() is None
    present[0] = replace(STORED, heard=STORED.heard + 30)
    await keeper.keep()
    assert store.load() == present[0]
    present[0] = replace(STORED, snapshot=replace(SNAPSHOT, generation=8))
    await keeper.keep()
    assert store.load() == present[0]


async def test_the_keeper_goes_on_when_the_disk_is_full_or_gone(tmp_path: Path) -> None:
    store = PolicyStore(tmp_path / "absent")
    keeper = PolicyKeeper(store, lambda: STORED)
    await keeper.keep()
    (tmp_path / "absent").mkdir()
    await keeper.keep()
    assert store.load() == STORED


class ApiServer:
    """A source of nothing but empty lists and bookmarks, which can be away."""

    def __init__(self) -> None:
        self.away = False
        self.bookmark = asyncio.Event()
        self.silent_about = ""
        self.version = 1

    async def listing(self, selection: Selection) -> Listing:
        if self.away:
            raise UnavailableError("no answer")
        return Listing([], str(self.version))

    async def watch(
        self, selection: Selection, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[WatchEvent, None]:
        while True:
            await self.bookmark.wait()
            if self.away:
                raise UnavailableError("broke off")
            if selection.resource.kind == self.silent_about:
                await asyncio.sleep(3600)
            self.version += 1
            metadata = {"resourceVersion": str(self.version)}
            yield WatchEvent("BOOKMARK", {"kind": selection.resource.kind, "metadata": metadata})
            await asyncio.sleep(0)


class Start:
    """A feed that runs, with a clock."""

    def __init__(self, stored: StoredPolicy | None = None, *, away: bool = False) -> None:
        self.time = 1_800_000_100.0
        self.server = ApiServer()
        self.server.away = away
        self.feed = SnapshotFeed(
            self.server,
            namespace="berth-system",
            layer_size_limit=None,
            max_age=900,
            clock=lambda: self.time,
            stored=stored,
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.feed.run())
            while not holds():  # noqa: ASYNC110 - the condition is that of other tasks
                await asyncio.sleep(0.001)
            running.cancel()


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def test_with_the_api_server_away_the_stored_policy_serves_and_says_how_old_it_is() -> None:
    start = Start(STORED, away=True)
    assert not start.feed.ready
    await start.until(lambda: start.feed.ready)
    assert not start.feed.listed
    assert start.feed.snapshot.users == SNAPSHOT.users
    assert start.feed.snapshot.fresh_until == moment(STORED.heard + 900)


async def test_with_the_api_server_there_only_its_own_word_serves() -> None:
    start = Start(STORED)
    assert (start.feed.ready, start.feed.snapshot.users) == (False, {})
    await start.until(lambda: start.feed.ready)
    assert start.feed.listed
    assert start.feed.snapshot.users == {}
    assert start.feed.snapshot.generation >= SNAPSHOT.generation


async def test_without_a_stored_policy_nothing_serves_while_the_api_server_is_away() -> None:
    start = Start(away=True)
    await start.until(lambda: all(reflector.failures for reflector in start.feed.reflectors))
    assert (start.feed.ready, start.feed.snapshot.projects) == (False, {})


async def test_a_policy_stays_fresh_as_long_as_every_watch_says_something() -> None:
    start = Start()
    await start.until(lambda: start.feed.ready)
    assert start.feed.snapshot.fresh_until == moment(start.time + 900)
    listed_at = start.time
    start.time += 600
    assert start.feed.snapshot.fresh_until == moment(listed_at + 900)
    start.server.bookmark.set()
    await start.until(lambda: start.feed.heard == start.time)
    assert start.feed.snapshot.fresh_until == moment(start.time + 900)
    start.server.away = True
    heard_last = start.time
    start.time += 1000
    await start.until(lambda: all(reflector.failures for reflector in start.feed.reflectors))
    assert start.feed.snapshot.fresh_until == moment(heard_last + 900)
    assert start.feed.ready


async def test_a_policy_is_as_old_as_what_the_api_server_is_silent_about_for_longest() -> None:
    start = Start()
    start.server.silent_about = "AccessToken"
    start.server.bookmark.set()
    await start.until(lambda: start.feed.ready)
    listed_at = start.time
    start.time += 600
    versions = start.server.version + 50
    await start.until(lambda: start.server.version > versions)
    assert start.feed.snapshot.fresh_until == moment(listed_at + 900)


async def test_the_same_policy_is_the_same_object_so_that_caches_hold() -> None:
    start = Start()
    await start.until(lambda: start.feed.ready)
    assert start.feed.snapshot is start.feed.snapshot


async def test_the_feed_says_how_far_it_has_come_once_everything_is_the_clusters_own() -> None:
    start = Start(STORED)
    assert await start.feed.reach({"projects": 1}, 0) == {}
    await start.until(lambda: start.feed.listed)
    wanted = start.server.version + 50
    start.server.bookmark.set()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(start.feed.run())
        assert (await start.feed.reach({"projects": wanted, "secrets": wanted}, 30))["projects"] >= wanted
        running.cancel()


async def test_whoever_asks_for_more_than_is_known_is_told_what_is_known_when_the_patience_ends() -> None:
    start = Start()
    await start.until(lambda: start.feed.listed and "projects" in start.feed.reached)
    assert (await start.feed.reach({"projects": 10**9}, 0.01))["projects"] < 10**9
