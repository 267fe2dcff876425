"""Failed logins take equally long, whatever it was that failed.

How long a password takes to verify says what it was verified against: the hash of a user, made with argon2id or bcrypt
and as many rounds as somebody chose, or the one that stands for users that do not exist. So no failure is told before a
whole number of pauses has passed since the verification began, and a little more by chance: timers count whole
milliseconds, and the odd part of one would tell. No thread is held meanwhile, and no turn of anybody.
Why so: docs/adr/0007-constant-time-for-failed-logins.md.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

SPREAD: Final = 0.1
"""Of a pause, how much longer it may last by chance."""


class FailureDelay:
    """`pause` is in seconds and longer than any hash in use takes to verify, else the number of pauses tells of it:
    that is logged. `monotonic` is in seconds too, `chance` from 0 to 1.
    """

    def __init__(
        self,
        *,
        pause: float,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._pause = pause
        self._monotonic = monotonic
        self._sleep = sleep
        self._chance = chance
        self._log = structlog.get_logger("berth.access.passwords")

    async def over(self, began: float) -> None:
        """Wait until a failure may be told whose verification began at that time of the clock."""
        spent = self._monotonic() - began
        pauses = max(1, math.ceil(spent / self._pause))
        if pauses > 1:
            self._log.warning(
                "a password took longer to verify than a failed login lasts: raise BERTH_FAILED_LOGIN_SECONDS, give "
                "this process more of a processor, or make the slowest password hashes again with fewer rounds",
                seconds=round(spent, 2),
                failed_login_seconds=self._pause,
            )
        await self._sleep((pauses + SPREAD * self._chance()) * self._pause - spent)
