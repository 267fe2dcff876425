"""Access tokens of configured identity providers, verified here and offline but for the keys.

Each issuer has keys of its own, read ahead, so one that can not be reached harms its own logins alone, those with a
key that nobody has heard of yet, and they say so. Sources:
OpenID Connect Core 1.0 and Discovery 1.0, RFC 9068 (JWT access tokens), RFC 8725 (best practices), and for
`email_verified` the Kubernetes documentation "Authenticating" (OpenID Connect Tokens).
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
from berth.identity.jwks import FetchKeys, KeyRing, VerificationKey
from berth.settings import OidcIssuer

ALGORITHMS: Final = ("RS256", "ES256", "PS256", "EdDSA")
LEEWAY: Final = 30.0  # seconds by which clocks may differ
KEYS_GOOD_FOR: Final = 24 * 3600.0
"""Seconds for which keys count that can not be read again: the issuer may have withdrawn one."""
_LONGEST_PAUSE: Final = 60.0  # seconds between two tries to read the keys of an issuer that is away
_LONGEST_NAME: Final = 253
_MOST_GROUP_CHARACTERS: Final = 4096  # of all groups together; they travel in the header of every request


class IssuerUnavailableError(Exception):
    """The issuer could not be asked for the key that a token names. `issuer` is its host name."""

    def __init__(self, issuer: str) -> None:
        super().__init__(f"{issuer} can not be reached")
        self.issuer = issuer


class _InvalidTokenError(ValueError):
    """The token is not one of this issuer for this registry, or it says nothing that could be used."""


def oidc_keys(issuer: OidcIssuer, get_json: Callable[[str], Awaitable[Mapping[str, Any]]]) -> FetchKeys:
    """Reads an issuer's keys by discovery, given a way to read JSON at an address."""

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


class OidcLogins:
    """Verifies tokens of the configured issuers.

    `fetch_keys` gives for each issuer the way to read its keys; `clock` is seconds since the epoch, `sleep` takes
    seconds. `keep` it as a task.
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
        self._log = structlog.get_logger("berth.access.oidc")
        self._issuers = {
            issuer.issuer: (
                issuer,
                KeyRing(
                    fetch_keys(issuer),
                    name=issuer.issuer,
                    accepted=ALGORITHMS,
                    monotonic=monotonic,
                    sleep=sleep,
                    good_for=KEYS_GOOD_FOR,
                ),
            )
            for issuer in issuers
        }

    async def keep(self) -> None:
        """Read the keys of every issuer now and every hour, for ever; none of them waits for another."""
        async with asyncio.TaskGroup() as keepers:
            for name, (_, ring) in self._issuers.items():
                keepers.create_task(ring.keep(longest_pause=_LONGEST_PAUSE), name=f"keys of {name}")

    def knows(self, issuer: str) -> bool:
        """Whether tokens of this issuer are for here to judge."""
        return issuer in self._issuers

    async def identify(self, token: str, issuer: str) -> Identity | None:
        """Whom this token of this known issuer proves, until `expires_at`, be that over; None when it proves nobody.

        Raises IssuerAway when its key is not known and the issuer does not answer, and TooManyWait when too many
        others wait already to hear of a key that is not known.
        """
        settings, ring = self._issuers[issuer]
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, ValueError):
            return None
        if not _meant_for(token, settings.audience):
            return None
        try:
            claims = await self._claims(settings, ring, token, header)
            return self._identity(settings, claims)
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError) as refused:
            self._log.info("token refused", issuer=issuer, reason=type(refused).__name__)
            return None

    async def _claims(
        self, settings: OidcIssuer, ring: KeyRing, token: str, header: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """What the token says, by a key of its issuer. Raises what makes it none of this issuer, and IssuerAway."""
        while True:
            key = await ring.find(header)
            if key is not None:
                try:
                    return _decoded(settings, token, key, header["alg"])
                except jwt.InvalidSignatureError:
                    if "kid" in header:
                        raise
                if await ring.replaced(key):
                    continue
            if not ring.reachable:
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
        """The groups in their order, as many as a token can carry; the rest count for nothing, which is logged."""
        kept: list[str] = []
        size = 0
        for group in _words(claims.get(settings.groups_claim), separator=None) if settings.groups_claim else ():
            name = settings.groups_prefix + group
            size += len(name)
            if size > _MOST_GROUP_CHARACTERS:
                self._log.warning("a token names too many groups", issuer=settings.issuer, kept=len(kept))
                break
            if group and name.isprintable():
                kept.append(name)
        return frozenset(kept)


def _decoded(settings: OidcIssuer, token: str, key: VerificationKey, algorithm: str) -> Mapping[str, Any]:
    """The claims of a token whose signature, issuer and audience are right. Its times are for others to judge."""
    return jwt.decode(
        token,
        key=key.public,
        algorithms=[algorithm],
        audience=settings.audience,
        issuer=[settings.issuer],
        options={"require": ["exp", "iss", "aud"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )


def unverified_issuer(token: str) -> str:
    """What a JWT says of its issuer, to find who may verify it; empty when it is no JWT. Nothing is proved by it."""
    issuer = _unverified(token).get("iss")
    return issuer if isinstance(issuer, str) else ""


def _meant_for(token: str, audience: str) -> bool:
    """Whether a token says itself that it is for this audience: one that does not needs no key to be refused."""
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
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
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
    """The strings of a claim that is a list of them or one of them (with a separator: of words in it)."""
    if isinstance(value, str):
        return value.split(separator) if separator else [value]
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)  # seconds; a login waits for it


_LARGEST: Final = 512 * 1024  # bytes of one document


def fetching_keys(session: aiohttp.ClientSession, issuer: OidcIssuer) -> FetchKeys:
    """The way to read this issuer's keys, trusting the CAs that it is configured with, or else the public ones."""

    async def get_json(url: str) -> Mapping[str, Any]:
        # Read anew each time, for a mounted bundle may be replaced.
        trust = ssl.create_default_context(cafile=str(issuer.ca_file) if issuer.ca_file else None)
        async with session.get(url, ssl=trust, timeout=_TIMEOUT, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            content = await response.content.read(_LARGEST + 1)
            while len(content) <= _LARGEST and (more := await response.content.read(_LARGEST + 1)):
                content += more
            if len(content) > _LARGEST:
                raise ValueError("the document is too large")
            document = json.loads(content)
        if not isinstance(document, dict):
            raise TypeError("the document is no JSON object")
        return document

    return oidc_keys(issuer, get_json)
