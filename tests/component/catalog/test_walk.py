"""The registry walk: content that only the registry or only the catalog has."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from berth.catalog.model import Cause, RepositoryKey
from berth.catalog.sync.walk import RegistryWalker
from berth.oci import manifest as manifests
from berth.registry.client import RegistryClient
from berth.registry.errors import RegistryUnavailableError
from tests.kit.catalog.contents import ALIGNER, Catalog, digest, index, sync_deps
from tests.kit.catalog.registries import PROJECT, Registry

PATH = ALIGNER.path


def walker(catalog: Catalog, client: RegistryClient) -> RegistryWalker:
    return RegistryWalker(sync_deps(catalog, client))


@pytest.fixture
def walk(catalog: Catalog, registry: Registry) -> RegistryWalker:
    return walker(catalog, registry.client)


async def pushed(catalog: Catalog, registry: Registry, tag: str, path: str = PATH) -> bytes:
    body = await registry.push_image(path, tag, salt=tag)
    await catalog.push(body, tag, key=RepositoryKey(PROJECT, path))
    return body


async def test_an_empty_registry_and_an_empty_catalog_agree(catalog: Catalog, walk: RegistryWalker) -> None:
    sync = await walk.walk(PROJECT)
    assert sync is not None
    assert sync.in_sync
    assert catalog.changed == []


async def test_content_that_only_the_registry_has_is_recorded(
    catalog: Catalog, registry: Registry, walk: RegistryWalker
) -> None:
    child = await registry.push_image(PATH, "child")
    whole = index(child)
    await registry.push(PATH, whole, "v1", manifests.OCI_INDEX)
    await walk.walk(PROJECT)

    tags = await catalog.tags()
    assert {name: tag.digest for name, tag in tags.items()} == {"child": digest(child), "v1": digest(whole)}
    assert tags["v1"].pushed_by == ""
    assert {move.cause for move in await catalog.history()} == {Cause.WALK}
    view = await catalog.view()
    assert view.object_due
    assert view.last_push is None
    assert catalog.changed == [ALIGNER]


async def test_a_tag_that_moved_unseen_moves(catalog: Catalog, registry: Registry, walk: RegistryWalker) -> None:
    await pushed(catalog, registry, "v1")
    moved = await registry.push_image(PATH, "v1", salt="moved")
    await walk.walk(PROJECT)

    assert (await catalog.tags())["v1"].digest == digest(moved)
    assert (await catalog.history("v1"))[0].cause is Cause.WALK


async def test_a_tag_and_a_manifest_that_went_unseen_go(
    catalog: Catalog, registry: Registry, walk: RegistryWalker
) -> None:
    await pushed(catalog, registry, "v1")
    gone = await pushed(catalog, registry, "v2")
    await registry.delete(PATH, digest(gone))
    await walk.walk(PROJECT)

    assert set(await catalog.tags()) == {"v1"}
    assert (await catalog.view()).digest_count == 1
    assert (await catalog.history("v2"))[0].to_digest is None


async def test_a_walk_that_finds_everything_as_known_changes_nothing(
    catalog: Catalog, registry: Registry, walk: RegistryWalker
) -> None:
    await pushed(catalog, registry, "v1")
    await pushed(catalog, registry, "v2", path="viewer")
    before, moves = await catalog.view(), await catalog.history()
    catalog.changed.clear()
    await walk.walk(PROJECT)
    await walk.walk(PROJECT)

    after = await catalog.view()
    assert (after.tags, after.last_push, after.digest_count) == (before.tags, before.last_push, before.digest_count)
    assert await catalog.history() == moves
    assert catalog.changed == []


async def test_a_registry_that_lost_its_volume_empties_no_catalog(
    catalog: Catalog, registry: Registry, walk: RegistryWalker
) -> None:
    await pushed(catalog, registry, "v1")
    await pushed(catalog, registry, "v2", path="viewer")
    shutil.rmtree(registry.server.data / "docker")
    catalog.changed.clear()
    sync = await walk.walk(PROJECT)

    assert sync is not None
    assert (sync.in_sync, sync.reason) == (False, "ContentMissing")
    assert "lacks 2 of 2 repositories and 2 of 2 tags" in sync.message
    assert set(await catalog.tags()) == {"v1"}
    assert (await catalog.view()).sync == sync
    assert sorted(catalog.changed) == [ALIGNER, RepositoryKey(PROJECT, "viewer")]


async def test_most_tags_missing_is_a_lost_volume_too(
    catalog: Catalog, registry: Registry, walk: RegistryWalker
) -> None:
    for n in range(12):
        await pushed(catalog, registry, f"v{n}")
    shutil.rmtree(registry.server.data / f"docker/registry/v2/repositories/{ALIGNER.name}/_manifests/tags")
    sync = await walk.walk(PROJECT)

    assert sync is not None
    assert not sync.in_sync
    assert len(await catalog.tags()) == 12


async def test_a_restored_volume_brings_the_catalog_back_in_sync(
    catalog: Catalog, registry: Registry, walk: RegistryWalker
) -> None:
    await pushed(catalog, registry, "v1")
    data = registry.server.data / "docker"
    data.rename(data.with_name("aside"))
    await walk.walk(PROJECT)
    data.with_name("aside").rename(data)
    catalog.changed.clear()
    sync = await walk.walk(PROJECT)

    assert sync is not None
    assert sync.in_sync
    assert catalog.changed == [ALIGNER]


async def test_a_registry_that_is_away_changes_nothing(
    catalog: Catalog, registry: Registry, walk: RegistryWalker
) -> None:
    await pushed(catalog, registry, "v1")
    registry.server.stop()
    with pytest.raises(RegistryUnavailableError):
        await walk.walk(PROJECT)
    assert set(await catalog.tags()) == {"v1"}
    assert (await catalog.view()).sync.in_sync is None


class WhileWalking:
    """A registry client that runs a function once, after its first HEAD of a manifest."""

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


async def test_a_push_during_the_walk_is_not_undone_by_it(catalog: Catalog, registry: Registry) -> None:
    await pushed(catalog, registry, "v1")
    await pushed(catalog, registry, "v2")
    await registry.delete(PATH, "v2")

    async def the_tag_moves() -> None:
        body = await registry.push_image(PATH, "v1", salt="moved")
        await catalog.push(body, "v1", by="reviewer")

    walking: Any = WhileWalking(registry.client, the_tag_moves)
    await walker(catalog, walking).walk(PROJECT)

    tags = await catalog.tags()
    assert set(tags) == {"v1"}, "the tag that is gone is corrected all the same"
    assert tags["v1"].pushed_by == "reviewer"
    assert [move.cause for move in await catalog.history("v1")] == [Cause.PUSH, Cause.PUSH]


async def test_a_push_that_is_under_way_is_not_recorded_by_the_walk(
    catalog: Catalog, registry: Registry, walk: RegistryWalker
) -> None:
    body = await registry.push_image(PATH, "v1")
    write = await catalog.announce(body, "v1")
    await walk.walk(PROJECT)

    assert await catalog.tags() == {}
    await catalog.write_log.commit(write, body)
    assert (await catalog.tags())["v1"].pushed_by == "curator"
