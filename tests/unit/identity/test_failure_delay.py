"""Failed logins last equally long, whatever failed and however long it took to find out. The clock is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import argon2
import pytest
from structlog.testing import capture_logs

from berth.identity.failure_delay import FailureDelay
from berth.identity.passwords import PasswordVerifier
from tests.kit.access.world import World

PAUSE = 1.0
HERE = "198.51.100.7"


class Clock:
    """A clock that sleeping advances."""

    def __init__(self) -> None:
        self.now = 100.37

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class Slow(argon2.PasswordHasher):
    """A hasher that takes as long, by the clock, as a test says."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self._clock = clock
        self.seconds = 0.0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self._clock.now += self.seconds
        return super().verify(hash, password)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slow(clock: Clock) -> Slow:
    return Slow(clock)


@pytest.fixture
def installed(tmp_path: Path, clock: Clock, slow: Slow) -> Iterator[World]:
    """An installation whose failed logins are held back by the test's clock."""
    passwords = PasswordVerifier(monotonic=clock, threads=1, hasher=slow)
    failures = FailureDelay(pause=PAUSE, monotonic=clock, sleep=clock.sleep, chance=lambda: 0.0)
    world = World(tmp_path, passwords=passwords, failures=failures)
    world.change_user("bob", disabled=True)
    world.change_user("dora", password_hash=None)
    world.change_user("eve", password_hash=None, robot=True)
    yield world
    passwords.close()


@pytest.mark.parametrize("path", ["/token", "/why?pull=genomics/aligner"])
async def test_every_failed_login_takes_one_interval_for_any_hash(
    installed: World, clock: Clock, slow: Slow, path: str
) -> None:
    users = {
        "a user that does not exist": "absent",
        "a wrong password": "ann",
        "a disabled user": "bob",
        "a user without a password": "dora",
        "a robot without a password": "eve",
    }
    for seconds in (0.001, 0.04, 0.9):
        slow.seconds = seconds
        for what, user in users.items():
            began = clock.now
            answer = await installed.log_in(path, user, "wrong")
            assert answer.status == 401, what
            assert clock.now - began == pytest.approx(PAUSE), (what, seconds)


async def test_successful_and_rate_limited_logins_are_not_delayed(installed: World, clock: Clock) -> None:
    began = clock.now
    assert (await installed.ask_token("ann")).status == 200
    assert clock.now == began
    for number in range(10):
        await installed.ask_token("ann", password=f"wrong {number}")
    before = clock.now
    assert (await installed.ask_token("ann", password="wrong")).status == 429
    assert clock.now == before


async def test_the_right_password_of_a_disabled_user_is_refused_without_delay(installed: World, clock: Clock) -> None:
    began = clock.now
    assert (await installed.ask_token("bob")).status == 401
    assert clock.now == began


async def test_a_slower_hash_takes_the_next_multiple_of_the_interval_and_is_logged(clock: Clock) -> None:
    failures = FailureDelay(pause=PAUSE, monotonic=clock, sleep=clock.sleep, chance=lambda: 0.0)
    began = clock.now
    clock.now += 2.3
    with capture_logs() as logs:
        await failures.wait(began)
    assert clock.now - began == pytest.approx(3 * PAUSE)
    assert ["BERTH_FAILED_LOGIN_SECONDS" in entry["event"] for entry in logs] == [True]


async def test_a_delayed_response_takes_no_thread_and_no_place_in_the_queue(tmp_path: Path) -> None:
    released = asyncio.Event()
    waiting = 0

    async def sleep(_seconds: float) -> None:
        nonlocal waiting
        waiting += 1
        await released.wait()

    passwords = PasswordVerifier(monotonic=lambda: 0.0, threads=1, waiting=1)
    world = World(tmp_path, passwords=passwords, failures=FailureDelay(pause=PAUSE, monotonic=lambda: 0.0, sleep=sleep))
    guesses = []
    for number in range(20):  # more than one source may have verified at the same time
        guesses.append(asyncio.create_task(world.ask_token(f"user-{number}", password="guess", source=HERE)))
        async with asyncio.timeout(30):
            while waiting <= number:  # noqa: ASYNC110 - the login under way has no event of its own
                await asyncio.sleep(0.001)
    assert (await world.ask_token("ann", source=HERE)).status == 200
    assert not any(guess.done() for guess in guesses)
    released.set()
    assert {(await guess).status for guess in guesses} == {401}
    passwords.close()


async def test_the_random_part_of_a_delay_is_up_to_a_tenth_of_the_interval(clock: Clock) -> None:
    failures = FailureDelay(pause=PAUSE, monotonic=clock, sleep=clock.sleep, chance=lambda: 1.0)
    began = clock()
    await failures.wait(began)
    assert clock() - began == pytest.approx(1.1)
