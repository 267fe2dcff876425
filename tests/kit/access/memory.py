"""A catalog and registries in memory: they keep what they receive, and are unavailable when a test says so."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from berth.services.access.http.messages import Response
from berth.services.access.upstream.ports import CatalogUnavailableError, RegistryUnreachableError, WriteIntent


@dataclass
class MemoryCatalog:
    """A catalog that keeps writes, by id, with their state."""

    away: bool = False
    away_for_commits: bool = False
    writes: dict[str, dict[str, Any]] = field(default_factory=dict)
    pushed: set[tuple[str, str]] = field(default_factory=set)  # what no object of the policy shows yet
    queried: list[str] = field(default_factory=list)
    attached: list[dict[str, Any]] = field(default_factory=list)

    async def announce(self, intent: WriteIntent) -> str:
        if self.away:
            raise CatalogUnavailableError
        write_id = f"w{len(self.writes) + 1}"
        self.writes[write_id] = {"intent": intent, "state": "open"}
        return write_id

    async def commit(self, write_id: str, manifest: bytes | None) -> None:
        if self.away or self.away_for_commits:
            raise CatalogUnavailableError
        self.writes[write_id].update(state="committed", manifest=manifest)

    async def abandon(self, write_id: str) -> None:
        self.writes[write_id]["state"] = "abandoned"

    async def referrers(self, project: str, repository: str, digest: str) -> Sequence[Mapping[str, Any]]:
        if self.away:
            raise CatalogUnavailableError
        return [entry for entry in self.attached if entry["subject"] == (project, repository, digest)]

    async def has_content(self, project: str, repository: str) -> bool:
        self.queried.append(f"{project}/{repository}")
        if self.away:
            raise CatalogUnavailableError
        return (project, repository) in self.pushed

    @property
    def states(self) -> list[str]:
        """The states of all writes in order."""
        return [write["state"] for write in self.writes.values()]


@dataclass
class MemoryRegistries:
    """Registries that keep manifests; `response` overrides their responses, `away` makes them unreachable."""

    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    response: Response | None = None
    away: RegistryUnreachableError | None = None
    catalog_seen: list[str] = field(default_factory=list)

    async def forward(
        self, project: str, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response:
        self.tokens.append(headers["authorization"])
        if self.away is not None:
            raise self.away
        if self.response is not None:
            return self.response
        if method == "DELETE":
            self.manifests.pop((project, target), None)
            return Response(202)
        assert body is not None
        self.manifests[project, target] = body
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        return Response(201, (("location", f"{target}@{digest}"), ("docker-content-digest", digest)))
