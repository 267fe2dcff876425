"""Writes to the catalog: announced, then committed or abandoned.

`access` announces a write before it calls the registry and settles it afterwards. So an acknowledged push is recorded
even when a process dies in between: open writes are settled from the registry itself (`berth.catalog.sync.settle`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from berth.catalog.db.database import Database
from berth.catalog.db.schema import WriteRow
from berth.catalog.index import changes
from berth.catalog.index.changes import Origin
from berth.catalog.model import Cause, Intent, RepositoryKey, Write, WriteKind, WriteState
from berth.oci.manifest import InvalidManifestError, Manifest, parse_manifest

SETTLED_RETENTION: Final = timedelta(hours=1)
"""How long a settled write is kept, so that its commit can be repeated and overlaps are detected."""


class UnknownWriteError(LookupError):
    """No write has this id, or it was settled and deleted since."""


class WriteRefusedError(ValueError):
    """The write cannot be committed or abandoned; the message is one sentence."""


class WriteLog:
    """Records writes. `on_change` is called with the repository after each commit."""

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        on_change: Callable[[RepositoryKey], None],
    ) -> None:
        self._database = database
        self._now = now
        self._new_id = new_id
        self._on_change = on_change

    async def announce(self, intent: Intent) -> str:
        """Record an intent and return its id. A write that is not settled in time is settled from the registry."""
        write_id = self._new_id()
        async with self._database.writing() as session:
            session.add(_write_row(write_id, intent, self._now()))
        return write_id

    async def commit(self, write_id: str, manifest: bytes | None = None) -> None:
        """Record a write that the registry has accepted, with time and person. Idempotent.

        `manifest` are the pushed bytes; a delete has none. Raises UnknownWriteError and WriteRefusedError.
        """
        async with self._database.writing() as session:
            row = await _lock_write(session, write_id)
            intent = intent_of(row)
            if row.state is WriteState.COMMITTED:
                return
            parsed = _parse_pushed(intent, manifest) if intent.kind is WriteKind.PUSH else None
            # The settler may have abandoned it from an older state of the registry: it then reads the registry again.
            row.doubtful = row.state is WriteState.ABANDONED or await _has_overlap(session, row)
            await apply_write(session, intent, parsed, self._now())
            row.state, row.settled_at = WriteState.COMMITTED, self._now()
        self._on_change(intent.repository)

    async def abandon(self, write_id: str) -> None:
        """Close a write that the registry has refused. Idempotent. Raises UnknownWriteError and WriteRefusedError."""
        async with self._database.writing() as session:
            row = await _lock_write(session, write_id)
            if row.state is WriteState.COMMITTED:
                raise WriteRefusedError(f"The write {write_id} is recorded already and cannot be abandoned.")
            if row.state is WriteState.OPEN:
                row.state, row.settled_at = WriteState.ABANDONED, self._now()

    async def clear_object_due(self, key: RepositoryKey) -> None:
        """Record that the repository's object exists in the cluster."""
        async with self._database.writing() as session:
            await changes.clear_object_due(session, key)

    async def delete_settled(self) -> None:
        """Delete writes that were settled longer than SETTLED_RETENTION ago. Their effects stay recorded."""
        async with self._database.writing() as session:
            await session.execute(
                delete(WriteRow).where(
                    WriteRow.state != WriteState.OPEN,
                    WriteRow.doubtful.is_(False),
                    WriteRow.settled_at < self._now() - SETTLED_RETENTION,
                )
            )


async def apply_write(session: AsyncSession, intent: Intent, manifest: Manifest | None, at: datetime) -> None:
    """Apply a write to the index. `manifest` is the pushed one; a delete has none."""
    if intent.kind is WriteKind.PUSH:
        assert manifest is not None, "a push has a manifest"
        assert intent.digest is not None, "a push has a digest"
        repository = await changes.ensure_repository(session, intent.repository, at)
        origin = Origin(at, intent.by, intent.client, Cause.PUSH)
        await changes.record_push(session, repository, intent.digest, manifest, intent.tag, origin)
        return
    locked = await changes.lock_repository(session, intent.repository)
    if locked is None:
        return
    origin = Origin(at, intent.by, intent.client, Cause.DELETE)
    if intent.tag is not None:
        await changes.drop_tag(session, locked, intent.tag, origin)
    else:
        await changes.drop_manifest(session, locked, intent.reference, origin)


def write_of(row: WriteRow) -> Write:
    """The write of a row."""
    return Write(row.id, intent_of(row), row.created_at, row.state, row.doubtful)


def intent_of(row: WriteRow) -> Intent:
    """The intent of a row."""
    return Intent(
        kind=row.kind,
        repository=RepositoryKey(row.project, row.repository),
        reference=row.reference,
        digest=row.digest,
        media_type=row.media_type,
        by=row.by,
        client=row.client,
    )


def compute_digest(body: bytes, like: str) -> str:
    """The digest of bytes, by the algorithm of the digest `like` (`sha256:…` or `sha512:…`)."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"


def _write_row(write_id: str, intent: Intent, now: datetime) -> WriteRow:
    return WriteRow(
        id=write_id,
        kind=intent.kind,
        project=intent.repository.project,
        repository=intent.repository.path,
        reference=intent.reference,
        digest=intent.digest,
        media_type=intent.media_type,
        by=intent.by,
        client=intent.client,
        created_at=now,
        state=WriteState.OPEN,
        doubtful=False,
    )


async def _lock_write(session: AsyncSession, write_id: str) -> WriteRow:
    row = await session.get(WriteRow, write_id, with_for_update=True)
    if row is None:
        raise UnknownWriteError(f"There is no write {write_id}; announce it again before you push.")
    return row


def _parse_pushed(intent: Intent, manifest: bytes | None) -> Manifest:
    if manifest is None or intent.digest is None:
        raise WriteRefusedError(f"The push to {intent.repository.name} cannot be recorded without its manifest.")
    if compute_digest(manifest, intent.digest) != intent.digest:
        raise WriteRefusedError(
            f"The manifest pushed to {intent.repository.name} is not the announced {intent.digest}."
        )
    try:
        return parse_manifest(manifest, intent.media_type)
    except InvalidManifestError as error:
        raise WriteRefusedError(str(error)) from error


async def _has_overlap(session: AsyncSession, row: WriteRow) -> bool:
    """Whether another write of the same reference, or a delete of the same digest, ran at the same time.

    Such writes may be recorded in another order than the registry executed them.
    """
    conflicts = [WriteRow.reference == row.reference]
    if row.digest is not None:
        same_digest = WriteRow.digest == row.digest
        one_deletes = row.kind is WriteKind.DELETE
        conflicts.append(same_digest if one_deletes else same_digest & (WriteRow.kind == WriteKind.DELETE))
    other = await session.scalar(
        select(WriteRow.id)
        .where(
            WriteRow.project == row.project,
            WriteRow.repository == row.repository,
            WriteRow.id != row.id,
            or_(*conflicts),
            or_(WriteRow.state == WriteState.OPEN, WriteRow.settled_at >= row.created_at),
        )
        .limit(1)
    )
    return other is not None
