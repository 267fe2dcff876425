"""The public keys of one issuer of JWTs: read ahead, again for an unknown key id, never too often.

Only asymmetric algorithms of a closed list are accepted, each with the one kind of key that it is made for, so that
no token can choose how it is verified. Sources: RFC 7517 (JWKS), RFC 7518 (algorithms), RFC 8725 (best practices).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tenacity import AsyncRetrying, retry_if_result, wait_exponential

READ_INTERVAL: Final = 5.0
"""Seconds between two reads of the keys, however many unknown key ids arrive. A login with a new key waits that long,
and docker's gives up after 15."""
FIRST_INTERVAL: Final = 1.0  # the same, as long as no keys are known at all
RENEWED_SECONDS: Final = 3600.0  # after which keys are read again although all are known: one may have been withdrawn
MOST_WAITING: Final = 64  # for the next read; whoever has a known key never waits
_SMALLEST_RSA: Final = 2048  # bits; RFC 7518, 3.3

FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]
"""Reads a JWKS document, here with the member `issuer` besides `keys`. May raise whatever its transport raises."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key and the algorithms that it may verify."""

    public: Any
    algorithms: frozenset[str]


class TooManyWaitersError(Exception):
    """As many wait for the next read of the keys as are let in. It is over in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many wait for the keys; try again in {retry_after} s")
        self.retry_after = retry_after


class KeyRing:
    """The keys of one issuer by key id. `keep` it as a task.

    `accepted` is the closed list of algorithms; `monotonic` and `sleep` are in seconds. Keys that could not be read
    again for `good_for` seconds count no more; None: they count until the issuer says otherwise.
    """

    def __init__(
        self,
        fetch_keys: FetchKeys,
        *,
        name: str,
        accepted: Collection[str],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        good_for: float | None = None,
    ) -> None:
        self._fetch_keys = fetch_keys
        self._name = name
        self._accepted = frozenset(accepted)
        self._monotonic = monotonic
        self._sleep = sleep
        self._good_for = good_for
        self._keys: dict[str, VerificationKey] = {}
        self._document: Mapping[str, Any] = {}
        self._tries = 0
        self._last_try = -math.inf
        self._last_read: float | None = None
        self._reading = asyncio.Lock()
        self._waiting = 0
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

    async def keep(self, *, longest_pause: float) -> None:
        """Read the keys now, and again every hour, for ever.

        A read that fails is tried again, after pauses that grow up to `longest_pause` seconds.
        """
        until_read = AsyncRetrying(
            retry=retry_if_result(lambda read: not read), wait=wait_exponential(max=longest_pause), sleep=self._sleep
        )
        while True:
            await until_read(self._read_if_due)
            await self._sleep(RENEWED_SECONDS)

    async def load(self) -> bool:
        """Read the keys, unless that was tried a moment ago; true when there are keys."""
        await self._read_if_due()
        return self.ready

    async def find(self, header: Mapping[str, Any]) -> VerificationKey | None:
        """The key that the header of a token names and that verifies its algorithm; None when there is none such.

        A token without a key id is for an issuer with one key (OpenID Connect Core, 10.1). An unknown id waits for
        the next read, so that a key that is new is never told to be wrong; `reachable` says afterwards whether the
        issuer answered. Raises TooManyWait.
        """
        key_id, algorithm = header.get("kid"), header.get("alg")
        if algorithm not in self._accepted or (key_id is not None and not isinstance(key_id, str)):
            return None
        self._drop_what_is_too_old()
        if self._lacks(key_id):
            await self._learn(lambda: not self._lacks(key_id))
        if key_id is None:
            key = next(iter(self._keys.values())) if len(self._keys) == 1 else None
        else:
            key = self._keys.get(key_id)
        return key if key is not None and algorithm in key.algorithms else None

    async def replaced(self, key: VerificationKey) -> bool:
        """Whether the issuer has this key no more: for a token that names none, and that the only one does not verify.

        Waits for the next read as `find` does for an unknown id. Raises TooManyWait.
        """
        await self._learn(lambda: key not in self._keys.values())
        return key not in self._keys.values()

    def _lacks(self, key_id: str | None) -> bool:
        return not self._keys or (key_id is not None and key_id not in self._keys)

    def _drop_what_is_too_old(self) -> None:
        if self._good_for is None or self._last_read is None:
            return
        if self._monotonic() - self._last_read >= self._good_for:
            self._keys = {}

    def _until_due(self) -> float:
        """Seconds until the issuer may be asked again."""
        interval = READ_INTERVAL if self._keys else FIRST_INTERVAL
        return max(self._last_try + interval - self._monotonic(), 0.0)

    async def _learn(self, known: Callable[[], bool]) -> None:
        """Wait for a read that begins after now, one for all who wait; for none when the last one failed just now, or
        when what is asked for is `known` before."""
        if self._waiting >= MOST_WAITING:
            raise TooManyWaitersError(math.ceil(self._until_due()) or 1)
        tries = self._tries
        self._waiting += 1
        try:
            async with self._reading:
                if known() or self._tries > tries:
                    return
                pause = self._until_due()
                if pause:
                    if not self.reachable:
                        return
                    await self._sleep(pause)
                await self._read()
        finally:
            self._waiting -= 1

    async def _read_if_due(self) -> bool:
        """Whether the last read, which may be this one, succeeded."""
        async with self._reading:
            if not self._until_due():
                await self._read()
            return self.reachable and self._last_read is not None

    async def _read(self) -> None:
        self._tries += 1
        self._last_try = self._monotonic()
        known = set(self._keys)
        try:
            self.take(await self._fetch_keys())
        except Exception as error:  # whatever the transport raises, the keys known so far go on serving
            self.reachable = False
            self._log.warning(
                "signing keys could not be read", issuer=self._name, error=f"{type(error).__name__}: {error}"
            )
            return
        self.reachable, self._last_read = True, self._monotonic()
        if set(self._keys) != known:
            self._log.info("signing keys read", issuer=self._name, keys=len(self._keys))


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
