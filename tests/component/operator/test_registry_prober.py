"""What the answers of a real registry to a write probe mean."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from berth.registry.token_source import RegistryTokenSource
from berth.services.operator.registry_prober import RegistryProber
from berth.status.observed import ObservedProbe, ProbeOutcome
from tests.kit.catalog.registries import PROJECT, SERVICE_TOKEN, Registry, registry_with_client


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    async with registry_with_client(tmp_path) as running:
        yield running


async def probe(registry: Registry, access_url: str = "") -> ObservedProbe | None:
    tokens = RegistryTokenSource(registry.session, access_url or registry.tokens.url, lambda: SERVICE_TOKEN)
    return await RegistryProber(registry.session, tokens, lambda _project: registry.server.url)(PROJECT)


async def outcome(registry: Registry) -> ProbeOutcome:
    seen = await probe(registry)
    assert seen is not None
    assert seen.outcome is ProbeOutcome.WRITTEN or seen.message
    return seen.outcome


async def test_a_registry_that_takes_a_write_is_written_to(registry: Registry) -> None:
    assert await outcome(registry) is ProbeOutcome.WRITTEN


async def test_a_volume_that_refuses_writes_is_not_writable(registry: Registry) -> None:
    # Root may write into any directory, but into no file as if it were one.
    (registry.server.data / "docker").touch()
    assert await outcome(registry) is ProbeOutcome.NOT_WRITABLE


async def test_a_registry_that_does_not_take_the_token_refuses(registry: Registry) -> None:
    registry.tokens.grants = False
    assert await outcome(registry) is ProbeOutcome.REFUSED


async def test_a_registry_that_is_away_is_unreachable(registry: Registry) -> None:
    registry.server.stop()
    assert await outcome(registry) is ProbeOutcome.UNREACHABLE


async def test_an_access_service_that_is_away_says_nothing_about_the_registry(registry: Registry) -> None:
    assert await probe(registry, "http://127.0.0.1:9") is None
