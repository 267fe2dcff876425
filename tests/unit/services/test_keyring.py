"""Which keys of an issuer are used, and for which algorithms."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from berth.services.keyring import KeyRing
from tests.unit.services.access.world import CLUSTER_KEY, public_jwk

GOOD = public_jwk("k", CLUSTER_KEY)


async def ring(*keys: Any) -> KeyRing:
    async def fetch() -> dict[str, Any]:
        return {"issuer": "https://i", "keys": list(keys)}

    made = KeyRing(fetch, name="i", accepted=("RS256", "PS256", "ES256", "EdDSA"), monotonic=lambda: 0.0)
    await made.load()
    return made


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
