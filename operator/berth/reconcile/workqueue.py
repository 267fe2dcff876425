"""The work queue (client-go: rate limiting work queue). Independent of Kubernetes; time and randomness are injected.

A waiting key is queued once. A key is processed by one worker at a time; when it is added meanwhile, it is processed
once more afterwards. A failed key is requeued with growing, jittered delays. Events shorten that delay to one second at
least, so that a broken object cannot occupy the workers. A key is processed `BURST` times in a row as fast as events
come, then once a second, so that another controller that reverts Berth's writes causes no hot loop.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, TypeAlias

BACKOFF_FIRST: Final = 0.5  # seconds
BACKOFF_LIMIT: Final = 300.0  # seconds
FAILED_PACE: Final = 1.0  # seconds; the shortest delay of a failed key after an event
BURST: Final = 30  # runs of one key in a row
PACE: Final = 1.0  # seconds for each run beyond the burst


class Key(NamedTuple):
    """An object to reconcile: kind and name (`namespace/name` for a namespaced kind)."""

    kind: str
    name: str


Work: TypeAlias = Callable[[Key], Awaitable[float | None]]
"""Processes one key; returns the seconds until the next time, or None. Raises after a failure, which it has logged:
backoff."""


class KeyedQueue:
    """Deduplicating queue with delays, backoff and a bounded number of workers."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, rng: random.Random | None = None) -> None:
        self._clock = clock
        self._random = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._order = itertools.count()
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._active: set[Key] = set()
        self._again: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._earliest: dict[Key, float] = {}
        self._spent: dict[Key, float] = {}  # until when the runs so far would last at one in PACE seconds
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, key: Key, after: float = 0.0) -> None:
        """Enqueue a key, to be processed `after` seconds from now at the latest."""
        due = max(self._clock() + after, self._earliest.get(key, 0.0))
        if key in self._active:
            self._again[key] = min(due, self._again.get(key, due))
            return
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._heap, (due, next(self._order), key))
            self._changed.set()

    def close(self) -> None:
        """Start no more keys: `run` returns when the active ones have ended."""
        self._closed = True
        self._changed.set()

    @property
    def waiting(self) -> int:
        """Number of waiting keys, delayed ones included."""
        return len(self._due)

    @property
    def active(self) -> int:
        """Number of keys in progress."""
        return len(self._active)

    def ready_since(self) -> float:
        """Seconds for which the longest-waiting due key has been due; 0 without one."""
        now = self._clock()
        return max((now - due for due in self._due.values() if due <= now), default=0.0)

    async def run(self, work: Work, workers: int) -> None:
        """Process keys with a number of workers until `close`. Raises the error of a broken worker."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._worker(work))

    async def _worker(self, work: Work) -> None:
        while (key := await self._next()) is not None:
            try:
                after = await work(key)
            except Exception:
                self._failed(key)
            else:
                self._succeeded(key, after)

    async def _next(self) -> Key | None:
        """Wait for a due key and take it; None after `close`."""
        while not self._closed:
            key, pause = self._pop()
            if key is not None:
                return key
            self._changed.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return None

    def _pop(self) -> tuple[Key | None, float | None]:
        """A due key, or the seconds until there may be one (None: until a key is added)."""
        while self._heap:
            due, _, key = self._heap[0]
            if self._due.get(key) != due:
                heapq.heappop(self._heap)  # overtaken by an earlier request for the same key
                continue
            pause = due - self._clock()
            if pause > 0:
                return None, pause
            heapq.heappop(self._heap)
            del self._due[key]
            self._active.add(key)
            self._pace(key)
            return key, 0.0
        return None, None

    def _pace(self, key: Key) -> None:
        """Count one run (generic cell rate algorithm, ITU-T I.371) and delay the key when its burst is used up."""
        now = self._clock()
        self._spent[key] = spent = max(now, self._spent.get(key, now)) + PACE
        if spent - now > BURST * PACE:
            self._earliest[key] = spent - BURST * PACE
        if len(self._spent) > 4 * (len(self._due) + len(self._active) + BURST):
            self._spent = {other: until for other, until in self._spent.items() if until > now}

    def _succeeded(self, key: Key, after: float | None) -> None:
        self._active.discard(key)
        self._failures.pop(key, None)
        if self._earliest.get(key, 0.0) <= self._clock():
            self._earliest.pop(key, None)
        if after is not None:
            self.add(key, after)
        self._requeue(key)

    def _failed(self, key: Key) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        pause = min(BACKOFF_LIMIT, BACKOFF_FIRST * 2 ** min(failures - 1, 16)) * self._random.uniform(0.8, 1.2)
        self._active.discard(key)
        self._earliest[key] = max(self._earliest.get(key, 0.0), self._clock() + min(FAILED_PACE, pause))
        self.add(key, pause)
        self._requeue(key)

    def _requeue(self, key: Key) -> None:
        due = self._again.pop(key, None)
        if due is not None:
            self.add(key, max(0.0, due - self._clock()))
