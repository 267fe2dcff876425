"""Settle open and ambiguous writes by reading their result from the registry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from berth.catalog.db.schema import RepositoryRow, WriteRow
from berth.catalog.index import changes, queries
from berth.catalog.index.write_log import apply_write
from berth.catalog.model import Intent, RepositoryKey, Write, WriteKind, WriteState
from berth.catalog.sync.align import RegistryState, SyncDeps, WriteMark, align, digest_of_head, fetch_manifests
from berth.registry.client import ManifestHead, RegistryClient
from berth.registry.errors import RegistryError, RegistryUnavailableError

_log = structlog.get_logger(__name__)


class Settler:
    """Settles writes that are open for too long, and writes that ran at the same time as another one."""

    def __init__(self, deps: SyncDeps) -> None:
        self._deps = deps
        self._database = deps.database

    async def settle(self) -> int:
        """Settle all due writes; returns their number. Those of an unavailable registry wait for the next call."""
        settled = 0
        async with self._database.exclusive("settle") as acquired:
            if not acquired:
                return 0
            async with self._database.reading() as session:
                due = await queries.unsettled(session, self._deps.overdue_before())
            unavailable: set[str] = set()
            for write in due:
                project = write.intent.repository.project
                if project in unavailable:
                    continue
                try:
                    settled += await self._settle(write)
                except RegistryError as error:
                    unavailable.add(project)
                    _log.warning("could not settle a write", project=project, error=error.sentence)
        return settled

    async def _settle(self, write: Write) -> bool:
        intent = write.intent
        key, client = intent.repository, self._deps.registry(intent.repository.project)
        async with self._database.reading() as session:
            writes = await queries.writes_of(session, key)
            content = await queries.repository_content(session, key)
        mark = WriteMark.of(writes)
        if self._is_busy(mark, writes, write):
            return False
        head = await client.head_manifest(key.name, intent.reference)
        state = await _read_registry(client, intent, head, content.digests)
        async with self._database.writing() as session:
            row = await session.get(WriteRow, write.id, with_for_update=True)
            writes = await queries.writes_of(session, key)
            if row is None or row.state is not write.state or self._is_busy(mark, writes, write):
                return False
            repository = await _lock_repository(session, key, state, write.created_at)
            if repository is not None:  # first, so that the children of an index are recorded before it
                recent = mark.writes_since(writes, self._deps.overdue_before(), write.id)
                await align(session, repository, state, writes, recent, self._deps.now())
            await self._close(session, row, write, head, state)
        self._deps.on_change(key)
        _log.info("settled a write from the registry", repository=key.name, kind=intent.kind.value, by=intent.by)
        return True

    async def _close(
        self, session: AsyncSession, row: WriteRow, write: Write, head: ManifestHead | None, state: RegistryState
    ) -> None:
        """Commit or abandon an open write by what the registry holds; either way it is no longer doubtful."""
        if row.state is WriteState.OPEN:
            took_effect = _took_effect(write.intent, head)
            if took_effect:
                manifest = state.manifests.get(write.intent.digest or "")
                await apply_write(session, write.intent, manifest, write.created_at)
            row.state = WriteState.COMMITTED if took_effect else WriteState.ABANDONED
            row.settled_at = self._deps.now()
        row.doubtful = False

    def _is_busy(self, mark: WriteMark, writes: Sequence[Write], write: Write) -> bool:
        """Whether another write changes, or since `mark` has changed, the reference of `write`."""
        recent = mark.writes_since(writes, self._deps.overdue_before(), write.id)
        return any(other.reference == write.intent.reference for other in recent)


async def _lock_repository(
    session: AsyncSession, key: RepositoryKey, state: RegistryState, at: datetime
) -> RepositoryRow | None:
    """The repository's row, locked; created when the registry holds a manifest of it."""
    if state.manifests:
        return await changes.ensure_repository(session, key, at)
    return await changes.lock_repository(session, key)


async def _read_registry(
    client: RegistryClient, intent: Intent, head: ManifestHead | None, indexed: frozenset[str]
) -> RegistryState:
    """Read what settling a write needs besides the `head` of its reference."""
    name = intent.repository.name
    needed = [head.digest] if head is not None else []
    if intent.kind is WriteKind.PUSH and intent.digest is not None:
        needed.append(intent.digest)
        indexed = indexed - {intent.digest}  # its manifest is needed to record the push
    manifests = await fetch_manifests(client, name, needed, indexed)
    if head is not None and head.digest not in indexed | manifests.keys():
        raise RegistryUnavailableError(f"The registry named {name}@{head.digest} and then did not have it.")
    if intent.tag is not None:
        return RegistryState(tags={intent.tag: digest_of_head(head)}, manifests=manifests)
    return RegistryState(digests={intent.reference: head is not None}, manifests=manifests)


def _took_effect(intent: Intent, head: ManifestHead | None) -> bool:
    """Whether the registry is in the state that the write leads to."""
    if intent.kind is WriteKind.DELETE:
        return head is None
    return head is not None and head.digest == intent.digest
