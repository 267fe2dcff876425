"""Passwords: verified slowly, remembered briefly, and never written anywhere."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from typing import Literal

import argon2
import bcrypt
import pytest

from berth.identity.passwords import PasswordVerifier, TooBusyError
from tests.kit.access.hasher import GatedHasher
from tests.kit.access.world import HASHER

BCRYPT = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
ARGON = HASHER.hash("right")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate() -> GatedHasher:
    return GatedHasher()


@pytest.fixture
def passwords(clock: Clock, gate: GatedHasher) -> Iterator[PasswordVerifier]:
    made = PasswordVerifier(monotonic=clock, threads=1, waiting=1, hasher=gate)
    yield made
    gate.open.set()
    made.close()


@pytest.mark.parametrize("present", [ARGON, BCRYPT, BCRYPT.replace("$2b$", "$2y$")])
async def test_both_schemes_tell_right_from_wrong(passwords: PasswordVerifier, present: str) -> None:
    assert (await passwords.verify("ann", "right", present)).matches
    assert not (await passwords.verify("ann", "wrong", present)).matches


@pytest.mark.parametrize("present", [None, "", "right", "$1$x", "$argon2id$broken", "$argon2i$x", "$2b$broken", "$2b$"])
async def test_absent_and_invalid_hashes_never_match(passwords: PasswordVerifier, present: str | None) -> None:
    assert not (await passwords.verify("ann", "right", present)).matches


@pytest.mark.parametrize("password", ["", "x" * 5000, "\udcff", "\x00"])
async def test_strange_passwords_do_no_harm(passwords: PasswordVerifier, password: str) -> None:
    for present in (ARGON, BCRYPT, None):
        assert not (await passwords.verify("ann", password, present)).matches


async def test_the_password_of_the_dummy_hash_never_matches(gate: GatedHasher) -> None:
    passwords = PasswordVerifier(monotonic=lambda: 0.0, hasher=gate, random_bytes=lambda length: b"\0" * length)
    assert not (await passwords.verify("absent", (b"\0" * 32).hex(), None)).matches
    passwords.close()


async def test_an_unknown_name_costs_a_verification_too(passwords: PasswordVerifier, gate: GatedHasher) -> None:
    await passwords.verify("absent", "right", None)
    assert gate.verifications == 1


async def test_a_match_is_cached_for_a_minute(passwords: PasswordVerifier, gate: GatedHasher, clock: Clock) -> None:
    for _ in range(3):
        assert (await passwords.verify("ann", "right", ARGON)).matches
    assert gate.verifications == 1
    clock.now += 61
    assert (await passwords.verify("ann", "right", ARGON)).matches
    assert gate.verifications == 2


async def test_a_cached_match_is_only_used_for_the_same_name_password_and_hash(
    passwords: PasswordVerifier, gate: GatedHasher
) -> None:
    assert (await passwords.verify("ann", "right", ARGON)).matches
    assert not (await passwords.verify("ann", "wrong", ARGON)).matches
    assert not (await passwords.verify("ann", "right", HASHER.hash("another"))).matches
    assert not (await passwords.verify("ann", "right", None)).matches
    await passwords.verify("bob", "right", ARGON)
    assert gate.verifications == 5


async def test_equal_concurrent_requests_share_one_verification(passwords: PasswordVerifier, gate: GatedHasher) -> None:
    gate.open.clear()
    requests = [asyncio.create_task(passwords.verify("ann", "right", ARGON)) for _ in range(20)]
    await asyncio.sleep(0)
    gate.open.set()
    assert all(found.matches for found in await asyncio.gather(*requests))
    assert gate.verifications == 1


async def test_a_full_queue_raises_too_busy(passwords: PasswordVerifier, gate: GatedHasher) -> None:
    gate.open.clear()
    requests = [asyncio.create_task(passwords.verify("ann", f"wrong {number}", ARGON)) for number in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooBusyError):
        await passwords.verify("ann", "right", ARGON)
    gate.open.set()
    assert not any(found.matches for found in await asyncio.gather(*requests))
    assert (await passwords.verify("ann", "right", ARGON)).matches


async def test_a_disconnected_client_does_not_cancel_a_shared_verification(
    passwords: PasswordVerifier, gate: GatedHasher
) -> None:
    gate.open.clear()
    first = asyncio.create_task(passwords.verify("ann", "right", ARGON))
    second = asyncio.create_task(passwords.verify("ann", "right", ARGON))
    await asyncio.sleep(0)
    first.cancel()
    gate.open.set()
    assert (await second).matches


async def test_a_verification_starts_after_the_wait_for_a_thread(
    passwords: PasswordVerifier, gate: GatedHasher, clock: Clock
) -> None:
    gate.open.clear()
    first = asyncio.create_task(passwords.verify("ann", "wrong", ARGON))
    second = asyncio.create_task(passwords.verify("bob", "wrong", ARGON))
    async with asyncio.timeout(30):
        while not gate.verifications:  # noqa: ASYNC110 - the thread has no event for this
            await asyncio.sleep(0.001)
    clock.now += 7
    gate.open.set()
    assert ((await first).started_at, (await second).started_at) == (0.0, 7.0)


async def test_verification_threads_have_the_lowest_priority(clock: Clock) -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    class Watching(argon2.PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            seen.append(priority())
            return True

    seen: list[int] = []
    usual = priority()
    passwords = PasswordVerifier(monotonic=clock, hasher=Watching(time_cost=1, memory_cost=8, parallelism=1))
    assert (await passwords.verify("ann", "right", ARGON)).matches
    passwords.close()
    assert (seen, priority()) == ([19], usual)
