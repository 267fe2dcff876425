"""When registries are probed, and what a restart of the operator takes over, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from berth.reconcile.write_probes import Probes
from berth.status.observed import ObservedProbe, ProbeOutcome
from tests.kit.virtual_time import run

WRITTEN = ObservedProbe(ProbeOutcome.WRITTEN)
BROKEN = ObservedProbe(ProbeOutcome.NOT_WRITABLE, "no space")
ONE, TWO = frozenset({"pod-1"}), frozenset({"pod-2"})
Clock = Callable[[], float]


class Bench:
    """Probes with a registry that answers what a test wants."""

    def __init__(self, clock: Clock) -> None:
        self.answer: ObservedProbe | Exception | None = WRITTEN
        self.takes = 0.1
        self.probed_at: list[float] = []
        self.enqueued: list[str] = []
        self.clock = clock
        self.probes = Probes(self._probe, self.enqueued.append, 600, clock=clock)

    async def _probe(self, project_id: str) -> ObservedProbe | None:
        self.probed_at.append(self.clock())
        await asyncio.sleep(self.takes)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def look(
        self, pods: frozenset[str] = ONE, *, reported_ready: bool = False, request: str = ""
    ) -> ObservedProbe | None:
        return self.probes.latest("a", pods, reported_ready=reported_ready, request=request)


def bench(test: Callable[[Bench], object]) -> None:
    async def main(clock: Clock) -> None:
        the_bench = Bench(clock)
        task = asyncio.ensure_future(the_bench.probes.run())
        await test(the_bench)  # type: ignore[misc]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main)


def test_new_pods_count_as_not_probed_until_their_probe_ended() -> None:
    async def test(b: Bench) -> None:
        assert b.look() is None
        await asyncio.sleep(1)
        assert b.enqueued == ["a"]
        assert b.look() == WRITTEN
        assert b.look(TWO) is None
        await asyncio.sleep(1)
        assert b.look(TWO) == WRITTEN
        assert len(b.probed_at) == 2

    bench(test)


def test_after_a_restart_a_project_that_said_so_stays_writable_while_it_is_probed() -> None:
    async def test(b: Bench) -> None:
        assert b.look(reported_ready=True) == WRITTEN
        b.answer = BROKEN
        await asyncio.sleep(1)
        assert b.look(reported_ready=True) == BROKEN

    bench(test)


def test_what_the_status_says_counts_only_at_the_first_look() -> None:
    async def test(b: Bench) -> None:
        b.look(reported_ready=True)
        await asyncio.sleep(1)
        assert b.look(TWO, reported_ready=True) is None

    bench(test)


def test_it_is_probed_again_after_the_interval_and_not_before() -> None:
    async def test(b: Bench) -> None:
        for _ in range(100):
            b.look()
            await asyncio.sleep(13)
        assert len(b.probed_at) == 3

    bench(test)


def test_a_failed_probe_is_repeated_with_growing_pauses_and_looking_often_does_not_hasten_it() -> None:
    async def test(b: Bench) -> None:
        b.answer = BROKEN
        for _ in range(600):
            b.look()
            await asyncio.sleep(0.5)
        pauses = [after - before for before, after in zip(b.probed_at, b.probed_at[1:], strict=False)]
        assert pauses[0] < pauses[2] < pauses[4]
        assert 8 <= len(pauses) <= 18

    bench(test)


def test_each_request_gets_one_new_probe() -> None:
    async def test(b: Bench) -> None:
        b.look()
        await asyncio.sleep(1)
        b.answer = BROKEN
        assert b.look(request="monday") == WRITTEN
        await asyncio.sleep(0.5)
        b.answer = WRITTEN
        assert b.look(request="tuesday") == BROKEN
        await asyncio.sleep(0.5)
        for _ in range(20):
            assert b.look(request="tuesday") == WRITTEN
            await asyncio.sleep(1)
        assert len(b.probed_at) == 3

    bench(test)


def test_a_probe_that_was_under_way_at_a_request_is_followed_by_a_new_one() -> None:
    async def test(b: Bench) -> None:
        b.takes = 10
        b.look()
        await asyncio.sleep(5)
        b.look(request="now")
        await asyncio.sleep(6)
        assert b.look(request="now") == WRITTEN
        await asyncio.sleep(11)
        b.look(request="now")
        first, second = b.probed_at
        assert second > first + b.takes

    bench(test)


def test_what_was_requested_before_a_restart_is_not_requested_again_after_the_first_probe() -> None:
    async def test(b: Bench) -> None:
        for _ in range(20):
            b.look(request="long ago")
            await asyncio.sleep(1)
        assert len(b.probed_at) == 1

    bench(test)


def test_no_token_from_access_says_nothing_about_the_registry() -> None:
    async def test(b: Bench) -> None:
        b.look()
        await asyncio.sleep(1)
        b.answer = None
        await asyncio.sleep(700)
        b.look()
        await asyncio.sleep(1)
        assert b.look() == WRITTEN

    bench(test)


def test_an_error_in_a_probe_ends_neither_the_probes_nor_the_last_finding() -> None:
    async def test(b: Bench) -> None:
        b.answer = KeyError("bug")
        b.look()
        await asyncio.sleep(2)
        assert b.look() is None
        b.answer = WRITTEN
        await asyncio.sleep(5)
        b.look()
        await asyncio.sleep(1)
        assert b.look() == WRITTEN

    bench(test)


def test_a_probe_of_pods_that_are_gone_meanwhile_is_dropped() -> None:
    async def test(b: Bench) -> None:
        b.takes = 10
        b.look(ONE)
        await asyncio.sleep(1)
        b.look(TWO)
        await asyncio.sleep(10)
        assert b.look(TWO) is None
        await asyncio.sleep(15)
        assert b.look(TWO) == WRITTEN

    bench(test)


def test_no_pods_are_never_probed() -> None:
    async def test(b: Bench) -> None:
        assert b.look(frozenset(), reported_ready=True) is None
        await asyncio.sleep(5)
        assert b.probed_at == []

    bench(test)


def test_the_next_probe_is_due_after_the_interval_or_when_a_failed_one_is_repeated() -> None:
    async def test(b: Bench) -> None:
        assert b.probes.next_due("a") == 600
        b.look()
        assert b.probes.next_due("a") == 600
        await asyncio.sleep(100.1)
        assert b.probes.next_due("a") == 500
        b.probes.forget("a")
        b.answer = BROKEN
        for _ in range(3):
            b.look()
            await asyncio.sleep(5)
        assert b.probes.next_due("a") == 1

    bench(test)
