"""Whether every replica of the access service decides by what a status is about to say.

A status tells people that a right is gone, so it may be written only once no replica grants it any more. Each replica
says how far its watches have come (`GET /policy-revision`), and that is compared with how far the operator's have.
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
from berth.reconcile.watch.caches import Caches

RevisionSource: TypeAlias = Callable[[str, int, Mapping[str, int]], Awaitable[Mapping[str, int] | None]]
"""Asks the replica at (address, port) whether it has come as far as the versions say, by plural of the kind; it may
wait a moment for that. Returns how far it has come; None: it did not answer."""

AGAIN: Final = 1.0  # seconds after which a replica that is behind, or does not answer, is asked again
TOLD_WITHIN: Final = 2.0  # seconds; how long a status waits for the events of Berth's own deletions
_PORT: Final = "http"  # name of the port that the chart gives to access


@dataclass(frozen=True, slots=True)
class _Replica:
    run: tuple[str, int]  # uid of the pod, restarts: a process that starts anew knows nothing of before
    name: str
    address: str
    port: int
    ready: bool


class PolicyPropagation:
    """Asks the replicas, and remembers what they said. Parallel questions are asked once."""

    def __init__(self, caches: Caches, ask: RevisionSource, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._caches = caches
        self._ask = ask
        self._clock = clock
        self._round = asyncio.Lock()
        self._known: dict[tuple[str, int], Mapping[str, int]] = {}
        self._problem = ""
        self._quiet_until = float("-inf")

    async def problem(self) -> str:
        """Empty when every replica that serves knows all that is known here; else one sentence that says why not.

        A pod that is not ready and does not answer serves nobody and is not waited for.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOLD_WITHIN):
                await self._caches.deletions_confirmed()
        wanted = self._caches.policy_versions()
        if wanted is None:
            return "The API server has not told yet that something is deleted."
        async with self._round:
            behind = self._behind(wanted)
            if not behind:
                return ""
            if self._clock() < self._quiet_until:
                return self._problem
            latest = self._caches.policy_versions() or wanted
            answers = await asyncio.gather(*(self._ask(r.address, r.port, latest) for r in behind))
            sentences = [self._judge(*pair, wanted) for pair in zip(behind, answers, strict=True)]
            self._problem = next(filter(None, sentences), "")
            if self._problem:
                self._quiet_until = self._clock() + AGAIN
            return self._problem

    def _judge(self, replica: _Replica, answer: Mapping[str, int] | None, wanted: Mapping[str, int]) -> str:
        if answer is None:
            return f"Pod {replica.name} of the access service does not answer." if replica.ready else ""
        self._known[replica.run] = answer
        if _covers(answer, wanted):
            return ""
        return f"Pod {replica.name} of the access service does not know the latest change yet."

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
            ready = any(
                found["type"] == "Ready" and found["status"] == "True" for found in status.get("conditions") or ()
            )
            metadata = pod["metadata"]
            yield _Replica((metadata["uid"], restarts), metadata["name"], status["podIP"], port, ready)


def _covers(known: Mapping[str, int], wanted: Mapping[str, int]) -> bool:
    return all(known.get(plural, -1) >= version for plural, version in wanted.items())


def _port(pod: Manifest) -> int:
    ports = (port for container in pod["spec"]["containers"] for port in container.get("ports") or ())
    return next((int(port["containerPort"]) for port in ports if port.get("name") == _PORT), 0)
