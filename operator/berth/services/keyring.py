"""The public keys of one issuer of JWTs: read when first needed, again for an unknown key id, never too often.

Only asymmetric algorithms of a closed list are accepted, each with the one kind of key that it is made for, so that
no token can choose how it is verified. Sources: RFC 7517 (JWKS), RFC 7518 (algorithms), RFC 8725 (best practices).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

REFRESH_INTERVAL: Final = 10.0  # seconds between two reads of the keys, however many unknown key ids arrive
FIRST_INTERVAL: Final = 1.0  # the same, as long as no keys are known at all
_SMALLEST_RSA: Final = 2048  # bits; RFC 7518, 3.3

FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]
"""Reads a JWKS document, here with the member `issuer` besides `keys`. May raise whatever its transport raises."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key and the algorithms that it may verify."""

    public: Any
    algorithms: frozenset[str]


class KeyRing:
    """The keys of one issuer by key id.

    `accepted` is the closed list of algorithms. `monotonic` is in seconds. After `max_age` seconds the keys are read
    again beside the requests that use them, so that a key that its issuer withdrew goes; None: never for that reason.
    """

    def __init__(
        self,
        fetch_keys: FetchKeys,
        *,
        name: str,
        accepted: Collection[str],
        monotonic: Callable[[], float],
        max_age: float | None = None,
    ) -> None:
        self._fetch_keys = fetch_keys
        self._name = name
        self._accepted = frozenset(accepted)
        self._monotonic = monotonic
        self._max_age = max_age
        self._keys: dict[str, VerificationKey] = {}
        self._document: Mapping[str, Any] = {}
        self._last_try: float | None = None
        self._last_read: float | None = None
        self._fetching = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("berth.keys")
        self.reachable = True

    @property
    def ready(self) -> bool:
        """Whether there are keys."""
        return bool(self._keys)

    @property
    def document(self) -> Mapping[str, Any]:
        """What was read last: `issuer` and `keys`. Public; empty before the first reading."""
        return self._document

    def take(self, document: Mapping[str, Any]) -> None:
        """Use keys that were read at some other time, until the issuer is asked. No keys in it: nothing changes."""
        keys = _usable_keys(document, self._accepted)
        if keys:
            self._keys, self._document = keys, {"issuer": document.get("issuer"), "keys": document["keys"]}

    async def load(self) -> bool:
        """Read the keys, unless that was tried a moment ago; true when there are keys."""
        await self._refresh()
        return self.ready

    async def find(self, header: Mapping[str, Any]) -> VerificationKey | None:
        """The key that the header of a token names and that verifies its algorithm; None when there is none such.

        A token without a key id is for an issuer with one key (OpenID Connect Core, 10.1). Asks the issuer for an
        unknown id, `reachable` tells afterwards whether it answered.
        """
        key_id, algorithm = header.get("kid"), header.get("alg")
        if algorithm not in self._accepted or (key_id is not None and not isinstance(key_id, str)):
            return None
        if not self._keys or (key_id is not None and key_id not in self._keys):
            await self._refresh()
        elif self._is_old():
            self._renew()
        if key_id is None:
            key = next(iter(self._keys.values())) if len(self._keys) == 1 else None
        else:
            key = self._keys.get(key_id)
        return key if key is not None and algorithm in key.algorithms else None

    def _is_old(self) -> bool:
        return self._max_age is not None and (
            self._last_read is None or self._monotonic() - self._last_read >= self._max_age
        )

    def _renew(self) -> None:
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.get_running_loop().create_task(self._refresh(), name=f"keys of {self._name}")

    async def _refresh(self) -> None:
        async with self._fetching:
            interval = REFRESH_INTERVAL if self._keys else FIRST_INTERVAL
            if self._last_try is not None and self._monotonic() - self._last_try < interval:
                return
            self._last_try = self._monotonic()
            try:
                document = await self._fetch_keys()
                self.take(document)
            except Exception as error:  # whatever the transport raises, the keys known so far go on serving
                self.reachable = False
                self._log.warning(
                    "signing keys could not be read", issuer=self._name, error=f"{type(error).__name__}: {error}"
                )
                return
            self.reachable, self._last_read = True, self._monotonic()


def _usable_keys(document: Mapping[str, Any], accepted: frozenset[str]) -> dict[str, VerificationKey]:
    """Keys by id. A key of a kind that is not accepted is left out, it spoils none of the others."""
    keys: dict[str, VerificationKey] = {}
    entries = document.get("keys")
    for entry in entries if isinstance(entries, list) else []:
        try:
            parsed = jwt.PyJWK.from_dict(entry)
        except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
            continue
        algorithms = _algorithms_of(parsed.key) & accepted
        named = entry.get("alg")
        if named is not None:
            algorithms &= {named}
        if algorithms and entry.get("use", "sig") == "sig":
            keys[str(parsed.key_id or "")] = VerificationKey(parsed.key, algorithms)
    return keys


def _algorithms_of(key: object) -> frozenset[str]:
    """What a public key can verify; nothing for private and symmetric keys, and for those that are too weak."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _SMALLEST_RSA:
        return frozenset({"RS256", "PS256"})
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1":
        return frozenset({"ES256"})
    if isinstance(key, ed25519.Ed25519PublicKey):
        return frozenset({"EdDSA"})
    return frozenset()
