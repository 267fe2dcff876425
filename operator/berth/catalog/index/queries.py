"""Read the index. No query changes a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from berth.catalog.db.schema import ManifestRow, ProjectRow, RepositoryRow, TagEventRow, TagRow, WriteRow
from berth.catalog.index.write_log import write_of
from berth.catalog.model import LastPush, Referrer, RepositoryKey, RepositoryView, Sync, Tag, TagMove, Write, WriteState

NEWEST_TAGS: Final = 30
"""Number of tags in an object's status."""


@dataclass(frozen=True, slots=True)
class RepositoryContent:
    """Recorded content of one repository: the digest of each tag, and all digests."""

    tags: dict[str, str]
    digests: frozenset[str]


async def repositories(session: AsyncSession, project: str, after: str = "", limit: int | None = 100) -> Sequence[str]:
    """Paths of a project's repositories in byte order, after `after`, at most `limit` (None: all)."""
    found = await session.scalars(
        select(RepositoryRow.path)
        .where(RepositoryRow.project == project, RepositoryRow.path > after)
        .order_by(RepositoryRow.path)
        .limit(limit)
    )
    return found.all()


async def repository_id(session: AsyncSession, key: RepositoryKey) -> int | None:
    """The id of a repository's row; None when it was never recorded."""
    found: int | None = await session.scalar(select(RepositoryRow.id).where(RepositoryRow.has_key(key)))
    return found


async def tags(session: AsyncSession, repository: int, after: str = "", limit: int = 1000) -> Sequence[Tag]:
    """Present tags in byte order of their names, after `after`, at most `limit`."""
    rows = await session.execute(_tags(repository).where(TagRow.name > after).order_by(TagRow.name).limit(limit))
    return [_tag(tag, manifest) for tag, manifest in rows]


async def history(
    session: AsyncSession, repository: int, tag: str | None = None, before: int | None = None, limit: int = 100
) -> Sequence[TagMove]:
    """Tag moves, newest first: of one tag or of all, with an id below `before`, at most `limit`."""
    query = select(TagEventRow).where(TagEventRow.repository_id == repository)
    if tag is not None:
        query = query.where(TagEventRow.tag == tag)
    if before is not None:
        query = query.where(TagEventRow.id < before)
    rows = await session.scalars(query.order_by(TagEventRow.id.desc()).limit(limit))
    return [
        TagMove(row.id, row.tag, row.at, row.by, row.client, row.from_digest, row.to_digest, row.cause) for row in rows
    ]


async def referrers(
    session: AsyncSession, key: RepositoryKey, digest: str, artifact_type: str | None = None, limit: int = 1000
) -> Sequence[Referrer]:
    """Manifests whose `subject` is `digest`, oldest first; of one artifact type or of all."""
    query = (
        select(ManifestRow)
        .join(RepositoryRow, RepositoryRow.id == ManifestRow.repository_id)
        .where(RepositoryRow.has_key(key), ManifestRow.subject == digest)
    )
    if artifact_type is not None:
        query = query.where(ManifestRow.artifact_type == artifact_type)
    rows = await session.scalars(query.order_by(ManifestRow.id).limit(limit))
    return [Referrer(row.media_type, row.digest, row.manifest_size, row.artifact_type, row.annotations) for row in rows]


async def has_content(session: AsyncSession, key: RepositoryKey) -> bool:
    """Whether the repository holds a manifest."""
    found = await session.scalar(
        select(ManifestRow.id)
        .join(RepositoryRow, RepositoryRow.id == ManifestRow.repository_id)
        .where(RepositoryRow.has_key(key))
        .limit(1)
    )
    return found is not None


async def repository_view(session: AsyncSession, key: RepositoryKey) -> RepositoryView | None:
    """The content of a repository's object; None when it was never recorded."""
    row = await session.scalar(select(RepositoryRow).where(RepositoryRow.has_key(key)))
    if row is None:
        return None
    newest = await session.execute(_tags(row.id).order_by(TagRow.pushed_at.desc(), TagRow.name).limit(NEWEST_TAGS))
    tag_count = await session.scalar(select(func.count()).where(TagRow.repository_id == row.id))
    digest_count = await session.scalar(select(func.count()).where(ManifestRow.repository_id == row.id))
    return RepositoryView(
        key=key,
        tags=tuple(_tag(tag, manifest) for tag, manifest in newest),
        tag_count=tag_count or 0,
        digest_count=digest_count or 0,
        last_push=_last_push(row),
        sync=await project_sync(session, key.project),
        object_due=row.object_due,
    )


async def project_sync(session: AsyncSession, project: str) -> Sync:
    """The result of the latest walk of the project's registry."""
    row = await session.get(ProjectRow, project)
    return Sync(row.in_sync, row.sync_reason, row.sync_message, row.walked_at) if row else Sync()


async def walk_times(session: AsyncSession) -> dict[str, datetime]:
    """Time of the last walk of each project's registry; projects without a walk are omitted."""
    rows = await session.execute(select(ProjectRow.id, ProjectRow.walked_at).where(ProjectRow.walked_at.is_not(None)))
    return {project: at for project, at in rows if at is not None}


async def repository_content(session: AsyncSession, key: RepositoryKey) -> RepositoryContent:
    """The recorded tags and digests of one repository; empty when it was never recorded."""
    repository = await repository_id(session, key)
    if repository is None:
        return RepositoryContent({}, frozenset())
    names = await session.execute(select(TagRow.name, TagRow.digest).where(TagRow.repository_id == repository))
    digests = await session.scalars(select(ManifestRow.digest).where(ManifestRow.repository_id == repository))
    return RepositoryContent(dict(iter(names)), frozenset(digests.all()))


async def repositories_with_content(session: AsyncSession, project: str) -> frozenset[str]:
    """Paths of the repositories with at least one recorded manifest."""
    found = await session.scalars(
        select(RepositoryRow.path)
        .where(RepositoryRow.project == project)
        .where(select(ManifestRow.id).where(ManifestRow.repository_id == RepositoryRow.id).exists())
    )
    return frozenset(found.all())


async def writes_of(session: AsyncSession, key: RepositoryKey) -> Sequence[Write]:
    """The open and recently settled writes of a repository, oldest first."""
    rows = await session.scalars(
        select(WriteRow)
        .where(WriteRow.project == key.project, WriteRow.repository == key.path)
        .order_by(WriteRow.created_at)
    )
    return [write_of(row) for row in rows]


async def unsettled(session: AsyncSession, announced_before: datetime) -> Sequence[Write]:
    """Writes that are open since before `announced_before`, and doubtful ones; oldest first, at most 500."""
    overdue = (WriteRow.state == WriteState.OPEN) & (WriteRow.created_at < announced_before)
    rows = await session.scalars(
        select(WriteRow).where(overdue | WriteRow.doubtful.is_(True)).order_by(WriteRow.created_at).limit(500)
    )
    return [write_of(row) for row in rows]


def _tags(repository: int) -> Select[TagRow, ManifestRow]:
    joined = (TagRow.repository_id == ManifestRow.repository_id) & (TagRow.digest == ManifestRow.digest)
    return select(TagRow, ManifestRow).outerjoin(ManifestRow, joined).where(TagRow.repository_id == repository)


def _tag(tag: TagRow, manifest: ManifestRow | None) -> Tag:
    return Tag(
        name=tag.name,
        digest=tag.digest,
        media_type=manifest.media_type if manifest else "",
        artifact_type=manifest.artifact_type if manifest else None,
        size=manifest.size if manifest else 0,
        pushed_at=tag.pushed_at,
        pushed_by=tag.pushed_by,
    )


def _last_push(row: RepositoryRow) -> LastPush | None:
    if row.last_push_at is None or row.last_push_digest is None:
        return None
    return LastPush(row.last_push_tag, row.last_push_digest, row.last_push_at, row.last_push_by or "")
