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
        self._total = Counter(
            "berth_reconcile_total", "Reconciles by kind and result.", ("kind", "result"), registry=self.registry
        )
        self._duration = Histogram(
            "berth_reconcile_duration_seconds", "Duration of a reconcile.", ("kind",), registry=self.registry
        )
        gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("berth_workqueue_depth", "Waiting keys, delayed ones included.", lambda: queue.waiting),
            ("berth_reconcile_active", "Reconciles in progress.", lambda: queue.active),
            ("berth_workqueue_longest_wait_seconds", "Wait of the longest-waiting due key.", queue.ready_since),
            ("berth_watches_failing", "Watches that fail now.", lambda: len(failing())),
        )
        for name, meaning, read in gauges:
            Gauge(name, meaning, registry=self.registry).set_function(read)

    def measured(self, work: Work) -> Work:
        """The work with its number and duration measured."""

        async def counted(key: Key) -> float | None:
            began = time.perf_counter()
            result = "error"
            try:
                after = await work(key)
                result = "success"
                return after
            finally:
                self._total.labels(key.kind, result).inc()
                self._duration.labels(key.kind).observe(time.perf_counter() - began)

        return counted
