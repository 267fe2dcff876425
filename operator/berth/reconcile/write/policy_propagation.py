"""Whether every replica of the access service has the policy that a status is about to report.

A status reports that a right is gone, so it is written only when no replica grants the right any more. Each replica
reports how far its watches have come (`GET /policy-revision`), and that is compared with the operator's own watches.
Resource versions are comparable numbers for one kind of object, so one request covers any number of changes and
deletions (docs/adr/0012-policy-propagation-before-status.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from berth.kube.resources import Manifest
from berth.reconcile.watch.access_readiness import is_ready
from berth.reconcile.watch.caches import Caches

RevisionSource: TypeAlias = Callable[[str, int, Mapping[str, int]], Awaitable[Mapping[str, int] | None]]
"""Called with address and port of a replica and the resource versions to wait for, by plural of the kind. Returns the
versions that the replica has; None when it does not answer."""

RETRY_SECONDS: Final = 1.0  # between two requests to a replica that is behind or does not answer
DELETIONS_TIMEOUT_SECONDS: Final = 2.0  # how long a status waits for the events of own deletions
_PORT: Final = "http"  # name of the port that the chart gives to access


@dataclass(frozen=True, slots=True)
class _Replica:
    run: tuple[str, int]  # uid of the pod, restarts: a restarted process starts without a policy
    name: str
    address: str
    port: int
    ready: bool


class PolicyPropagation:
    """Requests the revisions of the replicas and caches them. Parallel calls share one round of requests."""

    def __init__(
        self, caches: Caches, revisions: RevisionSource, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._caches = caches
        self._revisions = revisions
        self._clock = clock
        self._round = asyncio.Lock()
        self._known: dict[tuple[str, int], Mapping[str, int]] = {}
        self._problem = ""
        self._quiet_until = float("-inf")

    async def not_propagated(self) -> str:
        """Empty when every replica has the present policy, else a sentence that says which one does not.

        A pod that is not ready and does not answer gets no requests, and is not waited for.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DELETIONS_TIMEOUT_SECONDS):
                await self._caches.deletions_confirmed()
        wanted = self._caches.policy_versions()
        if wanted is None:
            return "The API server has not sent the event of a deletion yet."
        async with self._round:
            behind = self._behind(wanted)
            if not behind:
                return ""
            if self._clock() < self._quiet_until:
                return self._problem
            latest = self._caches.policy_versions() or wanted
            responses = await asyncio.gather(*(self._revisions(r.address, r.port, latest) for r in behind))
            sentences = [self._compare(*pair, wanted) for pair in zip(behind, responses, strict=True)]
            self._problem = next(filter(None, sentences), "")
            if self._problem:
                self._quiet_until = self._clock() + RETRY_SECONDS
            return self._problem

    def _compare(self, replica: _Replica, revision: Mapping[str, int] | None, wanted: Mapping[str, int]) -> str:
        if revision is None:
            return f"Pod {replica.name} of the access service does not answer." if replica.ready else ""
        self._known[replica.run] = revision
        if _covers(revision, wanted):
            return ""
        return f"Pod {replica.name} of the access service does not have the latest change yet."

    def _behind(self, wanted: Mapping[str, int]) -> list[_Replica]:
        replicas = list(self._replicas())
        present = {replica.run for replica in replicas}
        self._known = {run: known for run, known in self._known.items() if run in present}
        return [replica for replica in replicas if not _covers(self._known.get(replica.run, {}), wanted)]

    def _replicas(self) -> Iterator[_Replica]:
        for pod in self._caches.access_pods():
            status: Mapping[str, Any] = pod.get("status") or {}
            port = _port(pod)
            if status.get("phase") != "Running" or not status.get("podIP") or not port:
                continue
            restarts = sum(int(found.get("restartCount", 0)) for found in status.get("containerStatuses") or ())
            metadata = pod["metadata"]
            yield _Replica((metadata["uid"], restarts), metadata["name"], status["podIP"], port, is_ready(pod))


def _covers(known: Mapping[str, int], wanted: Mapping[str, int]) -> bool:
    return all(known.get(plural, -1) >= version for plural, version in wanted.items())


def _port(pod: Manifest) -> int:
    ports = (port for container in pod["spec"]["containers"] for port in container.get("ports") or ())
    return next((int(port["containerPort"]) for port in ports if port.get("name") == _PORT), 0)
