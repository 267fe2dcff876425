"""Writes that nobody settled, and writes at the same time: the registry tells how they ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from berth.catalog.index import queries
from berth.catalog.index.write_log import WriteRefusedError
from berth.catalog.model import Cause, Intent, RepositoryKey, WriteKind
from berth.catalog.sync.settle import Settler
from berth.oci import manifest as manifests
from berth.registry.client import ManifestHead, RegistryClient
from tests.kit.catalog.contents import ALIGNER, Ledger, digest, index, means
from tests.kit.catalog.registries import Registry

PATH = ALIGNER.path


def settler(ledger: Ledger, client: RegistryClient) -> Settler:
    return Settler(means(ledger, client))


@pytest.fixture
def settle(ledger: Ledger, registry: Registry) -> Settler:
    return settler(ledger, registry.client)


async def unsettled(ledger: Ledger) -> int:
    async with ledger.database.reading() as session:
        return len(await queries.unsettled(session, ledger.now))


async def test_a_push_whose_commit_was_lost_is_recorded_with_its_person_and_time(
    ledger: Ledger, registry: Registry, settle: Settler
) -> None:
    body = await registry.push_image(PATH, "v1")
    announced = ledger.now
    await ledger.announce(body, "v1", by="curator")
    ledger.later(seconds=61)

    assert await settle.settle() == 1
    tag = (await ledger.tags())["v1"]
    assert (tag.digest, tag.pushed_by, tag.pushed_at) == (digest(body), "curator", announced)
    (move,) = await ledger.history("v1")
    assert (move.cause, move.by) == (Cause.PUSH, "curator")
    assert ledger.changed == [ALIGNER]
    assert await unsettled(ledger) == 0


async def test_a_write_is_left_alone_until_its_time_is_over(
    ledger: Ledger, registry: Registry, settle: Settler
) -> None:
    write = await ledger.announce(await registry.push_image(PATH, "v1"), "v1")
    ledger.later(seconds=59)

    assert await settle.settle() == 0
    assert await ledger.tags() == {}
    await ledger.store.abandon(write)


async def test_a_push_that_never_reached_the_registry_is_abandoned(
    ledger: Ledger, registry: Registry, settle: Settler
) -> None:
    elsewhere = await registry.push_image("elsewhere", "v1")
    await ledger.announce(elsewhere, "v1")
    ledger.later(seconds=61)

    assert await settle.settle() == 1
    assert await ledger.history() == []
    assert await unsettled(ledger) == 0


async def test_a_manifest_that_arrived_without_its_tag_is_recorded_without_it(
    ledger: Ledger, registry: Registry, settle: Settler
) -> None:
    body = await registry.push_image(PATH, "other")
    await ledger.announce(body, "v1")
    ledger.later(seconds=61)
    await settle.settle()

    assert await ledger.tags() == {}
    assert (await ledger.view()).digest_count == 1


async def test_an_index_whose_commit_was_lost_brings_its_children(
    ledger: Ledger, registry: Registry, settle: Settler
) -> None:
    child = await registry.push_image(PATH, "child")
    whole = index(child)
    await registry.push(PATH, whole, "v1", manifests.OCI_INDEX)
    await ledger.announce(whole, "v1")
    ledger.later(seconds=61)
    await settle.settle()

    assert (await ledger.tags())["v1"].size > len(whole) + len(child)
    assert (await ledger.view()).digest_count == 2


@pytest.mark.parametrize("by_tag", [True, False])
async def test_a_delete_whose_commit_was_lost_is_recorded(
    ledger: Ledger, registry: Registry, settle: Settler, by_tag: bool
) -> None:
    body = await registry.push_image(PATH, "v1")
    await ledger.push(body, "v1")
    reference = "v1" if by_tag else digest(body)
    await ledger.store.announce(Intent(WriteKind.DELETE, ALIGNER, reference, digest(body), "", "reviewer"))
    await registry.delete(PATH, reference)
    ledger.later(seconds=61)
    await settle.settle()

    assert await ledger.tags() == {}
    assert (await ledger.history())[0].by == "reviewer"
    assert (await ledger.view()).digest_count == (1 if by_tag else 0)


async def test_a_delete_that_never_reached_the_registry_is_abandoned(
    ledger: Ledger, registry: Registry, settle: Settler
) -> None:
    body = await registry.push_image(PATH, "v1")
    await ledger.push(body, "v1")
    await ledger.store.announce(Intent(WriteKind.DELETE, ALIGNER, "v1", None, "", "reviewer"))
    ledger.later(seconds=61)
    await settle.settle()

    assert set(await ledger.tags()) == {"v1"}
    assert await unsettled(ledger) == 0


async def test_of_two_pushes_at_the_same_time_the_one_that_the_registry_kept_wins(
    ledger: Ledger, registry: Registry, settle: Settler
) -> None:
    first = await registry.push_image(PATH, "v1", salt="1")
    second = await registry.push_image(PATH, "v1", salt="2")
    one = await ledger.announce(first, "v1", by="curator")
    other = await ledger.announce(second, "v1", by="reviewer")
    await ledger.store.commit(other, second)
    await ledger.store.commit(one, first)  # recorded last, although the registry did it first
    assert (await ledger.tags())["v1"].digest == digest(first)

    await settle.settle()
    tag = (await ledger.tags())["v1"]
    assert (tag.digest, tag.pushed_by) == (digest(second), "reviewer")
    assert await unsettled(ledger) == 0


async def test_two_forgotten_pushes_of_one_tag_are_both_settled(
    ledger: Ledger, registry: Registry, settle: Settler
) -> None:
    first = await registry.push_image(PATH, "v1", salt="1")
    second = await registry.push_image(PATH, "v1", salt="2")
    await ledger.announce(first, "v1")
    await ledger.announce(second, "v1")
    ledger.later(seconds=61)

    assert await settle.settle() == 2
    assert (await ledger.tags())["v1"].digest == digest(second)
    assert (await ledger.view()).digest_count == 2


async def test_a_doubtful_push_waits_while_another_one_of_its_tag_is_under_way(
    ledger: Ledger, registry: Registry, settle: Settler
) -> None:
    body = await registry.push_image(PATH, "v1")
    one = await ledger.announce(body, "v1")
    other = await ledger.announce(body, "v1")
    await ledger.store.commit(one, body)

    assert await settle.settle() == 0
    await ledger.store.commit(other, body)
    assert await settle.settle() == 2


async def test_a_write_whose_registry_is_away_stays_until_it_is_back(
    ledger: Ledger, registry: Registry, settle: Settler
) -> None:
    await ledger.announce(await registry.push_image(PATH, "v1"), "v1")
    ledger.later(seconds=61)
    registry.server.stop()

    assert await settle.settle() == 0
    assert await unsettled(ledger) == 1
    registry.server.start_again()
    await registry.answers()
    assert await settle.settle() == 1
    assert set(await ledger.tags()) == {"v1"}


class WhileLooking:
    """A registry client during whose look something happens."""

    def __init__(self, client: RegistryClient, happens: Callable[[], Any]) -> None:
        self._client = client
        self._happens = happens

    async def head_manifest(self, name: str, reference: str) -> ManifestHead | None:
        found = await self._client.head_manifest(name, reference)
        await self._happens()
        return found

    async def get_manifest(self, name: str, digest: str) -> Any:
        return await self._client.get_manifest(name, digest)


async def test_what_was_seen_is_not_believed_when_a_push_came_between(ledger: Ledger, registry: Registry) -> None:
    first = await registry.push_image(PATH, "v1", salt="1")
    forgotten = await ledger.announce(first, "v1", by="curator")
    ledger.later(seconds=61)

    async def a_push_happens() -> None:
        second = await registry.push_image(PATH, "v1", salt="2")
        await ledger.push(second, "v1", by="reviewer")

    looking: Any = WhileLooking(registry.client, a_push_happens)
    assert await settler(ledger, looking).settle() == 0
    assert (await ledger.tags())["v1"].pushed_by == "reviewer"

    await settler(ledger, registry.client).settle()
    assert (await ledger.tags())["v1"].pushed_by == "reviewer"
    await ledger.store.abandon(forgotten)


async def test_a_write_that_was_settled_as_done_can_not_be_abandoned(
    ledger: Ledger, registry: Registry, settle: Settler
) -> None:
    write = await ledger.announce(await registry.push_image(PATH, "v1"), "v1")
    ledger.later(seconds=61)
    await settle.settle()
    with pytest.raises(WriteRefusedError):
        await ledger.store.abandon(write)


async def test_projects_do_not_wait_for_each_other(ledger: Ledger, registry: Registry, settle: Settler) -> None:
    await ledger.announce(await registry.push_image(PATH, "v1"), "v1", key=RepositoryKey("elsewhere", PATH))
    await ledger.announce(await registry.push_image(PATH, "v1"), "v1")
    ledger.later(seconds=61)
    await settle.settle()
    assert set(await ledger.tags()) == {"v1"}
