"""Write probes of registries: which were made, which are due. In memory; nothing of it is ever written to the cluster.

A registry counts as probed only while the pods that were probed run. After a restart of the operator a project that
said it was writable keeps saying so while the first probe runs, so that a restart changes no status.
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
"""Writes to the registry of a project id and reads it back. None: it could not be tried (no token for it), which says
nothing about the registry."""

Pods: TypeAlias = frozenset[str]
"""What tells the pods that run now from earlier ones."""

AT_ONCE: Final = 4  # probes
RETRY_FIRST: Final = 1.0  # seconds after a probe that did not succeed, then twice as long each time
RETRY_LIMIT: Final = 30.0  # seconds

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry:
    pods: Pods
    seen: ObservedProbe | None
    due: float
    running: bool = False
    failures: int = 0  # in a row
    asked: str = ""  # what somebody last wrote to have it looked at anew


class Probes:
    """Remembers the last probe of each project and runs those that are due."""

    def __init__(
        self,
        prober: Prober,
        wake: Callable[[str], None],
        interval: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prober = prober
        self._wake = wake
        self._interval = interval
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._due: asyncio.Queue[str] = asyncio.Queue()

    def look(self, project_id: str, pods: Pods, *, said_ready: bool, asked: str = "") -> ObservedProbe | None:
        """The last probe of these pods, or None; asks for a new one when that is due.

        `said_ready`: whether the project's present status says that its storage is writable. It counts only when
        this process has not looked at the project before. `asked`: with each new value a new probe is due.
        """
        if not pods:
            return None
        entry = self._entries.get(project_id)
        if entry is None:
            assumed = ObservedProbe(ProbeOutcome.WRITTEN) if said_ready else None
            entry = _Entry(pods, assumed, self._clock(), asked=asked)
        elif entry.pods != pods:
            entry = _Entry(pods, None, self._clock(), running=entry.running, asked=asked)
        elif entry.asked != asked:
            entry = replace(entry, due=self._clock(), asked=asked)
        if entry.due <= self._clock() and not entry.running:
            entry = replace(entry, running=True)
            self._due.put_nowait(project_id)
        self._entries[project_id] = entry
        return entry.seen

    def next_due(self, project_id: str) -> float:
        """Seconds until the project should be looked at again for its probe; the end of a running one wakes it."""
        entry = self._entries.get(project_id)
        if entry is None or entry.running:
            return self._interval
        return max(1.0, entry.due - self._clock())

    def forget(self, project_id: str) -> None:
        """The project is gone."""
        self._entries.pop(project_id, None)

    async def run(self) -> None:
        """Run probes as they come due, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            project_id = await self._due.get()
            began = self._entries.get(project_id)
            if began is None:
                continue
            try:
                seen = await self._prober(project_id)
            except Exception as error:
                _log.exception("an error in a write probe", project=project_id, error=type(error).__name__)
                seen = None
            self._record(project_id, began, seen)

    def _record(self, project_id: str, began: _Entry, seen: ObservedProbe | None) -> None:
        entry = self._entries.get(project_id)
        if entry is None:
            return
        if entry.pods != began.pods:  # it answers for pods that are gone: the present ones are due at once
            ended = replace(entry, due=self._clock())
        elif seen is not None and seen.outcome is ProbeOutcome.WRITTEN:
            ended = replace(entry, due=self._clock() + self._interval, seen=seen, failures=0)
        else:
            pause = min(RETRY_LIMIT, RETRY_FIRST * 2 ** min(entry.failures, 8))
            ended = replace(entry, due=self._clock() + pause, seen=seen or entry.seen, failures=entry.failures + 1)
        if entry.asked != began.asked:  # somebody asked after it had begun
            ended = replace(ended, due=self._clock())
        self._entries[project_id] = replace(ended, running=False)
        self._wake(project_id)
