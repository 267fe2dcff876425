"""Open and overlapping writes, settled from the registry."""

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
from tests.kit.catalog.contents import ALIGNER, Catalog, digest, index, sync_deps
from tests.kit.catalog.registries import Registry

PATH = ALIGNER.path


def settler(catalog: Catalog, client: RegistryClient) -> Settler:
    return Settler(sync_deps(catalog, client))


@pytest.fixture
def settle(catalog: Catalog, registry: Registry) -> Settler:
    return settler(catalog, registry.client)


async def unsettled(catalog: Catalog) -> int:
    async with catalog.database.reading() as session:
        return len(await queries.unsettled(session, catalog.now))


async def test_a_push_whose_commit_was_lost_is_recorded_with_its_person_and_time(
    catalog: Catalog, registry: Registry, settle: Settler
) -> None:
    body = await registry.push_image(PATH, "v1")
    announced = catalog.now
    await catalog.announce(body, "v1", by="curator")
    catalog.advance(seconds=61)

    assert await settle.settle() == 1
    tag = (await catalog.tags())["v1"]
    assert (tag.digest, tag.pushed_by, tag.pushed_at) == (digest(body), "curator", announced)
    (move,) = await catalog.history("v1")
    assert (move.cause, move.by) == (Cause.PUSH, "curator")
    assert catalog.changed == [ALIGNER]
    assert await unsettled(catalog) == 0


async def test_a_write_is_left_alone_until_its_time_is_over(
    catalog: Catalog, registry: Registry, settle: Settler
) -> None:
    write = await catalog.announce(await registry.push_image(PATH, "v1"), "v1")
    catalog.advance(seconds=59)

    assert await settle.settle() == 0
    assert await catalog.tags() == {}
    await catalog.write_log.abandon(write)


async def test_a_push_that_never_reached_the_registry_is_abandoned(
    catalog: Catalog, registry: Registry, settle: Settler
) -> None:
    elsewhere = await registry.push_image("elsewhere", "v1")
    await catalog.announce(elsewhere, "v1")
    catalog.advance(seconds=61)

    assert await settle.settle() == 1
    assert await catalog.history() == []
    assert await unsettled(catalog) == 0


async def test_a_manifest_that_arrived_without_its_tag_is_recorded_without_it(
    catalog: Catalog, registry: Registry, settle: Settler
) -> None:
    body = await registry.push_image(PATH, "other")
    await catalog.announce(body, "v1")
    catalog.advance(seconds=61)
    await settle.settle()

    assert await catalog.tags() == {}
    assert (await catalog.view()).digest_count == 1


async def test_an_index_whose_commit_was_lost_brings_its_children(
    catalog: Catalog, registry: Registry, settle: Settler
) -> None:
    child = await registry.push_image(PATH, "child")
    whole = index(child)
    await registry.push(PATH, whole, "v1", manifests.OCI_INDEX)
    await catalog.announce(whole, "v1")
    catalog.advance(seconds=61)
    await settle.settle()

    assert (await catalog.tags())["v1"].size > len(whole) + len(child)
    assert (await catalog.view()).digest_count == 2


@pytest.mark.parametrize("by_tag", [True, False])
async def test_a_delete_whose_commit_was_lost_is_recorded(
    catalog: Catalog, registry: Registry, settle: Settler, by_tag: bool
) -> None:
    body = await registry.push_image(PATH, "v1")
    await catalog.push(body, "v1")
    reference = "v1" if by_tag else digest(body)
    await catalog.write_log.announce(Intent(WriteKind.DELETE, ALIGNER, reference, digest(body), "", "reviewer"))
    await registry.delete(PATH, reference)
    catalog.advance(seconds=61)
    await settle.settle()

    assert await catalog.tags() == {}
    assert (await catalog.history())[0].by == "reviewer"
    assert (await catalog.view()).digest_count == (1 if by_tag else 0)


async def test_a_delete_that_never_reached_the_registry_is_abandoned(
    catalog: Catalog, registry: Registry, settle: Settler
) -> None:
    body = await registry.push_image(PATH, "v1")
    await catalog.push(body, "v1")
    await catalog.write_log.announce(Intent(WriteKind.DELETE, ALIGNER, "v1", None, "", "reviewer"))
    catalog.advance(seconds=61)
    await settle.settle()

    assert set(await catalog.tags()) == {"v1"}
    assert await unsettled(catalog) == 0


async def test_of_two_pushes_at_the_same_time_the_one_that_the_registry_kept_wins(
    catalog: Catalog, registry: Registry, settle: Settler
) -> None:
    first = await registry.push_image(PATH, "v1", salt="1")
    second = await registry.push_image(PATH, "v1", salt="2")
    one = await catalog.announce(first, "v1", by="curator")
    other = await catalog.announce(second, "v1", by="reviewer")
    await catalog.write_log.commit(other, second)
    await catalog.write_log.commit(one, first)  # recorded last, although the registry did it first
    assert (await catalog.tags())["v1"].digest == digest(first)

    await settle.settle()
    tag = (await catalog.tags())["v1"]
    assert (tag.digest, tag.pushed_by) == (digest(second), "reviewer")
    assert await unsettled(catalog) == 0


async def test_two_forgotten_pushes_of_one_tag_are_both_settled(
    catalog: Catalog, registry: Registry, settle: Settler
) -> None:
    first = await registry.push_image(PATH, "v1", salt="1")
    second = await registry.push_image(PATH, "v1", salt="2")
    await catalog.announce(first, "v1")
    await catalog.announce(second, "v1")
    catalog.advance(seconds=61)

    assert await settle.settle() == 2
    assert (await catalog.tags())["v1"].digest == digest(second)
    assert (await catalog.view()).digest_count == 2


async def test_a_doubtful_push_waits_while_another_one_of_its_tag_is_under_way(
    catalog: Catalog, registry: Registry, settle: Settler
) -> None:
    body = await registry.push_image(PATH, "v1")
    one = await catalog.announce(body, "v1")
    other = await catalog.announce(body, "v1")
    await catalog.write_log.commit(one, body)

    assert await settle.settle() == 0
    await catalog.write_log.commit(other, body)
    assert await settle.settle() == 2


async def test_a_write_whose_registry_is_away_stays_until_it_is_back(
    catalog: Catalog, registry: Registry, settle: Settler
) -> None:
    await catalog.announce(await registry.push_image(PATH, "v1"), "v1")
    catalog.advance(seconds=61)
    registry.server.stop()

    assert await settle.settle() == 0
    assert await unsettled(catalog) == 1
    registry.server.start_again()
    await registry.answers()
    assert await settle.settle() == 1
    assert set(await catalog.tags()) == {"v1"}


class WhileLooking:
    """A registry client that runs a function after each HEAD of a manifest."""

    def __init__(self, client: RegistryClient, happens: Callable[[], Any]) -> None:
        self._client = client
        self._happens = happens

    async def head_manifest(self, name: str, reference: str) -> ManifestHead | None:
        found = await self._client.head_manifest(name, reference)
        await self._happens()
        return found

    async def get_manifest(self, name: str, digest: str) -> Any:
        return await self._client.get_manifest(name, digest)


async def test_what_was_seen_is_not_believed_when_a_push_came_between(catalog: Catalog, registry: Registry) -> None:
    first = await registry.push_image(PATH, "v1", salt="1")
    forgotten = await catalog.announce(first, "v1", by="curator")
    catalog.advance(seconds=61)

    async def a_push_happens() -> None:
        second = await registry.push_image(PATH, "v1", salt="2")
        await catalog.push(second, "v1", by="reviewer")

    looking: Any = WhileLooking(registry.client, a_push_happens)
    assert await settler(catalog, looking).settle() == 0
    assert (await catalog.tags())["v1"].pushed_by == "reviewer"

    await settler(catalog, registry.client).settle()
    assert (await catalog.tags())["v1"].pushed_by == "reviewer"
    await catalog.write_log.abandon(forgotten)


async def test_a_write_that_was_settled_as_committed_cannot_be_abandoned(
    catalog: Catalog, registry: Registry, settle: Settler
) -> None:
    write = await catalog.announce(await registry.push_image(PATH, "v1"), "v1")
    catalog.advance(seconds=61)
    await settle.settle()
    with pytest.raises(WriteRefusedError):
        await catalog.write_log.abandon(write)


async def test_projects_do_not_wait_for_each_other(catalog: Catalog, registry: Registry, settle: Settler) -> None:
    await catalog.announce(await registry.push_image(PATH, "v1"), "v1", key=RepositoryKey("elsewhere", PATH))
    await catalog.announce(await registry.push_image(PATH, "v1"), "v1")
    catalog.advance(seconds=61)
    await settle.settle()
    assert set(await catalog.tags()) == {"v1"}
