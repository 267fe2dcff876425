"""Verification of projected ServiceAccount tokens, by which Berth's processes prove who they are to each other.

Offline: the cluster's OIDC keys (`/openid/v1/jwks`) are read once and again when a token names an unknown key, so a
request never waits for the API server. Sources: Kubernetes "Service Account Issuer Discovery", RFC 7519 (JWT),
RFC 8725 (closed list of algorithms).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
import structlog

ALGORITHMS: Final = ("RS256", "ES256")
_SUBJECT_PREFIX: Final = "system:serviceaccount:"
_REFRESH_INTERVAL: Final = 10.0  # seconds between two reads of the keys, however many unknown key ids arrive
_FIRST_INTERVAL: Final = 1.0  # the same, as long as no keys are known at all
_CLOCK_SKEW: Final = 10.0  # seconds by which the clock of this node and the API server's may differ
_CACHE_SIZE: Final = 1024

FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]


def cluster_keys(raw_get: Callable[[str], Awaitable[bytes]]) -> FetchKeys:
    """Reads the keys and the issuer of a cluster from its API server, given a way to read one of its paths.

    The document has the members `issuer` (OpenID Connect Discovery 1.0) and `keys` (RFC 7517).
    """

    async def fetch() -> Mapping[str, Any]:
        discovery = json.loads(await raw_get("/.well-known/openid-configuration"))
        return {"issuer": discovery["issuer"], "keys": json.loads(await raw_get("/openid/v1/jwks"))["keys"]}

    return fetch


class NotServed(Exception):  # noqa: N818 - named for what it tells the caller
    """The caller did not prove who it is. `sentence` may be told to it; it holds nothing of the token."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class _Verified:
    account: str
    expires: float


class ServiceAccountVerifier:
    """Verifies tokens of one cluster.

    `fetch_keys` returns its JWKS document (RFC 7517) and may raise; see `cluster_keys`. `issuer` is the API server's
    `--service-account-issuer`; empty: what the document's member `issuer` says. `clock` is seconds since the epoch,
    `monotonic` seconds since any moment.
    """

    def __init__(
        self,
        *,
        issuer: str = "",
        fetch_keys: FetchKeys,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._learn_issuer = not issuer
        self._fetch_keys = fetch_keys
        self._clock = clock
        self._monotonic = monotonic
        self._keys: dict[str, jwt.PyJWK] = {}
        self._last_fetch: float | None = None
        self._fetching = asyncio.Lock()
        self._cache: OrderedDict[tuple[bytes, str], _Verified] = OrderedDict()
        self._log = structlog.get_logger("berth.serviceaccount")

    @property
    def ready(self) -> bool:
        """Whether the cluster's keys have been read at least once."""
        return bool(self._keys and self._issuer)

    async def load(self) -> bool:
        """Read the keys, unless that was tried a moment ago; true when there are keys to verify with."""
        await self._refresh()
        return self.ready

    async def verify(self, token: str, audience: str) -> str:
        """The ServiceAccount, as `namespace/name`, that holds this token for this audience.

        Raises `NotServed` with one sentence when there is no valid token: absent, forged, expired, or for others.
        """
        cache_key = (hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest(), audience)
        known = self._cache.get(cache_key)
        if known is not None and known.expires + _CLOCK_SKEW > self._clock():
            return known.account
        verified = self._read(token, await self._key_of(token), audience)
        self._remember(cache_key, verified)
        return verified.account

    async def _key_of(self, token: str) -> jwt.PyJWK:
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
        except (jwt.InvalidTokenError, ValueError):
            raise NotServed("This call needs a ServiceAccount token of one of Berth's processes.") from None
        if not isinstance(key_id, str) or not key_id:
            raise NotServed("The ServiceAccount token names no signing key (kid); use a projected token.")
        if key_id not in self._keys:
            await self._refresh()
        try:
            return self._keys[key_id]
        except KeyError:
            raise NotServed("The ServiceAccount token is signed by a key that this cluster does not publish.") from None

    async def _refresh(self) -> None:
        async with self._fetching:
            interval = _REFRESH_INTERVAL if self.ready else _FIRST_INTERVAL
            if self._last_fetch is not None and self._monotonic() - self._last_fetch < interval:
                return
            self._last_fetch = self._monotonic()
            try:
                document = await self._fetch_keys()
            except Exception as error:  # whatever the transport raises, the keys known so far go on serving
                self._log.warning(
                    "the cluster's ServiceAccount keys could not be read", error=f"{type(error).__name__}: {error}"
                )
                return
            self._keys = _usable_keys(document) or self._keys
            if self._learn_issuer:
                self._issuer = str(document.get("issuer") or self._issuer)

    def _read(self, token: str, key: jwt.PyJWK, audience: str) -> _Verified:
        try:
            claims = jwt.decode(
                token,
                key=key,
                algorithms=list(ALGORITHMS),
                audience=audience,
                issuer=[self._issuer],
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            expires, not_before = float(claims["exp"]), float(claims.get("nbf", 0))
        except jwt.InvalidAudienceError:
            raise NotServed(f"The ServiceAccount token is not meant for the audience {audience}.") from None
        except (jwt.InvalidTokenError, ValueError, TypeError):
            raise NotServed("The ServiceAccount token is not one that this cluster issued.") from None
        now = self._clock()
        if expires + _CLOCK_SKEW <= now or not_before > now + _CLOCK_SKEW:
            raise NotServed("The ServiceAccount token has expired; read the projected file again.")
        return _Verified(account=_account(claims["sub"]), expires=expires)

    def _remember(self, key: tuple[bytes, str], verified: _Verified) -> None:
        self._cache[key] = verified
        self._cache.move_to_end(key)
        while len(self._cache) > _CACHE_SIZE:
            self._cache.popitem(last=False)


def _account(subject: str) -> str:
    namespace, separator, name = subject.removeprefix(_SUBJECT_PREFIX).partition(":")
    if not subject.startswith(_SUBJECT_PREFIX) or not separator or not namespace or not name:
        raise NotServed("The token does not belong to a ServiceAccount.")
    return f"{namespace}/{name}"


def _usable_keys(document: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """Keys by id. A key of a kind that this service does not accept is left out, it spoils none of the others."""
    keys: dict[str, jwt.PyJWK] = {}
    entries = document.get("keys")
    for entry in entries if isinstance(entries, list) else []:
        try:
            key = jwt.PyJWK.from_dict(entry)
        except (jwt.PyJWTError, AttributeError):
            continue
        if key.key_id and key.algorithm_name in ALGORITHMS:
            keys[key.key_id] = key
    return keys
