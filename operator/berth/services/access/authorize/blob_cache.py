"""Cache of allowed blob reads, by token and repository.

A client reads each layer of an image with the same token, and the decision is the same for all of them. Each use is a
line of the audit log. Why: docs/adr/0011-fast-path-for-token-and-authz.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from berth.authz.actor import actor_of
from berth.identity.gateway_caller import Caller
from berth.oci.request import RegistryRequest, Route
from berth.runtime.bounded_cache import BoundedCache
from berth.services.access.audit import PreparedLine
from berth.services.access.authorize.authorizer import Authorized
from berth.services.access.decision_log import DecisionLog
from berth.services.access.deps import Deps
from berth.services.access.tokens.validity import Validity, validity_of

_READS: Final = frozenset({"GET", "HEAD"})
_BLOBS: Final = "/blobs/sha256:"
_BLOB: Final = re.compile(r"/blobs/sha256:[0-9a-f]{64}")  # the whole rest of a target: no query, no upload
_CACHED_READS: Final = 10_000
_CACHED_BYTES: Final = 64 * 1024 * 1024
_OBJECT_BYTES: Final = 512  # of an entry besides its texts


@dataclass(frozen=True, slots=True)
class _AllowedReads:
    """Reads of the blobs of one repository."""

    line: PreparedLine
    base: str  # address of the project's registry
    validity: Validity


class BlobCache:
    """Keeps allowed reads by `Authorization` header and repository."""

    def __init__(self, deps: Deps, *, endpoint: str) -> None:
        self._deps = deps
        self._log = DecisionLog(deps.audit, deps.metrics, endpoint=endpoint)
        self._reads: BoundedCache[tuple[str, str], _AllowedReads] = BoundedCache(
            max_entries=_CACHED_READS, max_bytes=_CACHED_BYTES, size_of=_size_of
        )

    def upstream(self, method: str, target: str, authorization: str, caller: Caller) -> str | None:
        """Record a request that the cache allows, and return its upstream; else None."""
        name, blobs, _ = target.partition(_BLOBS)
        cached = self._reads.get((authorization, name)) if blobs and method in _READS else None
        if cached is None or not self._deps.holds(cached.validity) or _BLOB.fullmatch(target, len(name)) is None:
            return None
        self._log.repeat(cached.line, caller)
        return cached.base + target

    def put(self, request: RegistryRequest, authorization: str, authorized: Authorized) -> None:
        """Cache that this request was allowed, if it reads a blob."""
        if request.route is not Route.BLOB or request.method not in _READS or request.query:
            return
        snapshot, token, now = authorized.snapshot, authorized.token, self._deps.now()
        line = self._log.prepare(
            token.identity, action=request.action.value, repository=request.name, generation=snapshot.generation
        )
        actor = actor_of(snapshot, token.identity, now)
        validity = validity_of(snapshot, actor, self._deps.tokens.key_generation, now, end=token.expires)
        self._reads.put(
            (authorization, request.target.partition(_BLOBS)[0]),
            _AllowedReads(line, self._deps.registry_base(request.project), validity),
        )


def _size_of(key: tuple[str, str], reads: _AllowedReads) -> int:
    return sum(map(len, key)) + len(reads.line) + _OBJECT_BYTES
