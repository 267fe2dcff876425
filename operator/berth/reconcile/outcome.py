"""How a reconcile may end. Anything else is a bug and is reported as one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

NEEDS_PERSON: Final = "the status says what a person must do"
STALLED_RESYNC_SECONDS: Final = 300.0  # for obstacles whose end no watch reports, such as a webhook
_SHORTEST: Final = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Done:
    """Everything is as desired. Requeued after `resync_after` seconds even without an event; None: by an event only."""

    resync_after: float | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something is in progress that Berth cannot hasten. Usually an event requeues; `after` seconds is the fallback."""

    reason: str
    after: float


@dataclass(frozen=True, slots=True)
class Retrying:
    """A write failed and may succeed later by itself: requeued with backoff."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stalled:
    """Only a person can fix it. Usually an event requeues when they have; `after` seconds is the fallback."""

    reason: str
    after: float = STALLED_RESYNC_SECONDS


def sooner(*pauses: float | None) -> float | None:
    """The shortest of some pauses in seconds; None is no pause."""
    return min((pause for pause in pauses if pause is not None), default=None)


def seconds_until(moment: datetime, now: datetime) -> float:
    """Seconds until a moment, at least 0.05: a reconcile just before it finds no change and is requeued."""
    return max(_SHORTEST, (moment - now).total_seconds())


Outcome: TypeAlias = Done | Waiting | Retrying | Stalled
