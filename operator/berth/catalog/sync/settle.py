"""Settles writes that nobody settled, and writes that ran at the same time, by asking the registry how they ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from berth.catalog.db.schema import RepositoryRow, WriteRow
from berth.catalog.index import changes, queries
from berth.catalog.index.write_log import apply_write
from berth.catalog.model import Intent, RepositoryKey, Write, WriteKind, WriteState
from berth.catalog.sync.align import RegistryState, SyncDeps, WriteMark, align, digest_of_head, fetch
from berth.registry.client import ManifestHead, RegistryClient
from berth.registry.errors import RegistryError, RegistryUnavailableError

_log = structlog.get_logger(__name__)


class Settler:
    """Settles what has been open for too long, and what is doubtful."""

    def __init__(self, means: SyncDeps) -> None:
        self._means = means
        self._database = means.database

    async def settle(self) -> int:
        """Settle what can be settled now; how many were. A write whose registry is away stays for the next time."""
        settled = 0
        async with self._database.exclusive("settle") as mine:
            if not mine:
                return 0
            async with self._database.reading() as session:
                waiting = await queries.unsettled(session, self._means.overdue())
            away: set[str] = set()
            for write in waiting:
                project = write.intent.repository.project
                if project in away:
                    continue
                try:
                    settled += await self._settle(write)
                except RegistryError as error:
                    away.add(project)
                    _log.warning("a write could not be settled yet", project=project, error=error.sentence)
        return settled

    async def _settle(self, write: Write) -> bool:
        intent = write.intent
        key, client = intent.repository, self._means.registry(intent.repository.project)
        async with self._database.reading() as session:
            writes = await queries.writes_of(session, key)
            known = await queries.known(session, key)
        moment = WriteMark.of(writes)
        if self._busy(moment, writes, write):
            return False
        head = await client.head_manifest(key.name, intent.reference)
        seen = await _look(client, intent, head, known.digests)
        async with self._database.writing() as session:
            row = await session.get(WriteRow, write.id, with_for_update=True)
            writes = await queries.writes_of(session, key)
            if row is None or row.state is not write.state or self._busy(moment, writes, write):
                return False
            repository = await _repository(session, key, seen, write.created_at)
            if repository is not None:  # first, so that the children of an index are there before it
                touched = moment.writes_since(writes, self._means.overdue(), write.id)
                await align(session, repository, seen, writes, touched, self._means.now())
            if row.state is WriteState.OPEN:
                happened = _happened(intent, head)
                if happened:
                    await apply_write(session, intent, seen.manifests.get(intent.digest or ""), write.created_at)
                row.state = WriteState.COMMITTED if happened else WriteState.ABANDONED
                row.settled_at = self._means.now()
            row.doubtful = False
        self._means.changed(key)
        _log.info("a write was settled from the registry", repository=key.name, kind=intent.kind.value, by=intent.by)
        return True

    def _busy(self, moment: WriteMark, writes: Sequence[Write], write: Write) -> bool:
        """Whether somebody else is, or since `moment` was, at the reference of `write`."""
        touched = moment.writes_since(writes, self._means.overdue(), write.id)
        return any(other.reference == write.intent.reference for other in touched)


async def _repository(
    session: AsyncSession, key: RepositoryKey, seen: RegistryState, at: datetime
) -> RepositoryRow | None:
    """The repository's row; made when the registry holds something of it."""
    if seen.manifests:
        return await changes.ensure_repository(session, key, at)
    return await changes.hold_repository(session, key)


async def _look(
    client: RegistryClient, intent: Intent, head: ManifestHead | None, known: frozenset[str]
) -> RegistryState:
    """Everything that must be known to settle a write, besides what its reference stands for."""
    name = intent.repository.name
    wanted = [head.digest] if head is not None else []
    if intent.kind is WriteKind.PUSH and intent.digest is not None:
        wanted.append(intent.digest)
        known = known - {intent.digest}  # its manifest is needed to record the push
    manifests = await fetch(client, name, wanted, known)
    if head is not None and head.digest not in known | manifests.keys():
        raise RegistryUnavailableError(f"The registry named {name}@{head.digest} and then did not have it.")
    if intent.tag is not None:
        return RegistryState(tags={intent.tag: digest_of_head(head)}, manifests=manifests)
    return RegistryState(digests={intent.reference: head is not None}, manifests=manifests)


def _happened(intent: Intent, head: ManifestHead | None) -> bool:
    """Whether the registry is as the write would have made it."""
    if intent.kind is WriteKind.DELETE:
        return head is None
    return head is not None and head.digest == intent.digest
