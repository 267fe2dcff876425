"""Metrics of the access service.

No label holds the name of a person, a project or a repository.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

from berth.api.reasons import Reason

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BATCH: Final = 256  # responses that are queued before they are counted

CHALLENGE: Final = "Challenge"
"""The reason of a refusal that asks the client for a token, or for a new one."""


class _BeforeCollect(Collector):
    """Runs a function before metrics are read. Has no metrics of its own."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def collect(self) -> Iterable[Metric]:
        self._act()
        return ()


class AccessMetrics:
    """The metrics, in a registry of their own.

    Responses are queued and counted in batches: to count one takes as long as to decide it.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._queued: deque[tuple[str, int, float]] = deque()  # endpoint, status, seconds
        # Registered first, so that the metrics that follow are complete when they are read.
        self.registry.register(_BeforeCollect(self._flush))
        self._requests = Counter(
            "berth_access_requests",
            "Requests by endpoint and status of the response.",
            ("endpoint", "status"),
            registry=self.registry,
        )
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._seconds = Histogram(
            "berth_access_request_duration_seconds",
            "Time from request to response.",
            ("endpoint",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._refusals = Counter(
            "berth_access_refusals",
            "Refused requests by reason; Challenge: the client needs a token, or a new one.",
            ("endpoint", "reason"),
            registry=self.registry,
        )
        self._generation = Gauge(
            "berth_access_policy_generation",
            "Policy changes since the process started.",
            registry=self.registry,
        )

    def observe_request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one request and its response."""
        self._queued.append((endpoint, status, seconds))
        if len(self._queued) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        """Count what is queued."""
        while self._queued:
            endpoint, status, seconds = self._queued.popleft()
            children = self._children.get((endpoint, status))
            if children is None:
                # Endpoints and statuses are few; to find a child by its labels takes longer than to count.
                children = self._requests.labels(endpoint, str(status)), self._seconds.labels(endpoint)
                self._children[endpoint, status] = children
            children[0].inc()
            children[1].observe(seconds)

    def count_refusal(self, endpoint: str, reason: Reason | None) -> None:
        """Count one refused request; without a reason, a challenge."""
        self._refusals.labels(endpoint, reason.value if reason else CHALLENGE).inc()

    def set_policy_generation(self, generation: int) -> None:
        """Set the generation of the present policy."""
        self._generation.set(generation)
