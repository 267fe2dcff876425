"""Cache of grants, and for a few seconds of token responses.

Keys are digests of the credential and the requested scopes, so that no secret is kept. Cached by credential and scopes
for access tokens, ServiceAccount tokens and anonymous requests.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from berth.api.reasons import Reason
from berth.authz.model import CredentialKind, Identity
from berth.runtime.bounded_cache import BoundedCache
from berth.services.access.audit import PreparedLine
from berth.services.access.http.messages import Response
from berth.services.access.tokens.claims import Claims
from berth.services.access.tokens.validity import Validity

RESPONSE_SECONDS: Final = 5.0
"""How long a response is reused. A client that counts the token's lifetime from its arrival is late by that at most."""
CACHEABLE: Final = frozenset({CredentialKind.NONE, CredentialKind.ACCESS_TOKEN, CredentialKind.SERVICE_ACCOUNT})
"""Credentials that the policy and their own expiry alone decide on. An identity provider may change its keys, and each
password counts towards the login limits."""
_CACHED_GRANTS: Final = 10_000
_CACHED_RESPONSES: Final = 2_000  # of about 4 KiB each
_CACHED_BYTES: Final = 32 * 1024 * 1024  # of each of the two
_OBJECT_BYTES: Final = 1024  # of an entry besides its texts


@dataclass(frozen=True, slots=True)
class CachedGrant:
    """What a credential is granted for some scopes."""

    identity: Identity
    claims: Claims
    failure: Reason | None
    line: PreparedLine
    validity: Validity


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A response, the grant in it, and how long it is reused."""

    grant: CachedGrant
    response: Response
    validity: Validity


class GrantCache:
    """Keeps grants by credential and scopes, and responses by credential and query."""

    def __init__(self, *, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._salt = random_bytes(32)
        self.grants: BoundedCache[bytes, CachedGrant] = BoundedCache(
            max_entries=_CACHED_GRANTS, max_bytes=_CACHED_BYTES, size_of=_size_of_grant
        )
        self.responses: BoundedCache[bytes, CachedResponse] = BoundedCache(
            max_entries=_CACHED_RESPONSES, max_bytes=_CACHED_BYTES, size_of=_size_of_response
        )

    def key(self, authorization: str, requested: str) -> bytes:
        """The key of a credential, as in its header, with the scopes or the query."""
        # No header has a line feed, so the two cannot run into each other.
        text = f"{authorization}\n{requested}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=16, key=self._salt).digest()


def _size_of_grant(_key: bytes, grant: CachedGrant) -> int:
    return len(grant.claims.rest) + len(grant.line) + _OBJECT_BYTES


def _size_of_response(_key: bytes, cached: CachedResponse) -> int:
    return len(cached.response.body) + _OBJECT_BYTES
