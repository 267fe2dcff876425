"""A queue of keys, each handed out at once the first time and then no more often than its interval allows."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Waiting:
    due: float
    timer: asyncio.TimerHandle | None  # None: stands in the queue already


class DebouncedQueue(Generic[Key]):
    """Keys to work on. A key is never worked on twice at the same time; adding one that waits changes nothing.

    `interval` is in seconds, between two times that work on a key had an effect.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: dict[Key, _Waiting] = {}
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._not_before: dict[Key, float] = {}

    def __len__(self) -> int:
        """Keys that wait or are worked on."""
        return len(self._waiting) + len(self._running)

    def add(self, key: Key) -> None:
        """Work on a key: at once, or as soon as its interval has passed."""
        if key in self._running:
            self._again.add(key)
            return
        self._schedule(key, 0)

    async def take(self) -> Key:
        """The next key; call `done` with it afterwards, whatever happened."""
        key = await self._ready.get()
        del self._waiting[key]
        self._running.add(key)
        return key

    def done(self, key: Key, *, effect: bool, retry_in: float | None = None) -> None:
        """Work on a key has ended. `effect`: its interval starts now. `retry_in`: seconds until it is tried again."""
        self._running.discard(key)
        if effect:
            self._not_before[key] = self._now() + self._interval
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
