"""Writes to the catalog: announced, then committed or abandoned.

`access` announces a write before it touches the registry and says afterwards what became of it. So a push that
was acknowledged is recorded, whatever process dies in between: what nobody settles is settled from the registry
itself (`berth.catalog.sync.settle`).
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

KEPT_SETTLED: Final = timedelta(hours=1)
"""How long a settled write is remembered, so that its commit may be repeated and overlaps be seen."""


class UnknownWriteError(LookupError):
    """No write has this id, or it was settled so long ago that it is forgotten."""


class WriteRefusedError(ValueError):
    """The write can not become what was asked for; the message is one sentence."""


class Store:
    """Records writes. `changed` is told the repository after each transaction that changed something it shows."""

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        changed: Callable[[RepositoryKey], None],
    ) -> None:
        self._database = database
        self._now = now
        self._new_id = new_id
        self._changed = changed

    async def announce(self, intent: Intent) -> str:
        """Keep an intent; the id under which it is settled. From now on the catalog will find out what became of it."""
        write_id = self._new_id()
        async with self._database.writing() as session:
            session.add(_row(write_id, intent, self._now()))
        return write_id

    async def commit(self, write_id: str, manifest: bytes | None = None) -> None:
        """The registry has done it: record it, with time and person. Repeating it changes nothing.

        `manifest` are the bytes that were pushed; a delete has none. Raises UnknownWrite and RefusedWrite.
        """
        async with self._database.writing() as session:
            row = await _held(session, write_id)
            intent = intent_of(row)
            if row.state is WriteState.COMMITTED:
                return
            parsed = _pushed(intent, manifest) if intent.kind is WriteKind.PUSH else None
            # A write that was settled meanwhile, from an earlier look into the registry, is looked at again.
            row.doubtful = row.state is WriteState.ABANDONED or await _overlapped(session, row)
            await apply_write(session, intent, parsed, self._now())
            row.state, row.settled_at = WriteState.COMMITTED, self._now()
        self._changed(intent.repository)

    async def abandon(self, write_id: str) -> None:
        """The registry has refused it. Repeating it changes nothing. Raises UnknownWrite and RefusedWrite."""
        async with self._database.writing() as session:
            row = await _held(session, write_id)
            if row.state is WriteState.COMMITTED:
                raise WriteRefusedError(f"The write {write_id} is recorded already and can not be abandoned.")
            if row.state is WriteState.OPEN:
                row.state, row.settled_at = WriteState.ABANDONED, self._now()

    async def object_shown(self, key: RepositoryKey) -> None:
        """Note that an object in the cluster shows the repository."""
        async with self._database.writing() as session:
            await changes.clear_object_due(session, key)

    async def forget_settled(self) -> None:
        """Forget writes that were settled long ago. What they did stays recorded."""
        async with self._database.writing() as session:
            await session.execute(
                delete(WriteRow).where(
                    WriteRow.state != WriteState.OPEN,
                    WriteRow.doubtful.is_(False),
                    WriteRow.settled_at < self._now() - KEPT_SETTLED,
                )
            )


async def apply_write(session: AsyncSession, intent: Intent, manifest: Manifest | None, at: datetime) -> None:
    """What a write does to the tables. `manifest` is what was pushed; a delete has none."""
    if intent.kind is WriteKind.PUSH:
        assert manifest is not None, "a push has a manifest"
        assert intent.digest is not None, "a push has a digest"
        repository = await changes.ensure_repository(session, intent.repository, at)
        origin = Origin(at, intent.by, intent.client, Cause.PUSH)
        await changes.record_push(session, repository, intent.digest, manifest, intent.tag, origin)
        return
    held = await changes.hold_repository(session, intent.repository)
    if held is None:
        return
    origin = Origin(at, intent.by, intent.client, Cause.DELETE)
    if intent.tag is not None:
        await changes.drop_tag(session, held, intent.tag, origin)
    else:
        await changes.drop_manifest(session, held, intent.reference, origin)


def write_of(row: WriteRow) -> Write:
    """A row as data."""
    return Write(row.id, intent_of(row), row.created_at, row.state, row.doubtful)


def intent_of(row: WriteRow) -> Intent:
    """What a row announces."""
    return Intent(
        kind=row.kind,
        repository=RepositoryKey(row.project, row.repository),
        reference=row.reference,
        digest=row.digest,
        media_type=row.media_type,
        by=row.by,
        client=row.client,
    )


def digest_of(body: bytes, like: str) -> str:
    """The digest of bytes, by the algorithm of another digest (`sha256:…` or `sha512:…`)."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"


def _row(write_id: str, intent: Intent, now: datetime) -> WriteRow:
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


async def _held(session: AsyncSession, write_id: str) -> WriteRow:
    row = await session.get(WriteRow, write_id, with_for_update=True)
    if row is None:
        raise UnknownWriteError(f"There is no write {write_id}; announce it again before you push.")
    return row


def _pushed(intent: Intent, manifest: bytes | None) -> Manifest:
    if manifest is None or intent.digest is None:
        raise WriteRefusedError(f"The push to {intent.repository.name} can not be recorded without its manifest.")
    if digest_of(manifest, intent.digest) != intent.digest:
        raise WriteRefusedError(
            f"The manifest pushed to {intent.repository.name} is not the announced {intent.digest}."
        )
    try:
        return parse_manifest(manifest, intent.media_type)
    except InvalidManifestError as error:
        raise WriteRefusedError(str(error)) from error


async def _overlapped(session: AsyncSession, row: WriteRow) -> bool:
    """Whether another write of the same reference, or a delete of the same digest, ran at the same time.

    Then the order in which the two are recorded need not be the order in which the registry did them.
    """
    concerns = [WriteRow.reference == row.reference]
    if row.digest is not None:
        same_digest = WriteRow.digest == row.digest
        one_deletes = row.kind is WriteKind.DELETE
        concerns.append(same_digest if one_deletes else same_digest & (WriteRow.kind == WriteKind.DELETE))
    other = await session.scalar(
        select(WriteRow.id)
        .where(
            WriteRow.project == row.project,
            WriteRow.repository == row.repository,
            WriteRow.id != row.id,
            or_(*concerns),
            or_(WriteRow.state == WriteState.OPEN, WriteRow.settled_at >= row.created_at),
        )
        .limit(1)
    )
    return other is not None
