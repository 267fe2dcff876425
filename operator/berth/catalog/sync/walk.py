"""The registry walk: list what a registry holds and correct the catalog where it differs.

The registry is the source of truth, but a registry whose volume is lost answers like an empty one. So a walk in which
most of the recorded content is missing corrects nothing and reports it in the condition `CatalogInSync`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from berth.api.conditions import ConditionReason
from berth.catalog.db.schema import ProjectRow
from berth.catalog.index import changes, queries
from berth.catalog.index.queries import RepositoryContent
from berth.catalog.model import RepositoryKey, Sync
from berth.catalog.sync.align import RegistryState, SyncDeps, WriteMark, align, digest_of_head, fetch_manifests
from berth.registry.client import RegistryClient
from berth.registry.walk import inspect, survey

FEW_TAGS: Final = 10
"""Up to this many missing tags are always corrected, even when they are all tags of the project."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loss:
    """How much of a project's recorded content its registry did not list."""

    repositories: int
    repositories_missing: int
    tags: int
    tags_missing: int

    @property
    def is_excessive(self) -> bool:
        """Whether to correct nothing: most repositories, or most of more than a few tags, are missing."""
        most_repositories = 2 * self.repositories_missing > self.repositories
        most_tags = self.tags_missing > FEW_TAGS and 2 * self.tags_missing > self.tags
        return most_repositories or most_tags

    def sentence(self, project: str) -> str:
        """What happened and what to do."""
        return (
            f"The registry of project {project} lacks {self.repositories_missing} of {self.repositories} repositories "
            f"and {self.tags_missing} of {self.tags} tags that the catalog has recorded, so nothing was removed from "
            "the catalog. Check the project's volume: restore it, or push the images again."
        )


class RegistryWalker:
    """Walks one project's registry at a time."""

    def __init__(self, deps: SyncDeps) -> None:
        self._deps = deps
        self._database = deps.database

    async def walk(self, project: str) -> Sync | None:
        """Walk one project's registry, correct the catalog and return the result; None while another replica does it.

        Raises RegistryError when the registry does not respond.
        """
        async with self._database.exclusive(f"walk/{project}") as acquired:
            if not acquired:
                return None
            client = self._deps.registry(project)
            async with self._database.reading() as session:
                recorded = await queries.repositories_with_content(session, project)
            listed = await survey(client, project)
            loss = await self._loss(project, recorded, listed)
            if loss.is_excessive:
                sync = Sync(False, ConditionReason.CONTENT_MISSING.value, loss.sentence(project), self._deps.now())
                _log.error("registry lacks most recorded content; nothing was corrected", project=project)
            else:
                for path in sorted(recorded | listed.keys()):
                    await self._correct(client, RepositoryKey(project, path), listed.get(path, ()))
                sync = Sync(True, ConditionReason.IN_SYNC.value, "", self._deps.now())
            await self._save(project, sync)
            return sync

    async def _loss(self, project: str, recorded: frozenset[str], listed: Mapping[str, Sequence[str]]) -> Loss:
        tags = missing = 0
        async with self._database.reading() as session:
            for path in recorded:
                names = (await queries.repository_content(session, RepositoryKey(project, path))).tags.keys()
                tags += len(names)
                missing += len(names - set(listed.get(path, ())))
        return Loss(len(recorded), len(recorded - listed.keys()), tags, missing)

    async def _correct(self, client: RegistryClient, key: RepositoryKey, tags: Sequence[str]) -> None:
        """Correct one repository. `tags` are the names that the survey listed."""
        async with self._database.reading() as session:
            mark = WriteMark.of(await queries.writes_of(session, key))
            content = await queries.repository_content(session, key)
        state = await _read_repository(client, key, tags, content)
        if not _differs(content, state):
            return
        async with self._database.writing() as session:
            if state.manifests:
                repository = await changes.ensure_repository(session, key, self._deps.now())
            else:
                locked = await changes.lock_repository(session, key)
                if locked is None:
                    return
                repository = locked
            writes = await queries.writes_of(session, key)
            recent = mark.writes_since(writes, self._deps.overdue_before())
            corrected = await align(session, repository, state, writes, recent, self._deps.now())
        if corrected:
            _log.warning("corrected the catalog from the registry", repository=key.name)
            self._deps.on_change(key)

    async def _save(self, project: str, sync: Sync) -> None:
        async with self._database.writing() as session:
            await changes.ensure_project(session, project)
            row = await session.get(ProjectRow, project)
            assert row is not None, "the row was just created"
            published = (row.in_sync is False, row.sync_message if row.in_sync is False else "")
            row.in_sync, row.sync_reason, row.sync_message = sync.in_sync, sync.reason, sync.message
            row.walked_at = sync.walked_at
            paths = await queries.repositories(session, project, limit=None)
        if published != (sync.in_sync is False, sync.message):
            for path in paths:
                self._deps.on_change(RepositoryKey(project, path))


async def _read_repository(
    client: RegistryClient, key: RepositoryKey, tags: Sequence[str], content: RepositoryContent
) -> RegistryState:
    """Read all listed and recorded references again: the survey may be minutes old and miss what was pushed since."""
    names = sorted({*tags, *content.tags})
    found = {item.reference: digest_of_head(item.head) async for item in inspect(client, key.name, names)}
    tagged = [digest for digest in found.values() if digest]
    untagged = sorted(content.digests - set(tagged))
    exists = {item.reference: item.head is not None async for item in inspect(client, key.name, untagged)}
    manifests = await fetch_manifests(client, key.name, tagged, content.digests)
    return RegistryState(tags=found, digests=exists, manifests=manifests)


def _differs(content: RepositoryContent, state: RegistryState) -> bool:
    if state.manifests or not all(state.digests.values()):
        return True
    return any(content.tags.get(tag) != digest for tag, digest in state.tags.items())
