"""What the catalog counts for Prometheus. No label holds a name of a person, project or repository."""

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
            "berth_catalog_requests", "Calls answered.", ("endpoint", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "berth_catalog_request_seconds", "Time to answer.", ("endpoint",), buckets=_SECONDS, registry=self.registry
        )
        self._published = Counter(
            "berth_catalog_published",
            "Looks at objects, by outcome.",
            ("outcome",),
            registry=self.registry,
        )
        self._settled = Counter("berth_catalog_settled", "Writes settled from the registry.", registry=self.registry)
        self._walks = Counter("berth_catalog_walks", "Healing walks, by outcome.", ("outcome",), registry=self.registry)
        self._backlog = Gauge(
            "berth_catalog_publish_backlog", "Repositories whose object waits to be looked at.", registry=self.registry
        )

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """One call was answered."""
        self._requests.labels(endpoint, str(status)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def published(self, outcome: str) -> None:
        """One repository's object was looked at."""
        self._published.labels(outcome).inc()

    def settled(self, count: int) -> None:
        """So many writes were settled from the registry."""
        self._settled.inc(count)

    def walked(self, outcome: str) -> None:
        """One healing walk has ended: `in-sync`, `content-missing` or `unreachable`."""
        self._walks.labels(outcome).inc()

    def watch_backlog(self, read: Callable[[], int]) -> None:
        """Read the backlog whenever the metrics are."""
        self._backlog.set_function(read)
