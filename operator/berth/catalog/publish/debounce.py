"""A work queue that limits the rate of each key."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Waiting:
    due: float
    timer: asyncio.TimerHandle | None  # None: already in the queue


class DebouncedQueue(Generic[Key]):
    """A work queue. A key is never processed twice at the same time; adding a waiting key has no effect.

    `interval_seconds` is the shortest time between two runs with an effect on the same key.
    """

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: dict[Key, _Waiting] = {}
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._not_before: dict[Key, float] = {}

    def __len__(self) -> int:
        """Number of keys that wait or are being processed."""
        return len(self._waiting) + len(self._running)

    def add(self, key: Key) -> None:
        """Enqueue a key: at once, or as soon as its interval is over."""
        if key in self._running:
            self._again.add(key)
            return
        self._schedule(key, 0)

    async def take(self) -> Key:
        """Wait for the next key. Always call `done` with it afterwards."""
        key = await self._ready.get()
        del self._waiting[key]
        self._running.add(key)
        return key

    def done(self, key: Key, *, effect: bool, retry_in: float | None = None) -> None:
        """Finish a key. `effect`: its interval starts now. `retry_in`: seconds until the next try."""
        self._running.discard(key)
        if effect:
            self._not_before[key] = self._now() + self._interval_seconds
        if key in self._again:
            self._again.discard(key)
            self._schedule(key, 0)
        elif retry_in is not None:
            self._schedule(key, retry_in)

    def _schedule(self, key: Key, delay: float) -> None:
        now = self._now()
        due = max(now + delay, self._not_before.get(key, now))
        present = self._waiting.get(key)
        if present is not None:
            if present.timer is None or present.due <= due:
                return
            present.timer.cancel()
        if due <= now:
            self._waiting[key] = _Waiting(due, None)
            self._ready.put_nowait(key)
            return
        self._waiting[key] = _Waiting(due, asyncio.get_running_loop().call_at(due, self._release, key))

    def _release(self, key: Key) -> None:
        self._waiting[key] = _Waiting(self._now(), None)
        self._ready.put_nowait(key)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
