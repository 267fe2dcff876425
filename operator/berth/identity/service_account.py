"""Verification of projected ServiceAccount tokens: of Berth's processes among each other, and of people's Pods.

Offline: the cluster's OIDC keys (`/openid/v1/jwks`) are read ahead, and again when a token names an unknown key, so a
request with a known one never waits for the API server. Sources: Kubernetes "Service Account Issuer Discovery",
RFC 7519 (JWT), RFC 8725 (closed list of algorithms).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from berth.identity.jwks import FetchKeys, KeyRing, TooManyWaitersError, VerificationKey
from berth.runtime.bounded_cache import BoundedCache

ALGORITHMS: Final = ("RS256", "ES256")
_SUBJECT_PREFIX: Final = "system:serviceaccount:"
_LONGEST_PAUSE: Final = 1.0  # seconds between two tries to read the keys: nobody is ready without them
_CLOCK_SKEW: Final = 10.0  # seconds by which the clock of this node and the API server's may differ
_CACHED_TOKENS: Final = 1024
_CACHED_BYTES: Final = 1024 * 1024  # keys are digests, so an entry has some 300 bytes


def cluster_keys(raw_get: Callable[[str], Awaitable[bytes]]) -> FetchKeys:
    """Reads the keys and the issuer of a cluster from its API server, given a way to read one of its paths.

    The document has the members `issuer` (OpenID Connect Discovery 1.0) and `keys` (RFC 7517).
    """

    async def fetch() -> Mapping[str, Any]:
        discovery = json.loads(await raw_get("/.well-known/openid-configuration"))
        return {"issuer": discovery["issuer"], "keys": json.loads(await raw_get("/openid/v1/jwks"))["keys"]}

    return fetch


class ServiceAccountTokenError(Exception):
    """The caller did not prove who it is. `sentence` may be told to it; it holds nothing of the token."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class TokenExpiredError(ServiceAccountTokenError):
    """The token was a right one, and its time is over. `account` is whose it was, as `namespace/name`."""

    def __init__(self, account: str) -> None:
        super().__init__("The ServiceAccount token has expired; read the projected file again.")
        self.account = account


class OtherAudienceError(ServiceAccountTokenError):
    """The token is one of the cluster, and not meant for this audience."""


class KeysPendingError(ServiceAccountTokenError):
    """The token names an unknown key, and too many wait already to hear of new ones. Over in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("The cluster's signing keys are about to be read again; try again in some seconds.")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a token: the ServiceAccount as `namespace/name`, and the last moment (epoch seconds) that it holds."""

    account: str
    until: float


NOBODY: Final = Holder("", 0.0)


class ServiceAccountVerifier:
    """Verifies tokens of one cluster.

    `fetch_keys` returns its JWKS document (RFC 7517) and may raise; see `cluster_keys`. `issuer` is the API server's
    `--service-account-issuer`; empty: what the document's member `issuer` says. `clock` is seconds since the epoch,
    `monotonic` seconds since any moment, `sleep` takes seconds. `keep` it as a task.
    """

    def __init__(
        self,
        *,
        issuer: str = "",
        fetch_keys: FetchKeys,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._configured_issuer = issuer
        self._ring = KeyRing(fetch_keys, name="the cluster", accepted=ALGORITHMS, monotonic=monotonic, sleep=sleep)
        self._clock = clock
        self._cache: BoundedCache[tuple[bytes, str], Holder] = BoundedCache(
            max_entries=_CACHED_TOKENS, max_bytes=_CACHED_BYTES
        )

    @property
    def issuer(self) -> str:
        """Whose tokens these are; empty as long as the cluster has not said it."""
        return self._configured_issuer or str(self._ring.document.get("issuer") or "")

    @property
    def ready(self) -> bool:
        """Whether there are keys of the cluster to verify with."""
        return bool(self._ring.ready and self.issuer)

    @property
    def document(self) -> Mapping[str, Any]:
        """The cluster's keys and issuer as they were read last; all of it public."""
        return self._ring.document

    def take(self, document: Mapping[str, Any]) -> None:
        """Use keys that were read before a restart, until the API server can be asked."""
        self._ring.take(document)

    async def keep(self) -> None:
        """Read the keys as soon as the API server answers, and again every hour, for ever."""
        await self._ring.keep(longest_pause=_LONGEST_PAUSE)

    async def load(self) -> bool:
        """Read the keys, unless that was tried a moment ago; true when there are keys to verify with."""
        await self._ring.load()
        return self.ready

    async def verify(self, token: str, audience: str) -> str:
        """The ServiceAccount, as `namespace/name`, that holds this token for this audience.

        Raises `ServiceAccountTokenError` with one sentence for a token that is absent or forged, `TokenExpiredError`,
        `OtherAudienceError`, and `KeysPendingError` while the signing key is not known yet.
        """
        return (await self.holder(token, audience)).account

    async def holder(self, token: str, audience: str) -> Holder:
        """Whose token for this audience it is, and until when. Raises as `verify`."""
        known = self.remembered(token, audience)
        if known is not None:
            return known
        verified = self._read(token, await self._key_of(token), audience)
        self._cache.put(_cache_key(token, audience), verified)
        return verified

    def remembered(self, token: str, audience: str) -> Holder | None:
        """What `holder` found for this token before, if it still holds."""
        known = self._cache.get(_cache_key(token, audience))
        return known if known is not None and self.holds(known) else None

    def holds(self, holder: Holder) -> bool:
        """Whether the token that this holder was read from is not over yet."""
        return holder.until > self._clock()

    async def _key_of(self, token: str) -> tuple[VerificationKey, str]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, ValueError):
            raise ServiceAccountTokenError(
                "This call needs a ServiceAccount token of one of Berth's processes."
            ) from None
        if not isinstance(header.get("kid"), str) or not header["kid"]:
            raise ServiceAccountTokenError(
                "The ServiceAccount token names no signing key (kid); use a projected token."
            )
        try:
            key = await self._ring.find(header)
        except TooManyWaitersError as full:
            raise KeysPendingError(full.retry_after) from None
        if key is None:
            raise ServiceAccountTokenError(
                "The ServiceAccount token is signed by a key that this cluster does not publish."
            )
        return key, str(header["alg"])

    def _read(self, token: str, key: tuple[VerificationKey, str], audience: str) -> Holder:
        try:
            claims = jwt.decode(
                token,
                key=key[0].public,
                algorithms=[key[1]],
                audience=audience,
                issuer=[self.issuer],
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            expires, not_before = float(claims["exp"]), float(claims.get("nbf", 0))
        except jwt.InvalidAudienceError:
            raise OtherAudienceError(f"The ServiceAccount token is not meant for the audience {audience}.") from None
        except (jwt.InvalidTokenError, ValueError, TypeError):
            raise ServiceAccountTokenError("The ServiceAccount token is not one that this cluster issued.") from None
        now = self._clock()
        account = _account(claims["sub"])
        if not_before > now + _CLOCK_SKEW:
            raise ServiceAccountTokenError(
                "The ServiceAccount token is not valid yet; compare the clocks of the nodes."
            )
        # Written so that no number, not even NaN, passes by failing a comparison.
        if not expires + _CLOCK_SKEW > now:
            raise TokenExpiredError(account)
        return Holder(account, expires + _CLOCK_SKEW)


def _cache_key(token: str, audience: str) -> tuple[bytes, str]:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest(), audience


def _account(subject: str) -> str:
    namespace, separator, name = subject.removeprefix(_SUBJECT_PREFIX).partition(":")
    if not subject.startswith(_SUBJECT_PREFIX) or not separator or not namespace or not name:
        raise ServiceAccountTokenError("The token does not belong to a ServiceAccount.")
    return f"{namespace}/{name}"
