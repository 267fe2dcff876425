"""The metrics of the operator."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from berth.reconcile.workqueue import Key, KeyedQueue, Work


class OperatorMetrics:
    """Metrics of reconciles, the work queue and watches, in a registry of their own."""

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
