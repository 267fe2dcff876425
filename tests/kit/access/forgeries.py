"""Forged registry tokens: at least 60 ways to twist a JWT. Each must be refused everywhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tests.kit.pki import Authority, Leaf


@dataclass(frozen=True)
class Forge:
    """A genuine token with what signed it; an attacker has keys and authorities of their own."""

    genuine: str
    leaf: Leaf
    authority: Authority

    @property
    def claims(self) -> dict[str, Any]:
        """The claims of the genuine token."""
        return jwt.decode(self.genuine, options={"verify_signature": False})

    @property
    def chain(self) -> list[str]:
        """The genuine `x5c`."""
        return list(jwt.get_unverified_header(self.genuine)["x5c"])

    def signed(self, changed: Mapping[str, Any] = {}, *, header: Mapping[str, Any] = {}, key: Any = None) -> str:
        """The claims, changed (None removes one), with the genuine key unless another is given."""
        made = {name: value for name, value in {**self.claims, **changed}.items() if value is not None}
        whole = {"x5c": self.chain, **header}
        present = {name: value for name, value in whole.items() if value is not None}
        return jwt.PyJWS().encode(json.dumps(made).encode(), key or self.key, algorithm="ES256", headers=present)

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """The genuine key, which an attacker does not have: for tokens that a mistake of ours would issue."""
        key = load_pem_private_key(self.leaf.key_pem, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key


def encoded(document: Any) -> str:
    """A part of a JWT."""
    data = document if isinstance(document, bytes) else json.dumps(document, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def der(leaf: Leaf | Authority) -> str:
    """A certificate as in `x5c`."""
    certificate = x509.load_pem_x509_certificate(leaf.certificate_pem)
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def forgeries(forge: Forge) -> dict[str, str]:
    """By a name for each."""
    made: dict[str, str] = {}
    for family in (_algorithms, _parts, _payloads, _claims, _chains, _headers):
        for name, token in family(forge):
            assert name not in made
            made[name] = token
    assert forge.genuine not in made.values()
    return made


def _algorithms(forge: Forge) -> Iterator[tuple[str, str]]:
    _, body, signature = forge.genuine.split(".")
    certificate = x509.load_pem_x509_certificate(forge.leaf.certificate_pem)
    for name in ("none", "None", "NONE", "nOnE", ""):
        head = encoded({"alg": name, "typ": "JWT", "x5c": forge.chain})
        yield f"alg {name!r} without signature", f"{head}.{body}."
        yield f"alg {name!r} with the genuine signature", f"{head}.{body}.{signature}"
    public = certificate.public_key()
    secrets = {
        "certificate in PEM": forge.leaf.certificate_pem,
        "certificate in DER": certificate.public_bytes(Encoding.DER),
        "public key in PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "x5c": forge.chain[0].encode(),
        "nothing": b"",
    }
    for name, secret in secrets.items():
        for algorithm, digest in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
            signed = f"{encoded({'alg': algorithm, 'typ': 'JWT', 'x5c': forge.chain})}.{body}"
            mac = encoded(hmac.new(secret, signed.encode(), digest).digest())
            yield f"{algorithm} by {name}", f"{signed}.{mac}"
    for algorithm in ("ES384", "RS256", "PS256", "EdDSA", "es256", "ES256K"):
        head = encoded({"alg": algorithm, "typ": "JWT", "x5c": forge.chain})
        yield f"alg {algorithm} with the genuine signature", f"{head}.{body}.{signature}"
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    yield (
        "RS256 by a key of one's own",
        jwt.encode(forge.claims, rsa_key, algorithm="RS256", headers={"x5c": forge.chain}),
    )


def _parts(forge: Forge) -> Iterator[tuple[str, str]]:
    head, body, signature = forge.genuine.split(".")
    yield "no signature", f"{head}.{body}."
    yield "two parts", f"{head}.{body}"
    yield "four parts", f"{head}.{body}.{signature}.{signature}"
    yield "parts swapped", f"{body}.{head}.{signature}"
    yield "zero signature", f"{head}.{body}.{encoded(bytes(64))}"
    yield "short signature", f"{head}.{body}.{signature[:40]}"
    yield "signature of another form", f"{head}.{body}.{encoded(b'0E' + bytes(70))}"
    yield "first byte of the signature changed", f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    yield "not base64", f"{head}.{body}!.{signature}"
    yield "nested in itself", f"{encoded({'alg': 'ES256', 'cty': 'JWT'})}.{encoded(forge.genuine.encode())}.{signature}"
    yield "huge", f"{head}.{encoded({**forge.claims, 'jti': 'x' * 20_000})}.{signature}"
    yield "encrypted form", f"{head}.{body}.{signature}.{body}.{signature}"


def _payloads(forge: Forge) -> Iterator[tuple[str, str]]:
    head, _, signature = forge.genuine.split(".")
    everything = [{"type": "repository", "name": "genomics/aligner", "actions": ["pull", "push", "delete"]}]
    alterations: dict[str, dict[str, Any]] = {
        "more access": {"access": everything},
        "another subject": {"sub": "admin"},
        "another credential": {"berth": {**forge.claims["berth"], "cred": "Service"}},
        "a later end": {"exp": forge.claims["exp"] + 86_400},
        "other audiences": {"aud": ["berth-registry/genomics", "berth-registry/other"]},
    }
    for name, changed in alterations.items():
        yield f"altered payload: {name}", f"{head}.{encoded({**forge.claims, **changed})}.{signature}"
    for name, payload in {"a list": [], "a string": "x", "nothing": b"", "no JSON": b"{", "deep": b"[" * 5000}.items():
        yield f"payload is {name}", f"{head}.{encoded(payload)}.{signature}"


def _claims(forge: Forge) -> Iterator[tuple[str, str]]:
    issued = forge.claims["iat"]
    for name, changed in {
        "expired": {"exp": issued - 3600, "nbf": issued - 7200},
        "not valid yet": {"nbf": issued + 3600, "exp": issued + 7200},
        "another issuer": {"iss": "berth2"},
        "no issuer": {"iss": None},
        "no audience": {"aud": None},
        "no end": {"exp": None},
        "an end that is a word": {"exp": "never"},
        "an end that is no number": {"exp": {"a": 1}},
        "a list of issuers": {"iss": ["berth"]},
    }.items():
        yield f"claims: {name}", forge.signed(changed)


def _chains(forge: Forge) -> Iterator[tuple[str, str]]:
    foreign = Authority.create("berth token CA")  # of the very same name
    stranger = foreign.issue("berth token signing")
    key = load_pem_private_key(stranger.key_pem, None)
    yield "x5c of a foreign authority of the same name", forge.signed(header={"x5c": [der(stranger)]}, key=key)
    yield (
        "x5c with the foreign authority behind it",
        forge.signed(header={"x5c": [der(stranger), der(foreign)]}, key=key),
    )
    yield (
        "x5c with the genuine authority behind it",
        forge.signed(header={"x5c": [der(stranger), der(forge.authority)]}, key=key),
    )
    yield "the genuine x5c and another key", forge.signed(key=key)
    yield "the genuine x5c second", forge.signed(header={"x5c": [der(stranger), *forge.chain]}, key=key)
    yield "the genuine x5c first and another key", forge.signed(header={"x5c": [*forge.chain, der(stranger)]}, key=key)
    yield "no x5c", forge.signed(header={"x5c": None})
    yield "empty x5c", forge.signed(header={"x5c": []})
    yield "x5c is a string", forge.signed(header={"x5c": forge.chain[0]})
    yield "x5c is no base64", forge.signed(header={"x5c": ["!!!"]})
    yield "x5c is no certificate", forge.signed(header={"x5c": [base64.b64encode(b"certificate").decode()]})
    yield "x5c holds numbers", forge.signed(header={"x5c": [1, 2]})


def _headers(forge: Forge) -> Iterator[tuple[str, str]]:
    own = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(own.public_key(), as_dict=True)
    headers: dict[str, dict[str, Any]] = {
        "jwk beside x5c": {"jwk": jwk},
        "jwk alone": {"jwk": jwk, "x5c": None},
        "jku": {"jku": "http://127.0.0.1:9/keys", "x5c": None},
        "x5u": {"x5u": "http://127.0.0.1:9/chain.pem", "x5c": None},
        "kid is a path": {"kid": "../../../../dev/null", "x5c": None},
        "kid is a query": {"kid": "' OR 1=1 --", "x5c": None},
        "kid of the leaf": {"kid": hashlib.sha256(forge.chain[0].encode()).hexdigest(), "x5c": None},
    }
    for name, header in headers.items():
        yield f"header: {name}", forge.signed(header=header, key=own)
    yield "header: critical extension that is unknown", forge.signed(header={"crit": ["b64"], "b64": False})
