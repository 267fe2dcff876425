"""The healing walk: what the registry holds and the catalog does not know, and the other way round."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from berth.catalog.model import Cause, RepositoryKey
from berth.catalog.sync.walk import Healer
from berth.oci import manifest as manifests
from berth.registry.client import RegistryClient
from berth.registry.errors import RegistryUnavailableError
from tests.kit.catalog.contents import ALIGNER, Ledger, digest, index, means
from tests.kit.catalog.registries import PROJECT, Registry

PATH = ALIGNER.path


def healer(ledger: Ledger, client: RegistryClient) -> Healer:
    return Healer(means(ledger, client))


@pytest.fixture
def heal(ledger: Ledger, registry: Registry) -> Healer:
    return healer(ledger, registry.client)


async def pushed(ledger: Ledger, registry: Registry, tag: str, path: str = PATH) -> bytes:
    body = await registry.push_image(path, tag, salt=tag)
    await ledger.push(body, tag, key=RepositoryKey(PROJECT, path))
    return body


async def test_an_empty_registry_and_an_empty_catalog_agree(ledger: Ledger, heal: Healer) -> None:
    sync = await heal.heal(PROJECT)
    assert sync is not None
    assert sync.in_sync
    assert ledger.changed == []


async def test_what_only_the_registry_knows_is_recorded_as_found(
    ledger: Ledger, registry: Registry, heal: Healer
) -> None:
    child = await registry.push_image(PATH, "child")
    whole = index(child)
    await registry.push(PATH, whole, "v1", manifests.OCI_INDEX)
    await heal.heal(PROJECT)

    tags = await ledger.tags()
    assert {name: tag.digest for name, tag in tags.items()} == {"child": digest(child), "v1": digest(whole)}
    assert tags["v1"].pushed_by == ""
    assert {move.cause for move in await ledger.history()} == {Cause.WALK}
    view = await ledger.view()
    assert view.object_due
    assert view.last_push is None
    assert ledger.changed == [ALIGNER]


async def test_a_tag_that_moved_unseen_moves(ledger: Ledger, registry: Registry, heal: Healer) -> None:
    await pushed(ledger, registry, "v1")
    moved = await registry.push_image(PATH, "v1", salt="moved")
    await heal.heal(PROJECT)

    assert (await ledger.tags())["v1"].digest == digest(moved)
    assert (await ledger.history("v1"))[0].cause is Cause.WALK


async def test_a_tag_and_a_manifest_that_went_unseen_go(ledger: Ledger, registry: Registry, heal: Healer) -> None:
    await pushed(ledger, registry, "v1")
    gone = await pushed(ledger, registry, "v2")
    await registry.delete(PATH, digest(gone))
    await heal.heal(PROJECT)

    assert set(await ledger.tags()) == {"v1"}
    assert (await ledger.view()).digest_count == 1
    assert (await ledger.history("v2"))[0].to_digest is None


async def test_a_walk_that_finds_everything_as_known_changes_nothing(
    ledger: Ledger, registry: Registry, heal: Healer
) -> None:
    await pushed(ledger, registry, "v1")
    await pushed(ledger, registry, "v2", path="viewer")
    before, moves = await ledger.view(), await ledger.history()
    ledger.changed.clear()
    await heal.heal(PROJECT)
    await heal.heal(PROJECT)

    after = await ledger.view()
    assert (after.tags, after.last_push, after.digest_count) == (before.tags, before.last_push, before.digest_count)
    assert await ledger.history() == moves
    assert ledger.changed == []


async def test_a_registry_that_lost_its_volume_empties_no_catalog(
    ledger: Ledger, registry: Registry, heal: Healer
) -> None:
    await pushed(ledger, registry, "v1")
    await pushed(ledger, registry, "v2", path="viewer")
    shutil.rmtree(registry.server.data / "docker")
    ledger.changed.clear()
    sync = await heal.heal(PROJECT)

    assert sync is not None
    assert (sync.in_sync, sync.reason) == (False, "ContentMissing")
    assert "lacks 2 of 2 repositories and 2 of 2 tags" in sync.message
    assert set(await ledger.tags()) == {"v1"}
    assert (await ledger.view()).sync == sync
    assert sorted(ledger.changed) == [ALIGNER, RepositoryKey(PROJECT, "viewer")]


async def test_most_tags_missing_is_a_lost_volume_too(ledger: Ledger, registry: Registry, heal: Healer) -> None:
    for n in range(12):
        await pushed(ledger, registry, f"v{n}")
    shutil.rmtree(registry.server.data / f"docker/registry/v2/repositories/{ALIGNER.name}/_manifests/tags")
    sync = await heal.heal(PROJECT)

    assert sync is not None
    assert not sync.in_sync
    assert len(await ledger.tags()) == 12


async def test_a_restored_volume_brings_the_catalog_back_in_sync(
    ledger: Ledger, registry: Registry, heal: Healer
) -> None:
    await pushed(ledger, registry, "v1")
    data = registry.server.data / "docker"
    data.rename(data.with_name("aside"))
    await heal.heal(PROJECT)
    data.with_name("aside").rename(data)
    ledger.changed.clear()
    sync = await heal.heal(PROJECT)

    assert sync is not None
    assert sync.in_sync
    assert ledger.changed == [ALIGNER]


async def test_a_registry_that_is_away_changes_nothing(ledger: Ledger, registry: Registry, heal: Healer) -> None:
    await pushed(ledger, registry, "v1")
    registry.server.stop()
    with pytest.raises(RegistryUnavailableError):
        await heal.heal(PROJECT)
    assert set(await ledger.tags()) == {"v1"}
    assert (await ledger.view()).sync.in_sync is None


class WhileWalking:
    """A registry client during whose walk something happens, once, after it was asked for a manifest."""

    def __init__(self, client: RegistryClient, happens: Callable[[], Any]) -> None:
        self._client = client
        self._happens: Callable[[], Any] | None = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def head_manifest(self, name: str, reference: str) -> Any:
        found = await self._client.head_manifest(name, reference)
        if self._happens is not None:
            happens, self._happens = self._happens, None
            await happens()
        return found


async def test_a_push_during_the_walk_is_not_undone_by_it(ledger: Ledger, registry: Registry) -> None:
    await pushed(ledger, registry, "v1")
    await pushed(ledger, registry, "v2")
    await registry.delete(PATH, "v2")

    async def the_tag_moves() -> None:
        body = await registry.push_image(PATH, "v1", salt="moved")
        await ledger.push(body, "v1", by="reviewer")

    walking: Any = WhileWalking(registry.client, the_tag_moves)
    await healer(ledger, walking).heal(PROJECT)

    tags = await ledger.tags()
    assert set(tags) == {"v1"}, "the tag that is gone is corrected all the same"
    assert tags["v1"].pushed_by == "reviewer"
    assert [move.cause for move in await ledger.history("v1")] == [Cause.PUSH, Cause.PUSH]


async def test_a_push_that_is_under_way_is_not_recorded_by_the_walk(
    ledger: Ledger, registry: Registry, heal: Healer
) -> None:
    body = await registry.push_image(PATH, "v1")
    write = await ledger.announce(body, "v1")
    await heal.heal(PROJECT)

    assert await ledger.tags() == {}
    await ledger.store.commit(write, body)
    assert (await ledger.tags())["v1"].pushed_by == "curator"
