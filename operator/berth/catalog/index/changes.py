"""How the tables change: pushes, deletes, and what a look into the registry corrects. Each inside one transaction.

Every function takes the session of a transaction that the caller opened. The row of a repository is locked first, so
that changes of one repository happen one after another, in every replica.
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
"""Bytes of JSON that are kept of a manifest's annotations; the rest is left out, by order of their names."""

_MOST_VARIABLES: Final = 1000  # in one statement; SQLite takes 32766, an index of 4 MiB may name more


@dataclass(frozen=True, slots=True)
class Origin:
    """When, by whom and with what something was done. `cause` says how the catalog learned of it."""

    at: datetime
    by: str
    client: str
    cause: Cause


async def hold_repository(session: AsyncSession, key: RepositoryKey) -> RepositoryRow | None:
    """The repository's row, locked until the transaction ends; None when nothing was ever recorded of it."""
    found: RepositoryRow | None = await session.scalar(
        select(RepositoryRow)
        .where(RepositoryRow.project == key.project, RepositoryRow.path == key.path)
        .with_for_update()
    )
    return found


async def ensure_repository(session: AsyncSession, key: RepositoryKey, at: datetime) -> RepositoryRow:
    """The repository's row, locked; made, together with its project's, when it is the first time."""
    held = await hold_repository(session, key)
    if held is not None:
        return held
    await ensure_project(session, key.project)
    await _insert_missing(
        session, RepositoryRow, {"project": key.project, "path": key.path, "created_at": at, "object_due": True}
    )
    made = await hold_repository(session, key)
    assert made is not None, "a row that was just made is there"
    return made


async def ensure_project(session: AsyncSession, project: str) -> None:
    """Make the project's row if it is missing."""
    await _insert_missing(session, ProjectRow, {"id": project, "sync_reason": "", "sync_message": ""})


async def record_manifest(
    session: AsyncSession, repository: RepositoryRow, digest: str, manifest: Manifest, origin: Origin
) -> None:
    """Keep a manifest; a known one is left as it is, for its digest says that nothing in it can have changed."""
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
    """Keep what was pushed, move its tag, and note it as the repository's last push."""
    await record_manifest(session, repository, digest, manifest, origin)
    if tag is not None:
        await move_tag(session, repository, tag, digest, origin)
    repository.object_due = True
    if repository.last_push_at is not None and repository.last_push_at > origin.at:
        return  # learned late of it
    repository.last_push_tag = tag
    repository.last_push_digest = digest
    repository.last_push_at = origin.at
    repository.last_push_by = origin.by


async def move_tag(session: AsyncSession, repository: RepositoryRow, tag: str, digest: str, origin: Origin) -> None:
    """Let a tag point to a digest. Pushed again to the same one it shows the new time and person, but did not move."""
    row = await session.get(TagRow, (repository.id, tag))
    before = row.digest if row else None
    if row is None:
        row = TagRow(repository_id=repository.id, name=tag)
        session.add(row)
    elif before == digest and row.pushed_at > origin.at:
        return  # learned late of a push that a later one has repeated
    row.digest, row.pushed_at, row.pushed_by = digest, origin.at, origin.by
    if before != digest:
        _note_move(session, repository, tag, before, digest, origin)
    await session.flush()


async def drop_tag(session: AsyncSession, repository: RepositoryRow, tag: str, origin: Origin) -> bool:
    """Forget a tag, but not its history. False when it was not there."""
    row = await session.get(TagRow, (repository.id, tag))
    if row is None:
        return False
    _note_move(session, repository, tag, row.digest, None, origin)
    await session.delete(row)
    await session.flush()
    return True


async def drop_manifest(session: AsyncSession, repository: RepositoryRow, digest: str, origin: Origin) -> bool:
    """Forget a manifest and, as the registry does, every tag that points to it. False when nothing was there."""
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
    """Note that an object in the cluster shows the repository."""
    await session.execute(
        update(RepositoryRow)
        .where(RepositoryRow.project == key.project, RepositoryRow.path == key.path)
        .values(object_due=False)
    )


def bounded_annotations(annotations: dict[str, str]) -> dict[str, str]:
    """As many annotations, in the order of their names, as fit into ANNOTATIONS_LIMIT bytes of JSON."""
    kept: dict[str, str] = {}
    room = ANNOTATIONS_LIMIT - 2
    for name in sorted(annotations):
        needed = len(json.dumps({name: annotations[name]}))
        if needed <= room:
            kept[name] = annotations[name]
            room -= needed
    return kept


def _note_move(
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
    """What the children of an index hold. Registries take an index after its children, so they are known by then."""
    digests = sorted({child.digest for child in manifest.children})
    total = 0
    for start in range(0, len(digests), _MOST_VARIABLES):
        part = digests[start : start + _MOST_VARIABLES]
        size = await session.scalar(
            select(func.sum(ManifestRow.size)).where(
                ManifestRow.repository_id == repository.id, ManifestRow.digest.in_(part)
            )
        )
        total += int(size or 0)
    return total


async def _insert_missing(session: AsyncSession, table: type[Base], values: dict[str, Any]) -> None:
    """Insert, unless a row with the same unique key is there already (perhaps made a moment ago by another replica)."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    await session.execute(insert(table).values(**values).on_conflict_do_nothing())
