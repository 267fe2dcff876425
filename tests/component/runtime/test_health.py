"""The endpoint for the kubelet and Prometheus over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge

from berth.runtime.health import Probe, serve_health
from tests.kit.control_plane import free_ports


class Endpoint:
    """A running endpoint, whose probes a test sets."""

    def __init__(self, port: int, session: aiohttp.ClientSession) -> None:
        self.port = port
        self.session = session
        self.health = Probe(True, {"ok": True})
        self.readiness = Probe(True)

    async def ready(self) -> Probe:
        return self.readiness

    async def get(self, path: str, **headers: str) -> tuple[int, str, str]:
        async with self.session.get(f"http://127.0.0.1:{self.port}{path}", headers=headers) as response:
            return response.status, response.headers["Content-Type"], await response.text()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    (port,) = free_ports(1)
    registry = CollectorRegistry()
    Gauge("berth_answer", "The answer.", registry=registry).set(42)
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        made = Endpoint(port, session)
        serving = tasks.create_task(
            serve_health(port, healthy=lambda: made.health, ready=made.ready, registry=registry)
        )
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    await made.get("/healthz")
                    break
                await asyncio.sleep(0.01)
        yield made
        serving.cancel()


async def test_healthz_is_200_or_500_with_the_details(endpoint: Endpoint) -> None:
    assert (await endpoint.get("/healthz"))[::2] == (200, '{"ok": true}')
    endpoint.health = Probe(False, {"ended": {"policy": "KeyError"}})
    assert (await endpoint.get("/healthz"))[::2] == (500, '{"ended": {"policy": "KeyError"}}')


async def test_readyz_is_200_or_503_with_the_details(endpoint: Endpoint) -> None:
    assert (await endpoint.get("/readyz"))[::2] == (200, "{}")
    endpoint.readiness = Probe(False, {"policy": False})
    assert (await endpoint.get("/readyz"))[::2] == (503, '{"policy": false}')


async def test_metrics_are_exposed_in_the_requested_format(endpoint: Endpoint) -> None:
    status, content_type, text = await endpoint.get("/metrics")
    assert (status, content_type.partition(";")[0]) == (200, "text/plain")
    assert "\nberth_answer 42.0\n" in text
    status, content_type, text = await endpoint.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert (status, content_type.partition(";")[0]) == (200, "application/openmetrics-text")
    assert text.endswith("# EOF\n")


async def test_other_paths_are_404(endpoint: Endpoint) -> None:
    assert (await endpoint.get("/"))[0] == 404


async def test_a_port_that_is_taken_is_an_error(endpoint: Endpoint) -> None:
    with pytest.raises(OSError):
        await serve_health(
            endpoint.port, healthy=lambda: endpoint.health, ready=endpoint.ready, registry=CollectorRegistry()
        )
