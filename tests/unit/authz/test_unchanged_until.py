"""Until when a decision holds that was made once: on random worlds, against deciding anew at every later moment."""

from __future__ import annotations

from datetime import timedelta

from berth.authz.actor import actor_of, unchanged_until
from berth.authz.decide import is_allowed
from tests.kit.authz.random_worlds import Case, Dice, check_worlds
from tests.kit.authz.worlds import NOW, SECOND

FAR = timedelta(days=10_000)


def test_before_that_moment_time_changes_nothing() -> None:
    def holds(case: Case, _dice: Dice) -> bool:
        found = unchanged_until(case.snapshot, actor_of(case.snapshot, case.identity, NOW), NOW)
        last = (found or NOW + FAR) - timedelta(microseconds=1)
        at_first = is_allowed(case.snapshot, actor_of(case.snapshot, case.identity, NOW), case.request, NOW)
        for moment in (NOW + SECOND, NOW + (last - NOW) / 2, last):
            if NOW <= moment <= last:
                actor = actor_of(case.snapshot, case.identity, moment)
                assert is_allowed(case.snapshot, actor, case.request, moment) == at_first, case
        return found is not None

    assert check_worlds(holds, seed=81, count=3000)[True] > 300


def test_a_policy_that_is_too_old_may_be_confirmed_at_any_moment() -> None:
    def holds(case: Case, _dice: Dice) -> None:
        if case.snapshot.fresh_until is not None and case.snapshot.fresh_until <= NOW:
            assert unchanged_until(case.snapshot, actor_of(case.snapshot, case.identity, NOW), NOW) == NOW

    check_worlds(holds, seed=82, count=300)
