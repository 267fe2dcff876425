"""The operator's own endpoint: `/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from berth.reconcile.workqueue import Key, KeyedQueue, Work

STUCK: Final = 300.0  # seconds for which a due key may wait before the operator counts as stuck


class Metrics:
    """What Prometheus reads. Every operator has its own registry of collectors."""

    def __init__(self, queue: KeyedQueue, failing: Callable[[], Mapping[str, str]]) -> None:
        self.registry = CollectorRegistry()
        self._passes = Counter(
            "berth_operator_passes", "Passes over one object.", ("kind", "outcome"), registry=self.registry
        )
        self._seconds = Histogram(
            "berth_operator_pass_seconds", "Duration of a pass.", ("kind",), registry=self.registry
        )
        gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("berth_operator_keys_waiting", "Keys that wait, delayed ones included.", lambda: queue.waiting),
            ("berth_operator_keys_active", "Keys that are being worked on.", lambda: queue.active),
            ("berth_operator_key_wait_seconds", "How long the longest-waiting due key has waited.", queue.ready_since),
            ("berth_operator_watches_failing", "Watches that fail now.", lambda: len(failing())),
        )
        for name, meaning, read in gauges:
            Gauge(name, meaning, registry=self.registry).set_function(read)

    def measured(self, work: Work) -> Work:
        """The same work, counted and timed."""

        async def counted(key: Key) -> float | None:
            began = time.perf_counter()
            outcome = "failed"
            try:
                after = await work(key)
                outcome = "done"
                return after
            finally:
                self._passes.labels(key.kind, outcome).inc()
                self._seconds.labels(key.kind).observe(time.perf_counter() - began)

        return counted


async def serve_health(
    port: int,
    *,
    queue: KeyedQueue,
    ready: Callable[[], bool],
    failing: Callable[[], Mapping[str, str]],
    metrics: Metrics,
) -> None:
    """Serve until cancelled, on every address of the pod: the kubelet asks from outside."""

    async def healthz(_: web.Request) -> web.Response:
        waited = queue.ready_since()
        if waited > STUCK:
            return web.json_response({"stuckForSeconds": round(waited)}, status=500)
        return web.json_response({"ok": True})

    async def readyz(_: web.Request) -> web.Response:
        return web.json_response({"ready": ready(), "failingWatches": dict(failing())}, status=200 if ready() else 503)

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    routes: Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
        "/healthz": healthz,
        "/readyz": readyz,
        "/metrics": exposition,
    }
    app = web.Application()
    app.add_routes([web.get(path, handler) for path, handler in routes.items()])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, None, port).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
