"""People with too many failed logins: for a while even their right password is refused."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Final

from e2e.suite.world import HOST, Cluster, Person, eventually

_AT_ONCE: Final = 24
"""Failed logins at a time: more than enough for the limit of ten over two replicas, however they are spread."""
_THROTTLED: Final = "429"
_LONG_ENOUGH: Final = 30.0  # seconds in which a client tries
_ROUNDED_UP: Final = 1.0  # `Retry-After` is in whole seconds


@dataclass(frozen=True)
class Throttled:
    """One such person for each client, by its name.

    Failures are counted for each account and source. All clients here are one source to the registry, so every client
    has an account of its own. A source may try only so many passwords at the same time, hence `turn`: others who log
    in meanwhile must not have to wait.
    """

    cluster: Cluster
    people: Mapping[str, Person]
    turn: Lock = field(default_factory=Lock)
    ends: dict[str, float] = field(default_factory=dict)

    def until(self, person: Person) -> float:
        """Fail to log in until every replica has had enough; when the first of them will try a password again.

        That is a time of `time.monotonic`, about a minute away unless the person was throttled before.
        """
        if self.ends.get(person.name, 0) < time.monotonic() + _LONG_ENOUGH:
            with self.turn:
                end = eventually(partial(self._until, person), f"{person.name} is throttled everywhere")
            self.ends[person.name] = float(end)
        return self.ends[person.name]

    def _until(self, person: Person) -> float:
        """0 if one of these logins was tried."""
        began = time.monotonic()
        wrong = f"https://{person.name}:wrong-[1-{_AT_ONCE}]@{HOST}/token?service={HOST}"
        form = "%{http_code} %header{retry-after}\\n"
        side_by_side = ("--parallel", "--parallel-immediate", "--parallel-max", str(_AT_ONCE))
        quiet = ("--silent", "--output", "/dev/null", "--write-out", form)
        answers = [
            line.split() for line in self.cluster.run("curl", *side_by_side, *quiet, wrong).must().out.splitlines()
        ]
        assert len(answers) == _AT_ONCE, answers
        if any(status != _THROTTLED for status, *_ in answers):
            return 0
        return began + min(float(seconds) for _, seconds in answers) - _ROUNDED_UP
