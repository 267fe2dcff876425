"""Equal response times for all failed logins.

The time that a password takes to verify depends on the hash: argon2id or bcrypt with any number of rounds, or the dummy
hash of unknown users. So the response to a failed login waits for a whole number of intervals since the verification
started, plus a random part, because timers have a resolution of a millisecond and the remainder would reveal the time.
The wait takes neither a thread nor a place in the queue. Reasons: docs/adr/0007-constant-time-for-failed-logins.md.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

JITTER: Final = 0.1
"""The largest random part of a wait, as a fraction of the interval."""


class FailureDelay:
    """Delays responses to failed logins.

    `pause` is the interval in seconds. It has to be longer than the slowest hash takes to verify, otherwise the number
    of intervals reveals the hash; that is logged. `monotonic` is in seconds, `chance` is a random number from 0 to 1.
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
        self._log = structlog.get_logger("berth.identity.passwords")

    async def wait(self, started_at: float) -> None:
        """Wait until the response may be sent. `started_at` is the start of the verification by `monotonic`."""
        spent = self._monotonic() - started_at
        pauses = max(1, math.ceil(spent / self._pause))
        if pauses > 1:
            self._log.warning(
                "verifying a password took longer than BERTH_FAILED_LOGIN_SECONDS: raise it, give this process more "
                "CPU, or create the slowest password hashes again with fewer rounds",
                seconds=round(spent, 2),
                failed_login_seconds=self._pause,
            )
        await self._sleep((pauses + JITTER * self._chance()) * self._pause - spent)
