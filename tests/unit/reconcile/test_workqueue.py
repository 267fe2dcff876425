"""The keyed queue, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from berth.reconcile.workqueue import BACKOFF_LIMIT, BURST, Key, KeyedQueue, Work
from tests.kit.virtual_time import run

A, B = Key("Project", "a"), Key("Project", "b")
Clock = Callable[[], float]


class Recorder:
    """Work that notes when it ran, and does what a test wants."""

    def __init__(self, clock: Clock, answer: Callable[[Key, int], float | None] = lambda _key, _number: None) -> None:
        self.clock = clock
        self.answer = answer
        self.ran: list[tuple[Key, float]] = []
        self.running: list[Key] = []
        self.most_at_once = 0
        self.takes = 0.0

    async def __call__(self, key: Key) -> float | None:
        assert key not in self.running, "two workers have one key"
        self.running.append(key)
        self.most_at_once = max(self.most_at_once, len(self.running))
        self.ran.append((key, self.clock()))
        await asyncio.sleep(self.takes)
        self.running.remove(key)
        return self.answer(key, sum(1 for ran, _ in self.ran if ran == key))

    def times(self, key: Key = A) -> list[float]:
        return [at for ran, at in self.ran if ran == key]


def queue(clock: Clock) -> KeyedQueue:
    return KeyedQueue(clock=clock, rng=random.Random(1))


async def work_for(seconds: float, the_queue: KeyedQueue, work: Work, workers: int = 2) -> None:
    """Let the workers run for a span of virtual time."""
    task = asyncio.ensure_future(the_queue.run(work, workers))
    await asyncio.sleep(seconds)
    the_queue.close()
    await task


def test_a_key_added_many_times_runs_once() -> None:
    async def main(clock: Clock) -> None:
        the_queue, work = queue(clock), Recorder(clock)
        for _ in range(50):
            the_queue.add(A)
        await work_for(10, the_queue, work)
        assert len(work.ran) == 1

    run(main)


def test_a_key_added_while_it_is_worked_on_runs_once_more_and_never_twice_at_once() -> None:
    async def main(clock: Clock) -> None:
        the_queue, work = queue(clock), Recorder(clock)
        work.takes = 1.0
        the_queue.add(A)
        asyncio.get_running_loop().call_later(0.2, the_queue.add, A)
        asyncio.get_running_loop().call_later(0.4, the_queue.add, A)
        await work_for(10, the_queue, work, workers=4)
        assert len(work.ran) == 2
        assert work.times()[1] - work.times()[0] == pytest.approx(1.0)

    run(main)


def test_no_more_keys_are_worked_on_at_once_than_there_are_workers() -> None:
    async def main(clock: Clock) -> None:
        the_queue, work = queue(clock), Recorder(clock)
        work.takes = 1.0
        for number in range(20):
            the_queue.add(Key("Project", str(number)))
        await work_for(100, the_queue, work, workers=3)
        assert len(work.ran) == 20
        assert work.most_at_once == 3

    run(main)


def test_a_key_that_fails_comes_back_after_growing_pauses_and_others_do_not_wait_for_it() -> None:
    async def main(clock: Clock) -> None:
        def answer(key: Key, _number: int) -> None:
            if key == A:
                raise ValueError("broken")

        the_queue, work = queue(clock), Recorder(clock, answer)
        the_queue.add(A)
        the_queue.add(B)
        await work_for(3600, the_queue, work)
        pauses = [after - before for before, after in zip(work.times(), work.times()[1:], strict=False)]
        assert len(work.times(B)) == 1
        assert pauses[0] < pauses[2] < pauses[4] < pauses[6]
        assert max(pauses) <= BACKOFF_LIMIT * 1.2
        assert len(pauses) < 25

    run(main)


def test_an_event_brings_a_failed_key_back_early_but_not_more_than_once_a_second() -> None:
    async def main(clock: Clock) -> None:
        def answer(_key: Key, _number: int) -> None:
            the_queue.add(A)  # the failing run wrote something, and that makes an event
            raise ValueError("broken")

        the_queue = queue(clock)
        work = Recorder(clock, answer)
        the_queue.add(A)
        await work_for(60, the_queue, work)
        assert 30 <= len(work.ran) <= 63

    run(main)


def test_success_forgets_the_failures() -> None:
    async def main(clock: Clock) -> None:
        def answer(_key: Key, number: int) -> float | None:
            if number in (1, 2, 3, 5):
                raise ValueError("broken")
            return 10.0 if number == 4 else None

        the_queue, work = queue(clock), Recorder(clock, answer)
        the_queue.add(A)
        await work_for(60, the_queue, work)
        times = work.times()
        assert len(times) == 6
        assert times[5] - times[4] == pytest.approx(0.5, rel=0.3)

    run(main)


def test_the_earlier_of_two_times_counts() -> None:
    async def main(clock: Clock) -> None:
        the_queue, work = queue(clock), Recorder(clock)
        began = clock()
        the_queue.add(A, after=60)
        the_queue.add(A, after=5)
        the_queue.add(A, after=30)
        await work_for(120, the_queue, work)
        assert [at - began for at in work.times()] == [pytest.approx(5)]

    run(main)


def test_a_key_is_requeued_after_that_time() -> None:
    async def main(clock: Clock) -> None:
        the_queue, work = queue(clock), Recorder(clock, lambda _key, _number: 20.0)
        the_queue.add(A)
        await work_for(110, the_queue, work)
        assert len(work.ran) == 6

    run(main)


def test_another_controller_that_reverts_everything_causes_no_hot_loop() -> None:
    async def main(clock: Clock) -> None:
        the_queue = queue(clock)

        def answer(_key: Key, _number: int) -> None:
            the_queue.add(A)

        work = Recorder(clock, answer)
        the_queue.add(A)
        the_queue.add(B, after=50)
        await work_for(100, the_queue, work)
        assert BURST <= len(work.times(A)) <= BURST + 105
        assert len(work.times(B)) == 1

    run(main)


def test_closing_lets_active_keys_end_and_starts_no_other() -> None:
    async def main(clock: Clock) -> None:
        the_queue, work = queue(clock), Recorder(clock)
        work.takes = 5.0
        the_queue.add(A)
        the_queue.add(B, after=2)
        await work_for(1, the_queue, work)
        assert [key for key, _ in work.ran] == [A]
        assert work.running == []
        assert clock() == pytest.approx(1005)

    run(main)


def test_a_key_that_no_worker_takes_shows_as_waiting() -> None:
    async def main(clock: Clock) -> None:
        the_queue = queue(clock)
        the_queue.add(A)
        the_queue.add(B, after=100)
        await asyncio.sleep(30)
        assert the_queue.waiting == 2
        assert the_queue.ready_since() == pytest.approx(30)
        await asyncio.sleep(80)
        assert the_queue.ready_since() == pytest.approx(110), "the longest-waiting key counts"

    run(main)
