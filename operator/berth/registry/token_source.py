"""Registry tokens for Berth's own processes, requested from `access` like by any client.

Source: Distribution "Token Authentication Specification" (GET with HTTP Basic, `token`, `expires_in`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import aiohttp

from berth.registry.errors import RegistryRefusedError, RegistryUnavailableError
from berth.runtime.bounded_cache import BoundedCache

_RENEW_BEFORE_EXPIRY: Final = 30.0  # seconds
_CACHED_TOKENS: Final = 256
_CACHED_BYTES: Final = 8 * 1024 * 1024
_TIMEOUT: Final = aiohttp.ClientTimeout(total=15)
_MAX_RESPONSE_BYTES: Final = 64 * 1024
_USER: Final = "berth"  # ignored, because the password is a ServiceAccount token


class TokenSource(Protocol):
    """Source of a registry client's tokens."""

    async def token(self, scopes: tuple[str, ...]) -> str | None:
        """A token for these scopes; None for a registry without authentication. Raises RegistryError."""
        ...

    def forget(self, scopes: tuple[str, ...]) -> None:
        """Forget the cached token, which the registry refused."""
        ...


@dataclass(frozen=True, slots=True)
class _CachedToken:
    token: str = field(repr=False)
    renew_at: float


class RegistryTokenSource:
    """Tokens from `access`, cached until shortly before they expire.

    `service_token` reads the present ServiceAccount token (audience `berth-access`); `monotonic` is in seconds.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        access_url: str,
        service_token: Callable[[], str],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._url = access_url.rstrip("/") + "/token"
        self._service_token = service_token
        self._monotonic = monotonic
        self._cache: BoundedCache[tuple[str, ...], _CachedToken] = BoundedCache(
            max_entries=_CACHED_TOKENS, max_bytes=_CACHED_BYTES
        )

    async def token(self, scopes: tuple[str, ...]) -> str | None:
        """A token for these scopes. It can grant less than requested; then the registry refuses."""
        cached = self._cache.get(scopes)
        if cached is not None and self._monotonic() < cached.renew_at:
            return cached.token
        requested_at = self._monotonic()
        document = await self._request(scopes)
        token, lifetime = document.get("token"), document.get("expires_in")
        if not isinstance(token, str) or not isinstance(lifetime, int):
            raise RegistryUnavailableError("The access service answered a token request without a token.")
        self._cache.put(scopes, _CachedToken(token, requested_at + lifetime - _RENEW_BEFORE_EXPIRY))
        return token

    def forget(self, scopes: tuple[str, ...]) -> None:
        """Request a new token next time."""
        self._cache.pop(scopes)

    async def _request(self, scopes: tuple[str, ...]) -> dict[str, Any]:
        try:
            credentials = aiohttp.encode_basic_auth(_USER, self._service_token())
        except OSError as error:
            raise RegistryUnavailableError(
                f"The ServiceAccount token for the access service cannot be read: {error.strerror}."
            ) from None
        query = [("scope", scope) for scope in scopes]
        try:
            async with self._session.get(
                self._url,
                params=query,
                headers={"Authorization": credentials},
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as response:
                body = await response.content.read(_MAX_RESPONSE_BYTES)
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RegistryUnavailableError(
                f"The access service gave no token, because it did not answer: {type(error).__name__}."
            ) from None
        if status != 200:
            kind = RegistryRefusedError if status in (401, 403) else RegistryUnavailableError
            raise kind(
                f"The access service refused a token for {', '.join(scopes)} with status {status}.", status=status
            )
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        return document if isinstance(document, dict) else {}
