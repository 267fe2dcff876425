"""Registry tokens for Berth's own processes, asked from `access` as any client asks.

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

_RENEW_BEFORE: Final = 30.0  # seconds before its end at which a token is used no longer
_CACHED_TOKENS: Final = 256
_CACHED_BYTES: Final = 8 * 1024 * 1024
_TIMEOUT: Final = aiohttp.ClientTimeout(total=15)
_ANSWER_LIMIT: Final = 64 * 1024  # bytes
_ACCOUNT: Final = "berth"  # the user name does not matter beside a ServiceAccount token


class TokenSource(Protocol):
    """Where a registry client gets its tokens."""

    async def token(self, scopes: tuple[str, ...]) -> str | None:
        """A token for these scopes; None where the registry asks for none. Raises RegistryError."""
        ...

    def forget(self, scopes: tuple[str, ...]) -> None:
        """The registry refused the token: get a new one next time."""
        ...


@dataclass(frozen=True, slots=True)
class _Held:
    token: str = field(repr=False)
    renew_at: float


class AccessTokens:
    """Tokens from `access`, kept until shortly before they end.

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
        self._held: BoundedCache[tuple[str, ...], _Held] = BoundedCache(
            max_entries=_CACHED_TOKENS, max_bytes=_CACHED_BYTES
        )

    async def token(self, scopes: tuple[str, ...]) -> str | None:
        """A token for these scopes. It may grant less than was asked; the registry tells then."""
        held = self._held.get(scopes)
        if held is not None and self._monotonic() < held.renew_at:
            return held.token
        asked_at = self._monotonic()
        answer = await self._ask(scopes)
        token, life = answer.get("token"), answer.get("expires_in")
        if not isinstance(token, str) or not isinstance(life, int):
            raise RegistryUnavailableError(
                "The access service answered a token request with something that is no token."
            )
        self._held.put(scopes, _Held(token, asked_at + life - _RENEW_BEFORE))
        return token

    def forget(self, scopes: tuple[str, ...]) -> None:
        """Ask anew next time."""
        self._held.pop(scopes)

    async def _ask(self, scopes: tuple[str, ...]) -> dict[str, Any]:
        try:
            credentials = aiohttp.encode_basic_auth(_ACCOUNT, self._service_token())
        except OSError as error:
            raise RegistryUnavailableError(
                f"The ServiceAccount token for the access service can not be read: {error.strerror}."
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
                body = await response.content.read(_ANSWER_LIMIT)
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
