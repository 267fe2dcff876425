"""Write probes of registries: the latest results, and which are due. In memory alone.

A result counts while the probed pods run. After a restart of the operator a project whose status reports writable
storage keeps it while the first probe runs, so that a restart changes no status.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import structlog

from berth.status.observed import ObservedProbe, ProbeOutcome

Prober: TypeAlias = Callable[[str], Awaitable[ObservedProbe | None]]
"""Writes to the registry of a project id and reads it back. None: no token for it, so nothing is known about the
registry."""

Pods: TypeAlias = frozenset[str]
"""Identity of the pods that run now, see `observe.children.ready_pods`."""

CONCURRENT_PROBES: Final = 4
RETRY_FIRST: Final = 1.0  # seconds after a probe that did not succeed, then twice as long each time
RETRY_LIMIT: Final = 30.0  # seconds

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry:
    pods: Pods
    result: ObservedProbe | None
    due: float
    running: bool = False
    failures: int = 0  # in a row
    request: str = ""  # the annotation with which a new probe was requested last


class Probes:
    """Caches the latest result for each project and runs probes that are due."""

    def __init__(
        self,
        prober: Prober,
        enqueue: Callable[[str], None],
        interval: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prober = prober
        self._enqueue = enqueue
        self._interval = interval
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._due: asyncio.Queue[str] = asyncio.Queue()

    def latest(self, project_id: str, pods: Pods, *, reported_ready: bool, request: str = "") -> ObservedProbe | None:
        """The latest result for these pods, or None; queues a new probe when one is due.

        `reported_ready`: whether the project's present status reports writable storage; it counts in the first call
        for a project only. `request`: each new value makes a probe due.
        """
        if not pods:
            return None
        entry = self._entries.get(project_id)
        if entry is None:
            assumed = ObservedProbe(ProbeOutcome.WRITTEN) if reported_ready else None
            entry = _Entry(pods, assumed, self._clock(), request=request)
        elif entry.pods != pods:
            entry = _Entry(pods, None, self._clock(), running=entry.running, request=request)
        elif entry.request != request:
            entry = replace(entry, due=self._clock(), request=request)
        if entry.due <= self._clock() and not entry.running:
            entry = replace(entry, running=True)
            self._due.put_nowait(project_id)
        self._entries[project_id] = entry
        return entry.result

    def next_due(self, project_id: str) -> float:
        """Seconds until the next probe of the project is due; the end of a running one enqueues the project."""
        entry = self._entries.get(project_id)
        if entry is None or entry.running:
            return self._interval
        return max(1.0, entry.due - self._clock())

    def forget(self, project_id: str) -> None:
        """The project is gone."""
        self._entries.pop(project_id, None)

    async def run(self) -> None:
        """Run probes as they become due, forever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENT_PROBES):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            project_id = await self._due.get()
            began = self._entries.get(project_id)
            if began is None:
                continue
            try:
                result = await self._prober(project_id)
            except Exception as error:
                _log.exception("unexpected error in a write probe", project=project_id, error=type(error).__name__)
                result = None
            self._record(project_id, began, result)

    def _record(self, project_id: str, began: _Entry, result: ObservedProbe | None) -> None:
        entry = self._entries.get(project_id)
        if entry is None:
            return
        if entry.pods != began.pods:  # a result for pods that are gone: the present ones are due at once
            ended = replace(entry, due=self._clock())
        elif result is not None and result.outcome is ProbeOutcome.WRITTEN:
            ended = replace(entry, due=self._clock() + self._interval, result=result, failures=0)
        else:
            pause = min(RETRY_LIMIT, RETRY_FIRST * 2 ** min(entry.failures, 8))
            ended = replace(
                entry, due=self._clock() + pause, result=result or entry.result, failures=entry.failures + 1
            )
        if entry.request != began.request:  # requested after this probe began
            ended = replace(ended, due=self._clock())
        self._entries[project_id] = replace(ended, running=False)
        self._enqueue(project_id)
