"""The endpoint of a process for the kubelet and Prometheus: `/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of a health or readiness check, and its details as a JSON object."""

    ok: bool
    details: Mapping[str, Any] = field(default_factory=dict)


async def serve_health(
    port: int,
    *,
    healthy: Callable[[], Probe],
    ready: Callable[[], Awaitable[Probe]],
    registry: CollectorRegistry,
) -> None:
    """Serve on every address of the pod, IPv4 and IPv6, until cancelled. Raises OSError when the port is taken."""

    async def healthz(_: web.Request) -> web.Response:
        probe = healthy()
        return web.json_response(dict(probe.details), status=200 if probe.ok else 500)

    async def readyz(_: web.Request) -> web.Response:
        probe = await ready()
        return web.json_response(dict(probe.details), status=200 if probe.ok else 503)

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, None, port).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
