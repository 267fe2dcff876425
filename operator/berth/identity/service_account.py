"""Verification of projected ServiceAccount tokens: of Berth's own processes and of users' pods.

Offline: the cluster's OIDC keys (`/openid/v1/jwks`) are fetched in advance, and again for a token with an unknown key,
so a request with a known key never waits for the API server. Sources: Kubernetes "Service Account Issuer Discovery",
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

from berth.identity.jwks import FetchKeys, RemoteKeySet, TooManyWaitersError, VerificationKey
from berth.runtime.bounded_cache import BoundedCache

ALGORITHMS: Final = ("RS256", "ES256")
_SUBJECT_PREFIX: Final = "system:serviceaccount:"
_MAX_BACKOFF: Final = 1.0  # seconds between two fetches of the keys; no process is ready without them
_CLOCK_SKEW: Final = 10.0  # seconds by which the clock of this node and the API server's may differ
_CACHED_TOKENS: Final = 1024
_CACHED_BYTES: Final = 1024 * 1024  # keys are digests, so an entry has some 300 bytes


def cluster_keys(raw_get: Callable[[str], Awaitable[bytes]]) -> FetchKeys:
    """A function that fetches the keys and the issuer of a cluster. `raw_get` reads a path of the API server.

    The document has the members `issuer` (OpenID Connect Discovery 1.0) and `keys` (RFC 7517).
    """

    async def fetch() -> Mapping[str, Any]:
        discovery = json.loads(await raw_get("/.well-known/openid-configuration"))
        return {"issuer": discovery["issuer"], "keys": json.loads(await raw_get("/openid/v1/jwks"))["keys"]}

    return fetch


class ServiceAccountTokenError(Exception):
    """A ServiceAccount token that is not valid. `sentence` is for the caller; it reveals nothing of the token."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class TokenExpiredError(ServiceAccountTokenError):
    """An authentic token that has expired. `account` is its ServiceAccount, as `namespace/name`."""

    def __init__(self, account: str) -> None:
        super().__init__("The ServiceAccount token has expired; read the projected file again.")
        self.account = account


class OtherAudienceError(ServiceAccountTokenError):
    """A token of the cluster for another audience."""


class KeysPendingError(ServiceAccountTokenError):
    """The token names an unknown key, and too many requests wait for new ones. Retry after `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("The cluster's signing keys are about to be fetched again; try again in some seconds.")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class VerifiedAccount:
    """The ServiceAccount of a token, as `namespace/name`, and the end of its validity in seconds since the epoch."""

    account: str
    expires: float


NO_ACCOUNT: Final = VerifiedAccount("", 0.0)


class ServiceAccountVerifier:
    """Verifies tokens of one cluster. Run `refresh_keys` as a task.

    `fetch_keys` returns the JWKS document (RFC 7517) and may raise; see `cluster_keys`. `issuer` is the API server's
    `--service-account-issuer`; empty: the member `issuer` of the document. `clock` is seconds since the epoch,
    `monotonic` and `sleep` are in seconds.
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
        self._keys = RemoteKeySet(fetch_keys, name="the cluster", accepted=ALGORITHMS, monotonic=monotonic, sleep=sleep)
        self._clock = clock
        self._cache: BoundedCache[tuple[bytes, str], VerifiedAccount] = BoundedCache(
            max_entries=_CACHED_TOKENS, max_bytes=_CACHED_BYTES
        )

    @property
    def issuer(self) -> str:
        """The issuer of the cluster's tokens; empty until it is known."""
        return self._configured_issuer or str(self._keys.document.get("issuer") or "")

    @property
    def ready(self) -> bool:
        """Whether the issuer and the keys of the cluster are known."""
        return bool(self._keys.ready and self.issuer)

    @property
    def document(self) -> Mapping[str, Any]:
        """The cluster's present keys and issuer, all of it public."""
        return self._keys.document

    def use_keys(self, document: Mapping[str, Any]) -> None:
        """Use keys from before a restart until the API server responds."""
        self._keys.use(document)

    async def refresh_keys(self) -> None:
        """Fetch the keys as soon as the API server responds, and every hour, forever."""
        await self._keys.refresh_forever(max_backoff=_MAX_BACKOFF)

    async def load(self) -> bool:
        """Fetch the keys unless that was tried a moment ago; whether there are keys to verify with."""
        await self._keys.load()
        return self.ready

    async def verify(self, token: str, audience: str) -> str:
        """The ServiceAccount of a token for this audience, as `namespace/name`.

        Raises ServiceAccountTokenError for an absent or forged token, and its subclasses TokenExpiredError,
        OtherAudienceError and KeysPendingError.
        """
        return (await self.authenticate(token, audience)).account

    async def authenticate(self, token: str, audience: str) -> VerifiedAccount:
        """The ServiceAccount of a token for this audience. Raises like `verify`."""
        cached = self.cached(token, audience)
        if cached is not None:
            return cached
        verified = self._read(token, await self._key_of(token), audience)
        self._cache.put(_cache_key(token, audience), verified)
        return verified

    def cached(self, token: str, audience: str) -> VerifiedAccount | None:
        """The cached result of `authenticate`, if the token has not expired."""
        account = self._cache.get(_cache_key(token, audience))
        return account if account is not None and self.is_current(account) else None

    def is_current(self, account: VerifiedAccount) -> bool:
        """Whether the token of this account has not expired."""
        return account.expires > self._clock()

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
            key = await self._keys.key_for(header)
        except TooManyWaitersError as error:
            raise KeysPendingError(error.retry_after) from None
        if key is None:
            raise ServiceAccountTokenError(
                "The ServiceAccount token is signed by a key that this cluster does not publish."
            )
        return key, str(header["alg"])

    def _read(self, token: str, key: tuple[VerificationKey, str], audience: str) -> VerifiedAccount:
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
        # In this form NaN, for which every comparison is false, counts as expired.
        if not expires + _CLOCK_SKEW > now:
            raise TokenExpiredError(account)
        return VerifiedAccount(account, expires + _CLOCK_SKEW)


def _cache_key(token: str, audience: str) -> tuple[bytes, str]:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest(), audience


def _account(subject: str) -> str:
    namespace, separator, name = subject.removeprefix(_SUBJECT_PREFIX).partition(":")
    if not subject.startswith(_SUBJECT_PREFIX) or not separator or not namespace or not name:
        raise ServiceAccountTokenError("The token does not belong to a ServiceAccount.")
    return f"{namespace}/{name}"
