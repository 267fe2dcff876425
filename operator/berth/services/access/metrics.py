"""What the access service counts for Prometheus. No label holds a name of a person, project or repository."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from berth.api.reasons import Reason

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class AccessMetrics:
    """The metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "berth_access_requests", "Requests answered.", ("endpoint", "status"), registry=self.registry
        )
        self._answered: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._seconds = Histogram(
            "berth_access_request_seconds", "Time to answer.", ("endpoint",), buckets=_SECONDS, registry=self.registry
        )
        self._refusals = Counter(
            "berth_access_refusals", "Requests refused, by reason.", ("endpoint", "reason"), registry=self.registry
        )
        self._generation = Gauge(
            "berth_access_policy_generation", "Changes of the policy seen since the start.", registry=self.registry
        )

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """One request was answered."""
        known = self._answered.get((endpoint, status))
        if known is None:
            # Endpoints and statuses are few; to find a child by its labels costs more than to count.
            known = self._requests.labels(endpoint, str(status)), self._seconds.labels(endpoint)
            self._answered[endpoint, status] = known
        known[0].inc()
        known[1].observe(seconds)

    def refused(self, endpoint: str, reason: Reason | None) -> None:
        """One request was refused."""
        self._refusals.labels(endpoint, reason.value if reason else "Challenge").inc()

    def policy(self, generation: int) -> None:
        """The generation of the present policy."""
        self._generation.set(generation)
