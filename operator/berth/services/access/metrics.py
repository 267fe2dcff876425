"""What the access service counts for Prometheus. No label holds a name of a person, project or repository."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

from berth.api.reasons import Reason

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_NOTED: Final = 256  # answers that are noted before they are counted


class _Before(Collector):
    """Does something before metrics are read, and has none of its own."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def collect(self) -> Iterable[Metric]:
        self._act()
        return ()


class AccessMetrics:
    """The metrics, in a registry of their own.

    Answers are noted when they are given, and counted many at a time: to count one costs as much as to decide it.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._noted: deque[tuple[str, int, float]] = deque()  # endpoint, status, seconds
        # The first to be asked when somebody reads the metrics, so that they lack nothing.
        self.registry.register(_Before(self._count))
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
        self._noted.append((endpoint, status, seconds))
        if len(self._noted) >= _NOTED:
            self._count()

    def _count(self) -> None:
        """Count what is noted. Whoever reads the metrics does so in a thread of its own."""
        while self._noted:
            try:
                endpoint, status, seconds = self._noted.popleft()
            except IndexError:  # the other thread was faster
                return
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
