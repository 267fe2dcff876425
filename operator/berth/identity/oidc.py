"""Verification of access tokens of configured identity providers, offline except for the keys.

Each issuer has its own keys, fetched in advance. So an unreachable issuer only affects its own logins with a new key,
and their refusal names it. Sources: OpenID Connect Core 1.0 and Discovery 1.0, RFC 9068 (JWT access tokens), RFC 8725
(best practices), and for `email_verified` the Kubernetes documentation "Authenticating" (OpenID Connect Tokens).
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import jwt
import structlog

from berth.api.token import TokenScope
from berth.authz.model import ALL_SCOPES, CredentialKind, Identity
from berth.identity.jwks import FetchKeys, RemoteKeySet, VerificationKey
from berth.settings import OidcIssuer

ALGORITHMS: Final = ("RS256", "ES256", "PS256", "EdDSA")
LEEWAY: Final = 30.0  # seconds by which clocks may differ
KEY_MAX_AGE: Final = 24 * 3600.0
"""Seconds after which keys expire without a successful fetch: the issuer may have withdrawn one."""
_MAX_BACKOFF: Final = 60.0  # seconds between two fetches of the keys of an unreachable issuer
_MAX_NAME_LENGTH: Final = 253
_MAX_GROUP_CHARACTERS: Final = 4096  # of all groups together; they are part of the header of every request
_FETCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)  # seconds; a login waits for it
_MAX_DOCUMENT_BYTES: Final = 512 * 1024


class IssuerUnavailableError(Exception):
    """The key of a token is unknown and its issuer does not respond. `issuer` is its host name."""

    def __init__(self, issuer: str) -> None:
        super().__init__(f"{issuer} cannot be reached")
        self.issuer = issuer


class _InvalidTokenError(ValueError):
    """A token that is not of this issuer for this registry, or that has unusable claims."""


def discovered_keys(issuer: OidcIssuer, get_json: Callable[[str], Awaitable[Mapping[str, Any]]]) -> FetchKeys:
    """A function that fetches an issuer's keys by discovery. `get_json` reads a JSON document at an address."""

    async def fetch() -> Mapping[str, Any]:
        url = issuer.discovery_url or issuer.issuer.rstrip("/") + "/.well-known/openid-configuration"
        discovery = await get_json(url)
        if discovery.get("issuer") != issuer.issuer:
            raise ValueError("the discovery document is another issuer's")
        keys_url = str(discovery["jwks_uri"])
        if urlsplit(url).scheme == "https" and urlsplit(keys_url).scheme != "https":
            raise ValueError("jwks_uri is not an https:// address")
        return {"issuer": issuer.issuer, "keys": (await get_json(keys_url))["keys"]}

    return fetch


class OidcAuthenticator:
    """Verifies tokens of the configured issuers. Run `refresh_keys` as a task.

    `fetch_keys` returns the function that fetches the keys of an issuer. `clock` is seconds since the epoch, `sleep`
    takes seconds.
    """

    def __init__(
        self,
        issuers: Iterable[OidcIssuer],
        *,
        fetch_keys: Callable[[OidcIssuer], FetchKeys],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._log = structlog.get_logger("berth.identity.oidc")
        self._issuers = {
            issuer.issuer: (
                issuer,
                RemoteKeySet(
                    fetch_keys(issuer),
                    name=issuer.issuer,
                    accepted=ALGORITHMS,
                    monotonic=monotonic,
                    sleep=sleep,
                    max_age=KEY_MAX_AGE,
                ),
            )
            for issuer in issuers
        }

    async def refresh_keys(self) -> None:
        """Fetch the keys of every issuer now and every hour, independently of each other, forever."""
        async with asyncio.TaskGroup() as tasks:
            for name, (_, keys) in self._issuers.items():
                tasks.create_task(keys.refresh_forever(max_backoff=_MAX_BACKOFF), name=f"keys of {name}")

    def has_issuer(self, issuer: str) -> bool:
        """Whether this issuer is configured."""
        return issuer in self._issuers

    async def identify(self, token: str, issuer: str) -> Identity | None:
        """The identity of a token of a configured issuer; None when the token is not valid.

        An expired token has an identity whose `expires_at` has passed. Raises IssuerUnavailableError when the key is
        unknown and the issuer does not respond, and TooManyWaitersError.
        """
        settings, keys = self._issuers[issuer]
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, ValueError):
            return None
        if not _meant_for(token, settings.audience):
            return None
        try:
            claims = await self._claims(settings, keys, token, header)
            return self._identity(settings, claims)
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError) as refused:
            self._log.info("token refused", issuer=issuer, reason=type(refused).__name__)
            return None

    async def _claims(
        self, settings: OidcIssuer, keys: RemoteKeySet, token: str, header: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The verified claims of a token. Raises jwt.InvalidTokenError, ValueError and IssuerUnavailableError."""
        while True:
            key = await keys.key_for(header)
            if key is not None:
                try:
                    return _decoded(settings, token, key, header["alg"])
                except jwt.InvalidSignatureError:
                    if "kid" in header:
                        raise
                if await keys.was_replaced(key):
                    continue
            if not keys.reachable:
                raise IssuerUnavailableError(urlsplit(settings.issuer).hostname or settings.issuer)
            raise _InvalidTokenError

    def _identity(self, settings: OidcIssuer, claims: Mapping[str, Any]) -> Identity:
        name = settings.username_prefix + _username(settings, claims)
        if float(claims.get("nbf", 0)) > self._clock() + LEEWAY:
            raise _InvalidTokenError
        return Identity(
            CredentialKind.OIDC,
            name=name,
            scopes=_scopes(settings, claims),
            groups=self._groups(settings, claims),
            expires_at=datetime.fromtimestamp(float(claims["exp"]) + LEEWAY, UTC),
        )

    def _groups(self, settings: OidcIssuer, claims: Mapping[str, Any]) -> frozenset[str]:
        """The first groups of the token, up to the size limit. Dropped groups are logged."""
        kept: list[str] = []
        size = 0
        for group in _words(claims.get(settings.groups_claim), separator=None) if settings.groups_claim else ():
            name = settings.groups_prefix + group
            size += len(name)
            if size > _MAX_GROUP_CHARACTERS:
                self._log.warning("token has too many groups", issuer=settings.issuer, kept=len(kept))
                break
            if group and name.isprintable():
                kept.append(name)
        return frozenset(kept)


def _decoded(settings: OidcIssuer, token: str, key: VerificationKey, algorithm: str) -> Mapping[str, Any]:
    """The claims of a token with a valid signature, issuer and audience. Its times are not checked."""
    return jwt.decode(
        token,
        key=key.public,
        algorithms=[algorithm],
        audience=settings.audience,
        issuer=[settings.issuer],
        options={"require": ["exp", "iss", "aud"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )


def unverified_issuer(token: str) -> str:
    """The issuer that a JWT names, without verification; empty when it is no JWT."""
    issuer = _unverified(token).get("iss")
    return issuer if isinstance(issuer, str) else ""


def _meant_for(token: str, audience: str) -> bool:
    """Whether a token names this audience, without verification. Any other is refused without a key."""
    audiences = _unverified(token).get("aud")
    return audience in audiences if isinstance(audiences, list) else audience == audiences


def _unverified(token: str) -> Mapping[str, Any]:
    if not token.startswith("eyJ") or token.count(".") != 2:
        return {}
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _username(settings: OidcIssuer, claims: Mapping[str, Any]) -> str:
    name = claims.get(settings.username_claim)
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME_LENGTH or not name.isprintable():
        raise _InvalidTokenError
    if settings.username_claim == "email" and claims.get("email_verified", True) is not True:
        raise _InvalidTokenError
    return name


def _scopes(settings: OidcIssuer, claims: Mapping[str, Any]) -> frozenset[TokenScope]:
    if not settings.scopes_claim or settings.scopes_claim not in claims:
        return ALL_SCOPES
    words = set(_words(claims[settings.scopes_claim], separator=" "))
    return frozenset(scope for scope in TokenScope if settings.scopes_prefix + scope.value in words)


def _words(value: object, *, separator: str | None) -> list[str]:
    """The strings of a claim: a list of strings, or one string, which is split at the separator if there is one."""
    if isinstance(value, str):
        return value.split(separator) if separator else [value]
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def issuer_keys(session: aiohttp.ClientSession, issuer: OidcIssuer) -> FetchKeys:
    """A function that fetches an issuer's keys over HTTP. It trusts the configured CAs, or else the public ones."""

    async def get_json(url: str) -> Mapping[str, Any]:
        # Read again each time, because a mounted bundle can be replaced.
        trust = ssl.create_default_context(cafile=str(issuer.ca_file) if issuer.ca_file else None)
        async with session.get(url, ssl=trust, timeout=_FETCH_TIMEOUT, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            content = await response.content.read(_MAX_DOCUMENT_BYTES + 1)
            while len(content) <= _MAX_DOCUMENT_BYTES and (
                more := await response.content.read(_MAX_DOCUMENT_BYTES + 1)
            ):
                content += more
            if len(content) > _MAX_DOCUMENT_BYTES:
                raise ValueError("the document is too large")
            document = json.loads(content)
        if not isinstance(document, dict):
            raise TypeError("the document is no JSON object")
        return document

    return discovered_keys(issuer, get_json)
