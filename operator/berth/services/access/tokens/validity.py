"""How long a decision may be used again. A cache never delays a revocation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from berth.authz.actor import Actor, unchanged_until
from berth.authz.model import Snapshot


@dataclass(frozen=True, slots=True)
class Validity:
    """The validity of a decision: one policy, one set of keys, and a time."""

    generation: int  # of the policy
    key_generation: int  # of the keys that registry tokens are signed and verified with
    until: float  # seconds since the epoch; infinity: until a generation changes

    def holds(self, generation: int, key_generation: int, now: float) -> bool:
        """Whether the decision still holds; `now` is in seconds since the epoch."""
        return self.generation == generation and self.key_generation == key_generation and now < self.until


def validity_of(
    snapshot: Snapshot, actor: Actor, key_generation: int, now: datetime, *, end: float = math.inf
) -> Validity:
    """The validity of a decision on this actor at `now`.

    `end` is its latest end, in seconds since the epoch.
    """
    unchanged = unchanged_until(snapshot, actor, now)
    until = end if unchanged is None else min(end, unchanged.timestamp())
    return Validity(snapshot.generation, key_generation, until)
