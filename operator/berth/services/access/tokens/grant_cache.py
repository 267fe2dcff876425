"""Token requests that were answered before: what they are granted, and for a few seconds the answer itself.

The key is a digest of the credential and of what was asked, so that no secret is kept. What is found holds for one
generation of the policy alone, and not beyond the moment from which on time may change it: a cache never delays
a revocation.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from berth.api.reasons import Reason
from berth.authz.actor import Actor, unchanged_until
from berth.authz.model import CredentialKind, Identity, Snapshot
from berth.runtime.bounded_cache import BoundedCache
from berth.services.access.audit import PreparedLine
from berth.services.access.http.messages import Response
from berth.services.access.tokens.claims import Claims

REUSED_SECONDS: Final = 5.0
"""How long an answer is given again. Whoever reckons its token's end from when it came is late by that at most."""
KEPT: Final = frozenset({CredentialKind.NONE, CredentialKind.ACCESS_TOKEN, CredentialKind.SERVICE_ACCOUNT})
"""Credentials whose requests are kept: those that the policy and their own end say everything about. What an identity
provider says of its tokens may change with its keys, and passwords are held against the limits each time."""
_CACHED_GRANTS: Final = 10_000
_CACHED_RESPONSES: Final = 2_000  # of about 4 KiB each
_CACHED_BYTES: Final = 32 * 1024 * 1024  # of each of the two
_OBJECT_BYTES: Final = 1024  # of an entry besides its texts


def holds_until(snapshot: Snapshot, actor: Actor, now: datetime) -> float:
    """Until when time alone changes nothing of what this actor may do: seconds since the epoch, infinity for never."""
    end = unchanged_until(snapshot, actor, now)
    return end.timestamp() if end is not None else math.inf


@dataclass(frozen=True, slots=True)
class CachedGrant:
    """What was found out about one credential and its scopes. `until` is seconds since the epoch."""

    identity: Identity
    claims: Claims
    failure: Reason | None
    line: PreparedLine  # of the audit log
    generation: int
    until: float


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """An answer, the grant that it is for, the leaf that signed it, and how long it is given again."""

    grant: CachedGrant
    answer: Response
    leaf: str
    until: float


class GrantCache:
    """Keeps grants by credential and scopes, and answers by credential and query."""

    def __init__(self, *, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._salt = random_bytes(32)
        self.grants: BoundedCache[bytes, CachedGrant] = BoundedCache(
            max_entries=_CACHED_GRANTS, max_bytes=_CACHED_BYTES, size_of=_size_of_grant
        )
        self.answers: BoundedCache[bytes, CachedResponse] = BoundedCache(
            max_entries=_CACHED_RESPONSES, max_bytes=_CACHED_BYTES, size_of=_size_of_response
        )

    def key(self, authorization: str, asked: str) -> bytes:
        """The key of a credential, as its header says it, together with what is asked."""
        # No header holds a line feed, so the two can not run into each other.
        text = f"{authorization}\n{asked}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=16, key=self._salt).digest()


def _size_of_grant(_key: bytes, grant: CachedGrant) -> int:
    return len(grant.claims.rest) + len(grant.line) + _OBJECT_BYTES


def _size_of_response(_key: bytes, response: CachedResponse) -> int:
    return len(response.answer.body) + len(response.leaf) + _OBJECT_BYTES
