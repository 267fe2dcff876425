"""Rate limits of wrong passwords, for each account and source."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from berth.api.reasons import Reason
from berth.identity.gateway_caller import client_address
from berth.identity.login_limits import LoginLimits, TooManyAttemptsError
from berth.identity.passwords import PasswordVerifier
from tests.kit.access.hasher import GatedHasher
from tests.kit.access.world import HASHER, World, claims, sentence_of

HERE, ELSEWHERE = "198.51.100.7", "203.0.113.9"
PULL = "repository:genomics/aligner:pull"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Tries:
    """The limits with a clock, and what a client does with them."""

    def __init__(self, capacity: int = 1000) -> None:
        self.clock = Clock()
        self.limits = LoginLimits(monotonic=self.clock, capacity=capacity)

    def fail(self, account: str = "ann", source: str = HERE, password: str = "wrong") -> None:
        with self.limits.attempt(account, source, password) as attempt:
            attempt.failed = True

    def wait(self, account: str = "ann", source: str = HERE) -> int:
        """Seconds that a try would have to wait; 0 when it may be made now."""
        try:
            with self.limits.attempt(account, source, "another"):
                return 0
        except TooManyAttemptsError as throttled:
            return throttled.retry_after


def test_the_eleventh_login_after_failures_waits_until_the_first_is_a_minute_old() -> None:
    tries = Tries()
    for _ in range(10):
        tries.fail()
        tries.clock.now += 1
    assert tries.wait() == 50
    tries.clock.now += 49
    assert tries.wait() == 1
    tries.clock.now += 1
    assert tries.wait() == 0


def test_the_hundred_and_first_failure_of_an_hour_has_to_wait_for_the_hour() -> None:
    tries = Tries()
    for _ in range(100):
        tries.fail()
        tries.clock.now += 7
    assert tries.wait() == 3600 - 700
    tries.clock.now += 2900
    assert tries.wait() == 0
    tries.fail()
    assert tries.wait() == 7


def test_another_source_and_another_account_are_not_limited() -> None:
    tries = Tries()
    for _ in range(10):
        tries.fail()
    assert (tries.wait() > 0, tries.wait(source=ELSEWHERE), tries.wait(account="bob")) == (True, 0, 0)


def test_addresses_of_one_ipv6_network_are_one_source() -> None:
    tries = Tries()
    for number in range(10):
        tries.fail(source=f"2001:db8:0:1::{number:x}")
    assert tries.wait(source="2001:db8:0:1:ffff::1") > 0
    assert tries.wait(source="2001:db8:0:2::1") == 0
    for _ in range(10):
        tries.fail("bob", "::ffff:198.51.100.7")
    assert tries.wait("bob", HERE) > 0


def test_a_refused_attempt_does_not_extend_the_wait() -> None:
    tries = Tries()
    for _ in range(10):
        tries.fail()
    for _ in range(59):
        assert tries.wait() > 0
        tries.clock.now += 1
    tries.clock.now += 1
    assert tries.wait() == 0


def test_running_attempts_count_as_failures() -> None:
    tries = Tries()
    with ExitStack() as running:
        for number in range(10):
            running.enter_context(tries.limits.attempt("ann", HERE, f"guess {number}"))
        assert tries.wait() == 1
    assert tries.wait() == 0


def test_concurrent_attempts_with_one_password_count_once() -> None:
    tries = Tries()
    with ExitStack() as running:
        for _ in range(100):
            running.enter_context(tries.limits.attempt("ann", HERE, "right"))
        assert tries.wait() == 0
    assert tries.limits.tracked_accounts == 0


def test_one_source_cannot_use_all_concurrent_verifications() -> None:
    tries = Tries()
    with ExitStack() as running:
        for number in range(16):
            running.enter_context(tries.limits.attempt(f"user-{number}", HERE, "guess"))
        assert tries.wait("ann", HERE) == 1
        assert tries.wait("ann", ELSEWHERE) == 0


def test_tracked_accounts_are_bounded_and_expire() -> None:
    tries = Tries(capacity=1000)
    for number in range(5000):
        tries.fail(f"user-{number}")
    assert tries.limits.tracked_accounts == 1000
    tries.clock.now += 3601
    tries.fail()
    assert tries.limits.tracked_accounts == 1


@pytest.mark.parametrize(
    ("forwarded", "hops", "address"),
    [
        ("198.51.100.7", 0, "198.51.100.7"),
        ("10.0.0.1, 198.51.100.7", 0, "198.51.100.7"),
        ("1.1.1.1, 203.0.113.9, 198.51.100.7", 1, "203.0.113.9"),
        ("203.0.113.9", 2, "203.0.113.9"),
        ("2001:DB8::1", 0, "2001:db8::1"),
        ("unknown", 0, ""),
        ("198.51.100.7, x\r\ny", 0, ""),
        ("", 0, ""),
    ],
)
def test_the_address_is_the_one_that_the_last_trusted_proxy_saw(forwarded: str, hops: int, address: str) -> None:
    assert client_address(forwarded, hops) == address


async def test_a_limited_login_gets_a_429_and_a_scoped_request_a_token_with_the_refusal(world: World) -> None:
    for _ in range(10):
        assert (await world.ask_token("ann", password="wrong", source=HERE)).status == 401
    world.time += 0.5
    login = await world.ask_token("ann", source=HERE)
    assert (login.status, login.code, login.headers["retry-after"]) == (429, "TOOMANYREQUESTS", "60")
    assert login.sentence == sentence_of(Reason.TOO_MANY_ATTEMPTS)
    scoped = await world.ask_token("ann", PULL, source=HERE)
    assert scoped.status == 200
    assert claims(scoped.document["token"])["access"] == []
    refused = await world.ask("GET", "/v2/genomics/aligner/manifests/1", scoped.document["token"])
    assert (refused.status, refused.code, refused.sentence) == (403, "DENIED", sentence_of(Reason.TOO_MANY_ATTEMPTS))
    assert (await world.ask_token("ann", source=ELSEWHERE)).status == 200
    world.time += 60
    assert (await world.ask_token("ann", source=HERE)).status == 200


async def test_an_unknown_account_has_to_wait_like_a_known_one(world: World) -> None:
    seen = {}
    for user in ("ann", "absent"):
        answers = [await world.ask_token(user, password="wrong", source=HERE) for _ in range(12)]
        seen[user] = [(answer.status, answer.headers, answer.body) for answer in answers]
    assert seen["ann"] == seen["absent"]
    assert [status for status, _, _ in seen["ann"]] == [401] * 10 + [429] * 2


async def test_successful_logins_never_count(world: World) -> None:
    for _ in range(150):
        assert (await world.ask_token("ann", source=HERE)).status == 200


async def test_a_source_that_a_client_claims_without_the_gateway_is_not_believed(world: World) -> None:
    for number in range(10):
        await world.call(
            "GET",
            "/token",
            {"authorization": "Basic YW5uOndyb25n", "x-forwarded-for": f"203.0.113.{number}"},
        )
    answer = await world.call("GET", "/token", {"authorization": "Basic YW5uOndyb25n", "x-forwarded-for": ELSEWHERE})
    assert answer.status == 429


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[tuple[World, GatedHasher]]:
    """An installation whose verifications are counted."""
    hasher = GatedHasher()
    passwords = PasswordVerifier(monotonic=lambda: 0.0, hasher=hasher)
    yield World(tmp_path, passwords=passwords), hasher
    hasher.open.set()
    passwords.close()


async def test_an_unknown_name_a_wrong_password_and_a_user_without_one_cost_one_verification_each(
    counted: tuple[World, GatedHasher],
) -> None:
    world, hasher = counted
    world.change_user("dora", password_hash=None)
    for number, user in enumerate(("ann", "absent", "dora", ""), start=1):
        await world.ask_token(user, password="wrong", source=HERE)
        assert hasher.verifications == number, user


async def test_a_limited_login_takes_no_verification(counted: tuple[World, GatedHasher]) -> None:
    world, hasher = counted
    for number in range(30):
        await world.ask_token("ann", password=f"guess {number}", source=HERE)
    assert hasher.verifications == 10


async def test_a_victim_elsewhere_logs_in_while_one_source_guesses_as_fast_as_it_can(
    counted: tuple[World, GatedHasher],
) -> None:
    world, hasher = counted
    hasher.open.clear()
    guesses = [
        asyncio.create_task(world.ask_token(f"user-{number}", password="guess", source=HERE)) for number in range(200)
    ]
    login = asyncio.create_task(world.ask_token("ann", source=ELSEWHERE))
    done, _ = await asyncio.wait({login, *guesses}, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
    assert login not in done
    hasher.open.set()
    assert (await login).status == 200
    assert sorted({(await guess).status for guess in guesses}) == [401, 429]
    assert HASHER.verify(world.snapshot.users["ann"].password_hash or "", "canary-password-of-ann")
