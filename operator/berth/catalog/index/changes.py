"""Changes to the index: pushes, deletes and corrections.

Every function takes the session of a transaction that the caller opened. The row of a repository is locked first, so
that changes of one repository happen one after another in all replicas.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from berth.catalog.db.schema import Base, ManifestRow, ProjectRow, RepositoryRow, TagEventRow, TagRow
from berth.catalog.model import Cause, RepositoryKey
from berth.oci.manifest import Manifest

ANNOTATIONS_LIMIT: Final = 8 * 1024
"""Bytes of JSON stored of a manifest's annotations, in the order of their names; the rest is dropped."""

_MAX_VARIABLES: Final = 1000  # in one statement; SQLite accepts 32766, an index of 4 MiB may name more


@dataclass(frozen=True, slots=True)
class Origin:
    """Time, person, client and cause of a change."""

    at: datetime
    by: str
    client: str
    cause: Cause


async def lock_repository(session: AsyncSession, key: RepositoryKey) -> RepositoryRow | None:
    """The repository's row, locked until the transaction ends; None when it was never recorded."""
    found: RepositoryRow | None = await session.scalar(
        select(RepositoryRow).where(RepositoryRow.has_key(key)).with_for_update()
    )
    return found


async def ensure_repository(session: AsyncSession, key: RepositoryKey, at: datetime) -> RepositoryRow:
    """The repository's row, locked; created together with its project's row if missing."""
    locked = await lock_repository(session, key)
    if locked is not None:
        return locked
    await ensure_project(session, key.project)
    await _insert_missing(
        session, RepositoryRow, {"project": key.project, "path": key.path, "created_at": at, "object_due": True}
    )
    created = await lock_repository(session, key)
    assert created is not None, "the row was just created"
    return created


async def ensure_project(session: AsyncSession, project: str) -> None:
    """Create the project's row if it is missing."""
    await _insert_missing(session, ProjectRow, {"id": project, "sync_reason": "", "sync_message": ""})


async def record_manifest(
    session: AsyncSession, repository: RepositoryRow, digest: str, manifest: Manifest, origin: Origin
) -> None:
    """Record a manifest. A recorded one stays unchanged: content under one digest never changes."""
    await _insert_missing(
        session,
        ManifestRow,
        {
            "repository_id": repository.id,
            "digest": digest,
            "media_type": manifest.media_type,
            "artifact_type": manifest.referrer_type,
            "manifest_size": manifest.manifest_size,
            "size": min(manifest.size + await _size_of_children(session, repository, manifest), 2**63 - 1),
            "subject": manifest.subject.digest if manifest.subject else None,
            "annotations": bounded_annotations(dict(manifest.annotations)),
            "pushed_at": origin.at,
            "pushed_by": origin.by,
        },
    )


async def record_push(
    session: AsyncSession,
    repository: RepositoryRow,
    digest: str,
    manifest: Manifest,
    tag: str | None,
    origin: Origin,
) -> None:
    """Record the manifest, move its tag, and update the repository's last push."""
    await record_manifest(session, repository, digest, manifest, origin)
    if tag is not None:
        await move_tag(session, repository, tag, digest, origin)
    repository.object_due = True
    if repository.last_push_at is not None and repository.last_push_at > origin.at:
        return  # a later push is already recorded
    repository.last_push_tag = tag
    repository.last_push_digest = digest
    repository.last_push_at = origin.at
    repository.last_push_by = origin.by


async def move_tag(session: AsyncSession, repository: RepositoryRow, tag: str, digest: str, origin: Origin) -> None:
    """Point a tag to a digest. The same digest again updates time and person and records no move."""
    row = await session.get(TagRow, (repository.id, tag))
    before = row.digest if row else None
    if row is None:
        row = TagRow(repository_id=repository.id, name=tag)
        session.add(row)
    elif before == digest and row.pushed_at > origin.at:
        return  # a later push of the same digest is already recorded
    row.digest, row.pushed_at, row.pushed_by = digest, origin.at, origin.by
    if before != digest:
        _record_move(session, repository, tag, before, digest, origin)
    await session.flush()


async def drop_tag(session: AsyncSession, repository: RepositoryRow, tag: str, origin: Origin) -> bool:
    """Remove a tag and keep its history. Returns False when there was none."""
    row = await session.get(TagRow, (repository.id, tag))
    if row is None:
        return False
    _record_move(session, repository, tag, row.digest, None, origin)
    await session.delete(row)
    await session.flush()
    return True


async def drop_manifest(session: AsyncSession, repository: RepositoryRow, digest: str, origin: Origin) -> bool:
    """Remove a manifest and, as the registry does, all tags that point to it. Returns False when there was none."""
    tags = await session.scalars(
        select(TagRow.name).where(TagRow.repository_id == repository.id, TagRow.digest == digest)
    )
    dropped = [await drop_tag(session, repository, tag, origin) for tag in tags.all()]
    removed = await session.execute(
        delete(ManifestRow)
        .where(ManifestRow.repository_id == repository.id, ManifestRow.digest == digest)
        .returning(ManifestRow.id)
    )
    return removed.first() is not None or bool(dropped)


async def clear_object_due(session: AsyncSession, key: RepositoryKey) -> None:
    """Record that the repository's object exists in the cluster."""
    await session.execute(update(RepositoryRow).where(RepositoryRow.has_key(key)).values(object_due=False))


def bounded_annotations(annotations: dict[str, str]) -> dict[str, str]:
    """The annotations that fit into ANNOTATIONS_LIMIT bytes of JSON, in the order of their names."""
    kept: dict[str, str] = {}
    room = ANNOTATIONS_LIMIT - 2
    for name in sorted(annotations):
        needed = len(json.dumps({name: annotations[name]}))
        if needed <= room:
            kept[name] = annotations[name]
            room -= needed
    return kept


def _record_move(
    session: AsyncSession,
    repository: RepositoryRow,
    tag: str,
    before: str | None,
    after: str | None,
    origin: Origin,
) -> None:
    session.add(
        TagEventRow(
            repository_id=repository.id,
            tag=tag,
            at=origin.at,
            by=origin.by,
            client=origin.client,
            from_digest=before,
            to_digest=after,
            cause=origin.cause,
        )
    )


async def _size_of_children(session: AsyncSession, repository: RepositoryRow, manifest: Manifest) -> int:
    """Total size of an index's children. A registry accepts an index after its children, so they are recorded."""
    digests = sorted({child.digest for child in manifest.children})
    total = 0
    for start in range(0, len(digests), _MAX_VARIABLES):
        part = digests[start : start + _MAX_VARIABLES]
        size = await session.scalar(
            select(func.sum(ManifestRow.size)).where(
                ManifestRow.repository_id == repository.id, ManifestRow.digest.in_(part)
            )
        )
        total += int(size or 0)
    return total


async def _insert_missing(session: AsyncSession, table: type[Base], values: dict[str, Any]) -> None:
    """Insert a row unless its unique key exists (another replica may have just created it)."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    await session.execute(insert(table).values(**values).on_conflict_do_nothing())
