"""Which keys of an issuer are used, for which algorithms, and when they are read."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from berth.identity.jwks import FIRST_INTERVAL, READ_INTERVAL, RENEWED_SECONDS, KeyRing
from tests.kit.access.world import CLUSTER_KEY, public_jwk

GOOD = public_jwk("k", CLUSTER_KEY)


async def ring(*keys: Any) -> KeyRing:
    async def fetch() -> dict[str, Any]:
        return {"issuer": "https://i", "keys": list(keys)}

    made = KeyRing(
        fetch, name="i", accepted=("RS256", "PS256", "ES256", "EdDSA"), monotonic=lambda: 0.0, sleep=_at_once
    )
    await made.load()
    return made


async def _at_once(_seconds: float) -> None:
    """A pause that is over as soon as it begins."""


async def found(made: KeyRing, kid: str | None = "k", algorithm: str = "RS256") -> bool:
    header = {"alg": algorithm} if kid is None else {"alg": algorithm, "kid": kid}
    return await made.find(header) is not None


async def test_a_key_verifies_the_algorithms_of_its_kind_alone() -> None:
    made = await ring(GOOD)
    assert [await found(made, algorithm=each) for each in ("RS256", "PS256", "ES256", "EdDSA", "RS512", "HS256")] == [
        *(True, True),
        *(False,) * 4,
    ]


async def test_a_key_that_names_its_algorithm_verifies_no_other() -> None:
    made = await ring({**GOOD, "alg": "PS256"})
    assert (await found(made, algorithm="PS256"), await found(made, algorithm="RS256")) == (True, False)


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "kid": "k"},
        {**GOOD, "use": "enc"},
        {**GOOD, "alg": "RS512"},
        public_jwk("k", rsa.generate_private_key(public_exponent=65537, key_size=1024)),
        public_jwk("k", ec.generate_private_key(ec.SECP384R1())),
        {**jwt.algorithms.RSAAlgorithm.to_jwk(CLUSTER_KEY, as_dict=True), "kid": "k"},
        {"kty": "RSA", "kid": "k"},
        {},
        "k",
        None,
    ],
)
async def test_secret_private_weak_and_unknown_keys_are_left_out_and_spoil_no_other(key: Any) -> None:
    other = {**public_jwk("good", CLUSTER_KEY)}
    made = await ring(key, other)
    assert [await found(made, "k", each) for each in ("RS256", "ES256")] == [False, False]
    assert await found(made, "good")


async def test_a_token_that_names_no_key_is_for_an_issuer_that_has_one() -> None:
    assert await found(await ring(GOOD), None)
    assert not await found(await ring(GOOD, public_jwk("other", CLUSTER_KEY)), None)


class Issuer:
    """An issuer, its clock, when it was asked for its keys, and a ring of them that is read by that clock."""

    def __init__(self, *keys: Any, good_for: float | None = None) -> None:
        self.now = 0.0
        self.keys = list(keys)
        self.away = False
        self.asked: list[float] = []
        self.ring = KeyRing(
            self.fetch,
            name="i",
            accepted=("RS256",),
            monotonic=lambda: self.now,
            sleep=self.wait,
            good_for=good_for,
        )

    async def fetch(self) -> dict[str, Any]:
        self.asked.append(self.now)
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionError("refused")
        return {"issuer": "https://i", "keys": self.keys}

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds

    async def keep_until(self, end: float) -> None:
        """Keeps the ring until the clock shows this."""
        task = asyncio.create_task(self.ring.keep(longest_pause=8))
        while self.now < end and not task.done():  # noqa: ASYNC110 - each turn lets the clock move on
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_keys_are_there_before_anybody_asks_and_are_read_again_every_hour() -> None:
    issuer = Issuer(GOOD)
    await issuer.keep_until(2.5 * RENEWED_SECONDS)
    assert issuer.asked[:3] == [0, RENEWED_SECONDS, 2 * RENEWED_SECONDS]
    issuer.away = True
    assert await found(issuer.ring)


async def test_an_issuer_that_is_away_is_asked_again_after_growing_pauses_until_it_answers() -> None:
    issuer = Issuer(GOOD)
    issuer.away = True
    await issuer.keep_until(20)
    assert issuer.asked[:5] == [0, 1, 3, 7, 15]
    issuer.away = False
    await issuer.keep_until(30)
    assert issuer.ring.ready


async def test_everybody_with_a_new_key_waits_for_one_reading() -> None:
    issuer = Issuer(GOOD)
    await issuer.ring.load()
    issuer.keys.append(public_jwk("new", CLUSTER_KEY))
    assert await asyncio.gather(*(found(issuer.ring, "new") for _ in range(20))) == [True] * 20
    assert issuer.asked == [0, READ_INTERVAL]


async def test_whoever_comes_during_a_reading_that_brings_the_key_waits_for_no_other() -> None:
    issuer = Issuer(GOOD)
    first = asyncio.create_task(found(issuer.ring))
    while not issuer.asked:  # noqa: ASYNC110 - each turn lets the other go on
        await asyncio.sleep(0)
    assert await found(issuer.ring)
    assert await first
    assert issuer.asked == [0]


async def test_nobody_waits_for_an_issuer_that_was_away_a_moment_ago() -> None:
    issuer = Issuer(GOOD)
    await issuer.ring.load()
    issuer.away, issuer.now = True, READ_INTERVAL
    assert not await found(issuer.ring, "new")
    assert not await found(issuer.ring, "new")
    assert (issuer.asked, issuer.now, issuer.ring.reachable) == ([0, READ_INTERVAL], READ_INTERVAL, False)


async def test_without_any_keys_an_issuer_is_asked_again_after_a_second() -> None:
    issuer = Issuer(GOOD)
    issuer.away = True
    assert not await found(issuer.ring)
    issuer.away, issuer.now = False, FIRST_INTERVAL
    assert await found(issuer.ring)


async def test_keys_that_can_not_be_read_again_count_no_more_in_the_end_and_at_once_when_they_can() -> None:
    issuer = Issuer(GOOD, good_for=100)
    await issuer.ring.load()
    issuer.away, issuer.now = True, 99
    assert await found(issuer.ring)
    issuer.now = 100
    assert not await found(issuer.ring)
    issuer.away, issuer.now = False, 100 + FIRST_INTERVAL
    assert await found(issuer.ring)
