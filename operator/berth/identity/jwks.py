"""The public keys of one issuer of JWTs: fetched in advance, and again for an unknown key id, with a rate limit.

Only asymmetric algorithms of a closed list are accepted, each with its own kind of key, so that no token can choose how
it is verified. Sources: RFC 7517 (JWKS), RFC 7518 (algorithms), RFC 8725 (best practices).
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

FETCH_INTERVAL: Final = 5.0
"""Seconds between two fetches of the keys, for any number of unknown key ids. A login with a new key waits that long;
`docker login` gives up after 15 seconds."""
FIRST_FETCH_INTERVAL: Final = 1.0  # the same, until there are keys
REFRESH_SECONDS: Final = 3600.0  # after which keys are fetched again, because the issuer may have withdrawn one
MAX_WAITERS: Final = 64  # for the next fetch; a token with a known key never waits
_MIN_RSA_BITS: Final = 2048  # RFC 7518, 3.3

FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]
"""Fetches a JWKS document with the members `keys` and `issuer`. Raises any error of its transport."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key and the algorithms that it can verify."""

    public: Any
    algorithms: frozenset[str]


class TooManyWaitersError(Exception):
    """Too many requests wait for the next fetch of the keys. Retry after `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many requests wait for the keys; try again in {retry_after} s")
        self.retry_after = retry_after


class RemoteKeySet:
    """The keys of one issuer by key id. Run `refresh_forever` as a task.

    `accepted` is the closed list of algorithms; `monotonic` and `sleep` are in seconds. Keys expire after `max_age`
    seconds without a successful fetch; None: they never expire.
    """

    def __init__(
        self,
        fetch_keys: FetchKeys,
        *,
        name: str,
        accepted: Collection[str],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        max_age: float | None = None,
    ) -> None:
        self._fetch_keys = fetch_keys
        self._name = name
        self._accepted = frozenset(accepted)
        self._monotonic = monotonic
        self._sleep = sleep
        self._max_age = max_age
        self._keys: dict[str, VerificationKey] = {}
        self._document: Mapping[str, Any] = {}
        self._fetches = 0
        self._last_attempt = -math.inf
        self._last_success: float | None = None
        self._fetching = asyncio.Lock()
        self._waiters = 0
        self._log = structlog.get_logger("berth.keys")
        self.reachable = True

    @property
    def ready(self) -> bool:
        """Whether there are keys."""
        return bool(self._keys)

    @property
    def document(self) -> Mapping[str, Any]:
        """The present `issuer` and `keys`, all of it public; empty before the first fetch."""
        return self._document

    def use(self, document: Mapping[str, Any]) -> None:
        """Replace the keys by those of a JWKS document, unless it has no usable key."""
        keys = _usable_keys(document, self._accepted)
        if keys:
            self._keys, self._document = keys, {"issuer": document.get("issuer"), "keys": document["keys"]}

    async def refresh_forever(self, *, max_backoff: float) -> None:
        """Fetch the keys now and every hour, and retry a failed fetch with at most `max_backoff` seconds between."""
        until_fetched = AsyncRetrying(
            retry=retry_if_result(lambda fetched: not fetched),
            wait=wait_exponential(max=max_backoff),
            sleep=self._sleep,
        )
        while True:
            await until_fetched(self._fetch_if_due)
            await self._sleep(REFRESH_SECONDS)

    async def load(self) -> bool:
        """Fetch the keys unless that was tried a moment ago; whether there are keys."""
        await self._fetch_if_due()
        return self.ready

    async def key_for(self, header: Mapping[str, Any]) -> VerificationKey | None:
        """The key that a token's header names and that verifies its algorithm; None when there is none.

        A token without a key id needs an issuer with one key (OpenID Connect Core, 10.1). An unknown id waits for the
        next fetch, so that a token with a new key is not refused; `reachable` is then the result of that fetch. Raises
        TooManyWaitersError.
        """
        key_id, algorithm = header.get("kid"), header.get("alg")
        if algorithm not in self._accepted or (key_id is not None and not isinstance(key_id, str)):
            return None
        self._expire()
        if not self._has(key_id):
            await self._wait_for_fetch(lambda: self._has(key_id))
        if key_id is None:
            key = next(iter(self._keys.values())) if len(self._keys) == 1 else None
        else:
            key = self._keys.get(key_id)
        return key if key is not None and algorithm in key.algorithms else None

    async def was_replaced(self, key: VerificationKey) -> bool:
        """Whether the issuer no longer has this key: for a token without a key id whose signature does not match it.

        Waits for the next fetch, like `key_for` for an unknown id. Raises TooManyWaitersError.
        """
        await self._wait_for_fetch(lambda: key not in self._keys.values())
        return key not in self._keys.values()

    def _has(self, key_id: str | None) -> bool:
        return key_id in self._keys if key_id is not None else bool(self._keys)

    def _expire(self) -> None:
        if self._max_age is None or self._last_success is None:
            return
        if self._monotonic() - self._last_success >= self._max_age:
            self._keys = {}

    def _until_due(self) -> float:
        """Seconds until the next fetch is allowed."""
        interval = FETCH_INTERVAL if self._keys else FIRST_FETCH_INTERVAL
        return max(self._last_attempt + interval - self._monotonic(), 0.0)

    async def _wait_for_fetch(self, is_known: Callable[[], bool]) -> None:
        """Wait for a fetch that starts after this call, shared by all waiters.

        Returns at once when the last fetch has just failed, and before the fetch as soon as `is_known`.
        """
        if self._waiters >= MAX_WAITERS:
            raise TooManyWaitersError(math.ceil(self._until_due()) or 1)
        fetches = self._fetches
        self._waiters += 1
        try:
            async with self._fetching:
                if is_known() or self._fetches > fetches:
                    return
                pause = self._until_due()
                if pause:
                    if not self.reachable:
                        return
                    await self._sleep(pause)
                await self._fetch()
        finally:
            self._waiters -= 1

    async def _fetch_if_due(self) -> bool:
        """Whether the last fetch succeeded, this one included."""
        async with self._fetching:
            if not self._until_due():
                await self._fetch()
            return self.reachable and self._last_success is not None

    async def _fetch(self) -> None:
        self._fetches += 1
        self._last_attempt = self._monotonic()
        before = set(self._keys)
        try:
            self.use(await self._fetch_keys())
        except Exception as error:  # after any error of the transport the present keys stay in use
            self.reachable = False
            self._log.warning("cannot fetch signing keys", issuer=self._name, error=f"{type(error).__name__}: {error}")
            return
        self.reachable, self._last_success = True, self._monotonic()
        if set(self._keys) != before:
            self._log.info("signing keys fetched", issuer=self._name, keys=len(self._keys))


def _usable_keys(document: Mapping[str, Any], accepted: frozenset[str]) -> dict[str, VerificationKey]:
    """Keys by id, without invalid keys and those of other algorithms."""
    keys: dict[str, VerificationKey] = {}
    entries = document.get("keys")
    for entry in entries if isinstance(entries, list) else []:
        try:
            parsed = jwt.PyJWK.from_dict(entry)
        except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
            continue
        algorithms = _algorithms_of(parsed.key) & accepted
        declared = entry.get("alg")
        if declared is not None:
            algorithms &= {declared}
        if algorithms and entry.get("use", "sig") == "sig":
            keys[str(parsed.key_id or "")] = VerificationKey(parsed.key, algorithms)
    return keys


def _algorithms_of(key: object) -> frozenset[str]:
    """Algorithms that a public key can verify; none for private, symmetric and weak keys."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return frozenset({"RS256", "PS256"})
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1":
        return frozenset({"ES256"})
    if isinstance(key, ed25519.Ed25519PublicKey):
        return frozenset({"EdDSA"})
    return frozenset()
