"""The registry client against CNCF Distribution, with the configuration and the tokens that it has in a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from berth.oci import manifest as manifests
from berth.registry.client import RegistryClient
from berth.registry.errors import RegistryRefusedError, RegistryUnavailableError
from berth.registry.walk import inspect, survey
from tests.kit.catalog.contents import digest
from tests.kit.catalog.registries import PROJECT, Registry


async def test_an_empty_registry_lists_nothing(registry: Registry) -> None:
    assert [name async for name in registry.client.repositories(PROJECT)] == []
    assert await survey(registry.client, PROJECT) == {}


async def test_what_was_pushed_is_listed_and_inspected(registry: Registry) -> None:
    body = await registry.push_image("tools/aligner", "v1")
    await registry.push_image("tools/aligner", "v2", salt="2")
    await registry.push_image("viewer", "latest")

    assert await survey(registry.client, PROJECT) == {"tools/aligner": ["v1", "v2"], "viewer": ["latest"]}
    name = f"{PROJECT}/tools/aligner"
    here, gone = [found async for found in inspect(registry.client, name, ["v1", "v3"])]
    assert here.head is not None
    assert (here.head.digest, here.head.media_type, here.head.size) == (
        digest(body),
        manifests.OCI_MANIFEST,
        len(body),
    )
    assert gone.head is None
    stored = await registry.client.get_manifest(name, digest(body))
    assert stored is not None
    assert stored.body == body
    assert await registry.client.get_manifest(name, digest(b"other")) is None


async def test_long_lists_are_read_page_by_page(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("berth.registry.client.PAGE_SIZE", 2)
    for n in range(5):
        await registry.push_image(f"tools/r{n}", "latest")
        await registry.push_image("many", f"v{n}")

    found = await survey(registry.client, PROJECT)
    assert list(found) == ["many", *(f"tools/r{n}" for n in range(5))]
    assert found["many"] == [f"v{n}" for n in range(5)]


async def test_a_repository_whose_tags_were_deleted_is_still_listed(registry: Registry) -> None:
    body = await registry.push_image("aligner", "v1")
    await registry.push_image("aligner", "v2")
    name = f"{PROJECT}/aligner"

    await registry.delete("aligner", "v1")
    assert [tag async for tag in registry.client.tags(name)] == ["v2"]
    await registry.delete("aligner", digest(body))
    assert await registry.client.head_manifest(name, digest(body)) is None
    assert await survey(registry.client, PROJECT) == {"aligner": []}


def files(registry: Registry) -> set[Path]:
    return {path.relative_to(registry.server.data) for path in registry.server.data.rglob("*")}


async def test_write_probes_show_in_no_listing_and_take_no_more_room_than_one(registry: Registry) -> None:
    await registry.client.probe_write(PROJECT)
    after_one = files(registry)
    await registry.client.probe_write(PROJECT)

    assert files(registry) == after_one
    assert await survey(registry.client, PROJECT) == {}
    assert [tag async for tag in registry.client.tags(f"{PROJECT}/berth-probe")] == []


async def test_a_write_probe_fails_on_a_volume_that_refuses_writes(registry: Registry) -> None:
    # Root may write into any directory, but into no file as if it were one.
    (registry.server.data / "docker").touch()
    with pytest.raises(RegistryUnavailableError, match="the start of an upload with status 500"):
        await registry.client.probe_write(PROJECT)


async def test_tokens_are_requested_once_and_reused(registry: Registry) -> None:
    await registry.client.probe_write(PROJECT)
    await registry.client.probe_write(PROJECT)
    assert registry.tokens.requested == [(f"repository:{PROJECT}/berth-probe:pull,push",)]


async def test_a_token_that_grants_nothing_is_reported_as_a_refusal(registry: Registry) -> None:
    registry.tokens.grants = False
    with pytest.raises(RegistryRefusedError, match="status 401"):
        await registry.client.head_manifest(f"{PROJECT}/aligner", "v1")


async def test_a_token_that_the_registry_refused_is_not_used_again(registry: Registry) -> None:
    registry.tokens.grants = False
    with pytest.raises(RegistryRefusedError):
        await registry.client.probe_write(PROJECT)
    registry.tokens.grants = True
    await registry.client.probe_write(PROJECT)


async def test_an_unavailable_registry_is_reported(registry: Registry) -> None:
    registry.server.stop()
    with pytest.raises(RegistryUnavailableError, match="did not answer"):
        await registry.client.head_manifest(f"{PROJECT}/aligner", "v1")


async def test_an_unavailable_access_service_is_reported(registry: Registry) -> None:
    from berth.registry.token_source import RegistryTokenSource

    tokens = RegistryTokenSource(registry.session, "http://127.0.0.1:9", lambda: "hunter2")
    with pytest.raises(RegistryUnavailableError, match="access service gave no token") as raised:
        await RegistryClient(registry.session, registry.server.url, tokens).probe_write(PROJECT)
    assert "hunter2" not in str(raised.value)
