"""Who a projected ServiceAccount token belongs to."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from berth.identity.jwks import FETCH_INTERVAL, MAX_WAITERS
from berth.identity.service_account import ServiceAccountTokenError, ServiceAccountVerifier, cluster_keys
from berth.identity.token_file import TokenFile

ISSUER = "https://kubernetes.default.svc"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
NOW = 1_800_000_000.0


async def test_the_issuer_is_read_from_the_cluster() -> None:
    cluster = Cluster()

    async def raw_get(path: str) -> bytes:
        if path == "/.well-known/openid-configuration":
            return json.dumps({"issuer": "https://learned"}).encode()
        return json.dumps(await cluster.fetch()).encode()

    verifier = ServiceAccountVerifier(fetch_keys=cluster_keys(raw_get), clock=lambda: NOW)
    assert await verifier.verify(token(iss="https://learned"), "berth-access") == "berth-system/berth-gateway"
    with pytest.raises(ServiceAccountTokenError):
        await verifier.verify(token(), "berth-access")


class Cluster:
    """A cluster's published keys, its clock, and the number of fetches of the keys."""

    def __init__(self) -> None:
        self.now = NOW
        self.reads = 0
        self.away = False
        self.keys: dict[str, Any] = {"rsa": RSA_KEY}
        self.verifier = ServiceAccountVerifier(
            issuer=ISSUER,
            fetch_keys=self.fetch,
            clock=lambda: self.now,
            monotonic=lambda: self.now,
            sleep=self.wait,
        )

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds

    async def fetch(self) -> Mapping[str, Any]:
        self.reads += 1
        if self.away:
            raise ConnectionError("refused")
        documents = []
        for kid, key in self.keys.items():
            algorithm = jwt.algorithms.ECAlgorithm if kid == "ec" else jwt.algorithms.RSAAlgorithm
            documents.append({**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"})
        return {"keys": documents}


def token(kid: str = "rsa", algorithm: str = "RS256", key: Any = None, **claims: Any) -> str:
    present = {
        "iss": ISSUER,
        "aud": ["berth-access"],
        "sub": "system:serviceaccount:berth-system:berth-gateway",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 3600,
    }
    return jwt.encode({**present, **claims}, key or RSA_KEY, algorithm=algorithm, headers={"kid": kid})


async def refused(cluster: Cluster, presented: str, audience: str = "berth-access") -> str:
    with pytest.raises(ServiceAccountTokenError) as refusal:
        await cluster.verifier.verify(presented, audience)
    return refusal.value.sentence


async def test_a_valid_token_names_its_account() -> None:
    assert await Cluster().verifier.verify(token(), "berth-access") == "berth-system/berth-gateway"


async def test_a_token_for_another_audience_is_refused() -> None:
    sentence = await refused(Cluster(), token(), "berth-catalog")
    assert sentence == "The ServiceAccount token is not meant for the audience berth-catalog."


async def test_a_token_is_good_for_an_audience_only_where_it_names_it_even_after_it_was_served() -> None:
    cluster = Cluster()
    await cluster.verifier.verify(token(), "berth-access")
    assert "audience berth-catalog" in await refused(cluster, token(), "berth-catalog")


async def test_a_served_token_is_refused_once_it_expires() -> None:
    cluster = Cluster()
    presented = token()
    await cluster.verifier.verify(presented, "berth-access")
    cluster.now += 3611
    assert "expired" in await refused(cluster, presented)


@pytest.mark.parametrize(
    "presented",
    [
        "",
        "x",
        "a.b.c",
        "\udcff.b.c",
        token(kid=""),
        token(iss="https://elsewhere"),
        token(sub="alice"),
        token(sub="system:serviceaccount:only-namespace"),
        token(exp=NOW - 60),
        token(nbf=NOW + 60),
        token(exp="soon"),
        token(key=rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        jwt.encode({"sub": "system:serviceaccount:a:b"}, "s" * 32, algorithm="HS256", headers={"kid": "rsa"}),
        jwt.encode({"sub": "system:serviceaccount:a:b"}, "", algorithm="none", headers={"kid": "rsa"}),
    ],
)
async def test_anything_else_is_refused_with_a_sentence(presented: str) -> None:
    sentence = await refused(Cluster(), presented)
    assert sentence.endswith(".")
    assert not presented or presented not in sentence


async def test_a_new_key_is_found_without_a_restart() -> None:
    cluster = Cluster()
    await cluster.verifier.verify(token(), "berth-access")
    cluster.keys["ec"] = EC_KEY
    presented = token(kid="ec", algorithm="ES256", key=EC_KEY)
    assert await cluster.verifier.verify(presented, "berth-access") == "berth-system/berth-gateway"


async def test_unknown_keys_cause_no_more_fetches() -> None:
    cluster = Cluster()
    await cluster.verifier.load()
    sentences = await asyncio.gather(*(refused(cluster, token(kid=f"unknown-{number}")) for number in range(100)))
    assert (cluster.reads, cluster.now) == (2, NOW + FETCH_INTERVAL)
    kinds = Counter("does not publish" in sentence for sentence in sentences)
    assert kinds == {True: MAX_WAITERS, False: 100 - MAX_WAITERS}
    await refused(cluster, token(kid="one-more"))
    assert (cluster.reads, cluster.now) == (3, NOW + 2 * FETCH_INTERVAL)


async def test_known_keys_stay_in_use_while_the_api_server_is_unavailable() -> None:
    cluster = Cluster()
    await cluster.verifier.load()
    cluster.away = True
    cluster.now += 60
    await refused(cluster, token(kid="unknown"))
    assert await cluster.verifier.verify(token(), "berth-access") == "berth-system/berth-gateway"


async def test_without_keys_every_token_is_refused() -> None:
    cluster = Cluster()
    cluster.away = True
    assert not await cluster.verifier.load()
    assert "does not publish" in await refused(cluster, token())


def test_a_replaced_token_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first\n")
    present = TokenFile(path)
    assert present.read() == "first"
    replacement = tmp_path / "next"
    replacement.write_text("second\n")
    replacement.rename(path)
    assert present.read() == "second"
