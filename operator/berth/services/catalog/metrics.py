"""The catalog's Prometheus metrics. No label value is the name of a person, project or repository."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class CatalogMetrics:
    """The metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "berth_catalog_requests", "Requests by endpoint and status.", ("endpoint", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "berth_catalog_request_duration_seconds",
            "Duration of a request.",
            ("endpoint",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._publish = Counter(
            "berth_catalog_publish", "Repositories published, by result.", ("result",), registry=self.registry
        )
        self._settled = Counter(
            "berth_catalog_writes_settled", "Writes settled from the registry.", registry=self.registry
        )
        self._walks = Counter("berth_catalog_walks", "Registry walks, by result.", ("result",), registry=self.registry)
        self._queue_depth = Gauge(
            "berth_catalog_publish_queue_depth", "Repositories that wait to be published.", registry=self.registry
        )

    def count_request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one request and its duration."""
        self._requests.labels(endpoint, str(status)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def count_publish(self, result: str) -> None:
        """Count one published repository."""
        self._publish.labels(result).inc()

    def count_settled(self, count: int) -> None:
        """Count writes settled from the registry."""
        self._settled.inc(count)

    def count_walk(self, result: str) -> None:
        """Count one registry walk: `in-sync`, `content-missing` or `unreachable`."""
        self._walks.labels(result).inc()

    def watch_queue_depth(self, read: Callable[[], int]) -> None:
        """Read the queue depth at each scrape."""
        self._queue_depth.set_function(read)
