"""Blobs of a repository, for whoever was allowed to read one of them a moment ago.

A client reads each layer of an image with the same token, and what decides is the same for all of them. A pass holds
for one generation of the policy, not beyond the first moment at which time alone may change it, and as long as the same
keys are trusted: none delays a revocation. Each use is a line of the audit log.
See docs/adr/0011-fast-path-for-token-and-authz.md.
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
from berth.services.access.deps import Deps
from berth.services.access.tokens.grant_cache import holds_until

_READS: Final = frozenset({"GET", "HEAD"})
_BLOBS: Final = "/blobs/sha256:"
_BLOB: Final = re.compile(r"/blobs/sha256:[0-9a-f]{64}")  # the whole rest of a target: neither query nor upload
_CACHED_PASSES: Final = 10_000
_CACHED_BYTES: Final = 64 * 1024 * 1024
_OBJECT_BYTES: Final = 512  # of an entry besides its texts


@dataclass(frozen=True, slots=True)
class _Pass:
    line: PreparedLine  # of the audit log
    base: str  # where the project's registry is
    generation: int  # of the policy
    loaded: int  # of the keys
    until: float  # seconds since the epoch


class BlobCache:
    """Keeps passes by `Authorization` header and by the part of the target that names the repository."""

    def __init__(self, deps: Deps, *, endpoint: str) -> None:
        self._deps = deps
        self._endpoint = endpoint
        self._passes: BoundedCache[tuple[str, str], _Pass] = BoundedCache(
            max_entries=_CACHED_PASSES, max_bytes=_CACHED_BYTES, size_of=_size_of_pass
        )

    def upstream(self, method: str, target: str, authorization: str, caller: Caller) -> str | None:
        """Where to forward this request, which is then noted as allowed; None when it has to be judged."""
        name, blobs, _ = target.partition(_BLOBS)
        found = self._passes.get((authorization, name)) if blobs and method in _READS else None
        if (
            found is None
            or found.generation != self._deps.snapshot().generation
            or found.loaded != self._deps.tokens.loaded
            or found.until <= self._deps.now().timestamp()
            or _BLOB.fullmatch(target, len(name)) is None
        ):
            return None
        self._deps.audit.prepared(found.line, caller)
        return found.base + target

    def keep(self, asked: RegistryRequest, authorization: str, judged: Authorized) -> None:
        """Remember that this was allowed, if it was reading a blob."""
        if asked.route is not Route.BLOB or asked.method not in _READS or asked.query:
            return
        now = self._deps.now()
        actor = actor_of(judged.snapshot, judged.token.identity, now)
        self._passes.put(
            (authorization, asked.target.partition(_BLOBS)[0]),
            _Pass(
                line=self._deps.audit.decision(
                    self._endpoint,
                    judged.token.identity,
                    action=asked.action.value,
                    repository=asked.name,
                    allowed=True,
                    reason=None,
                    generation=judged.snapshot.generation,
                ),
                base=self._deps.registry_base(asked.project),
                generation=judged.snapshot.generation,
                loaded=self._deps.tokens.loaded,
                until=min(judged.token.expires, holds_until(judged.snapshot, actor, now)),
            ),
        )


def _size_of_pass(key: tuple[str, str], value: _Pass) -> int:
    return sum(map(len, key)) + len(value.line) + _OBJECT_BYTES
