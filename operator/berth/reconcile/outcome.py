"""How one pass over one object may end. Anything else is a bug and is treated as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Done:
    """Everything is as desired. Look again after so many seconds even if nothing happens; None: only when told."""

    resync_after: float | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something is under way that Berth can not hasten. A watch usually tells; `after` seconds is the fallback."""

    reason: str
    after: float


@dataclass(frozen=True, slots=True)
class Retrying:
    """A write did not succeed and may succeed later by itself: again after growing pauses."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stalled:
    """Only a person can mend it. A watch usually tells when they have; `after` seconds is the fallback."""

    reason: str
    after: float = 300.0


def sooner(*pauses: float | None) -> float | None:
    """The shortest of some pauses in seconds; None is none at all."""
    return min((pause for pause in pauses if pause is not None), default=None)


Outcome: TypeAlias = Done | Waiting | Retrying | Stalled
