"""Which keys of an issuer are used, for which algorithms, and when they are read."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from berth.identity.jwks import FETCH_INTERVAL, FIRST_FETCH_INTERVAL, REFRESH_SECONDS, RemoteKeySet
from tests.kit.access.world import CLUSTER_KEY, public_jwk

GOOD = public_jwk("k", CLUSTER_KEY)


async def key_set(*keys: Any) -> RemoteKeySet:
    async def fetch() -> dict[str, Any]:
        return {"issuer": "https://i", "keys": list(keys)}

    made = RemoteKeySet(
        fetch, name="i", accepted=("RS256", "PS256", "ES256", "EdDSA"), monotonic=lambda: 0.0, sleep=_at_once
    )
    await made.load()
    return made


async def _at_once(_seconds: float) -> None:
    """A sleep that returns at once."""


async def found(made: RemoteKeySet, kid: str | None = "k", algorithm: str = "RS256") -> bool:
    header = {"alg": algorithm} if kid is None else {"alg": algorithm, "kid": kid}
    return await made.key_for(header) is not None


async def test_a_key_only_verifies_the_algorithms_of_its_type() -> None:
    made = await key_set(GOOD)
    assert [await found(made, algorithm=each) for each in ("RS256", "PS256", "ES256", "EdDSA", "RS512", "HS256")] == [
        *(True, True),
        *(False,) * 4,
    ]


async def test_a_key_with_an_algorithm_verifies_no_other() -> None:
    made = await key_set({**GOOD, "alg": "PS256"})
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
async def test_secret_private_weak_and_unknown_keys_are_ignored(key: Any) -> None:
    other = {**public_jwk("good", CLUSTER_KEY)}
    made = await key_set(key, other)
    assert [await found(made, "k", each) for each in ("RS256", "ES256")] == [False, False]
    assert await found(made, "good")


async def test_a_token_without_a_key_id_needs_an_issuer_with_one_key() -> None:
    assert await found(await key_set(GOOD), None)
    assert not await found(await key_set(GOOD, public_jwk("other", CLUSTER_KEY)), None)


class Issuer:
    """An issuer with a fake clock, the times of the fetches of its keys, and a key set."""

    def __init__(self, *keys: Any, max_age: float | None = None) -> None:
        self.now = 0.0
        self.keys = list(keys)
        self.unavailable = False
        self.fetched_at: list[float] = []
        self.key_set = RemoteKeySet(
            self.fetch,
            name="i",
            accepted=("RS256",),
            monotonic=lambda: self.now,
            sleep=self.wait,
            max_age=max_age,
        )

    async def fetch(self) -> dict[str, Any]:
        self.fetched_at.append(self.now)
        await asyncio.sleep(0)
        if self.unavailable:
            raise ConnectionError("refused")
        return {"issuer": "https://i", "keys": self.keys}

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds

    async def refresh_until(self, end: float) -> None:
        """Refresh the keys until this time of the clock."""
        task = asyncio.create_task(self.key_set.refresh_forever(max_backoff=8))
        while self.now < end and not task.done():  # noqa: ASYNC110 - each turn lets the clock move on
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_keys_are_fetched_in_advance_and_every_hour() -> None:
    issuer = Issuer(GOOD)
    await issuer.refresh_until(2.5 * REFRESH_SECONDS)
    assert issuer.fetched_at[:3] == [0, REFRESH_SECONDS, 2 * REFRESH_SECONDS]
    issuer.unavailable = True
    assert await found(issuer.key_set)


async def test_failed_fetches_are_retried_with_backoff() -> None:
    issuer = Issuer(GOOD)
    issuer.unavailable = True
    await issuer.refresh_until(20)
    assert issuer.fetched_at[:5] == [0, 1, 3, 7, 15]
    issuer.unavailable = False
    await issuer.refresh_until(30)
    assert issuer.key_set.ready


async def test_all_requests_with_a_new_key_share_one_fetch() -> None:
    issuer = Issuer(GOOD)
    await issuer.key_set.load()
    issuer.keys.append(public_jwk("new", CLUSTER_KEY))
    assert await asyncio.gather(*(found(issuer.key_set, "new") for _ in range(20))) == [True] * 20
    assert issuer.fetched_at == [0, FETCH_INTERVAL]


async def test_a_request_during_the_first_fetch_waits_for_no_other_fetch() -> None:
    issuer = Issuer(GOOD)
    first = asyncio.create_task(found(issuer.key_set))
    while not issuer.fetched_at:  # noqa: ASYNC110 - each turn lets the other go on
        await asyncio.sleep(0)
    assert await found(issuer.key_set)
    assert await first
    assert issuer.fetched_at == [0]


async def test_no_request_waits_for_an_issuer_whose_fetch_has_just_failed() -> None:
    issuer = Issuer(GOOD)
    await issuer.key_set.load()
    issuer.unavailable, issuer.now = True, FETCH_INTERVAL
    assert not await found(issuer.key_set, "new")
    assert not await found(issuer.key_set, "new")
    assert (issuer.fetched_at, issuer.now, issuer.key_set.reachable) == ([0, FETCH_INTERVAL], FETCH_INTERVAL, False)


async def test_without_keys_the_next_fetch_is_allowed_after_a_second() -> None:
    issuer = Issuer(GOOD)
    issuer.unavailable = True
    assert not await found(issuer.key_set)
    issuer.unavailable, issuer.now = False, FIRST_FETCH_INTERVAL
    assert await found(issuer.key_set)


async def test_keys_expire_without_a_successful_fetch_and_return_with_one() -> None:
    issuer = Issuer(GOOD, max_age=100)
    await issuer.key_set.load()
    issuer.unavailable, issuer.now = True, 99
    assert await found(issuer.key_set)
    issuer.now = 100
    assert not await found(issuer.key_set)
    issuer.unavailable, issuer.now = False, 100 + FIRST_FETCH_INTERVAL
    assert await found(issuer.key_set)
