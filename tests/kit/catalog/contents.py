"""Manifests to push, and a catalog with a clock and ids that the test controls."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from berth.catalog.db.database import Database
from berth.catalog.index import queries
from berth.catalog.index.write_log import WriteLog
from berth.catalog.model import Intent, RepositoryKey, RepositoryView, Tag, TagMove, WriteKind
from berth.catalog.sync.align import SyncDeps
from berth.oci import manifest as manifests
from berth.registry.client import RegistryClient

ALIGNER = RepositoryKey("genomics", "tools/aligner")


def image(*, size: int = 1000, salt: str = "", **more: Any) -> bytes:
    """An OCI manifest of one layer."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": manifests.OCI_MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": "sha256:" + hashlib.sha256(salt.encode()).hexdigest(),
                "size": 10,
            },
            "layers": [
                {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:" + "b" * 64, "size": size}
            ],
            **more,
        }
    ).encode()


def index(*children: bytes) -> bytes:
    """An OCI index over manifests."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": manifests.OCI_INDEX,
            "manifests": [
                {"mediaType": manifests.OCI_MANIFEST, "digest": digest(child), "size": len(child)} for child in children
            ],
        }
    ).encode()


def digest(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


@dataclass
class Catalog:
    """A write log on a database, queries on it, a clock that the test moves, and the repositories that changed."""

    database: Database
    now: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)
    changed: list[RepositoryKey] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=itertools.count)
    on_change: Callable[[RepositoryKey], None] | None = None

    def __post_init__(self) -> None:
        self.write_log = WriteLog(
            self.database,
            now=lambda: self.now,
            new_id=lambda: f"write-{next(self.ids)}",
            on_change=self._changed,
        )

    def _changed(self, key: RepositoryKey) -> None:
        self.changed.append(key)
        if self.on_change is not None:
            self.on_change(key)

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)

    async def announce(
        self,
        body: bytes,
        reference: str | None = None,
        *,
        key: RepositoryKey = ALIGNER,
        by: str = "curator",
        kind: WriteKind = WriteKind.PUSH,
    ) -> str:
        media_type = json.loads(body)["mediaType"]
        return await self.write_log.announce(
            Intent(kind, key, reference or digest(body), digest(body), media_type, by, "docker/29.0")
        )

    async def push(
        self, body: bytes, reference: str | None = None, *, key: RepositoryKey = ALIGNER, by: str = "curator"
    ) -> None:
        """A push as it goes when all is well, a second after the one before."""
        self.advance(seconds=1)
        await self.write_log.commit(await self.announce(body, reference, key=key, by=by), body)

    async def delete(self, reference: str, *, key: RepositoryKey = ALIGNER, by: str = "curator") -> None:
        self.advance(seconds=1)
        known = reference if ":" in reference else None
        await self.write_log.commit(
            await self.write_log.announce(Intent(WriteKind.DELETE, key, reference, known, "", by, "crane"))
        )

    async def view(self, key: RepositoryKey = ALIGNER) -> RepositoryView:
        async with self.database.reading() as session:
            found = await queries.repository_view(session, key)
        assert found is not None, f"nothing is recorded of {key.name}"
        return found

    async def tags(self, key: RepositoryKey = ALIGNER) -> dict[str, Tag]:
        async with self.database.reading() as session:
            row = await queries.repository_id(session, key)
            return {tag.name: tag for tag in await queries.tags(session, row)} if row is not None else {}

    async def history(self, tag: str | None = None, key: RepositoryKey = ALIGNER) -> Sequence[TagMove]:
        async with self.database.reading() as session:
            row = await queries.repository_id(session, key)
            return await queries.history(session, row, tag) if row is not None else []


def sync_deps(catalog: Catalog, client: RegistryClient) -> SyncDeps:
    """What a sync run needs, with the registry of that client; writes are overdue after 60 s."""
    return SyncDeps(
        catalog.database,
        lambda _project: client,
        now=lambda: catalog.now,
        timeout=timedelta(seconds=60),
        on_change=catalog.changed.append,
    )
