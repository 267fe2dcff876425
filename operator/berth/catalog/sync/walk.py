"""The healing walk: reads a registry and corrects the catalog where it differs.

The registry, walked, is the truth; but a registry whose volume is gone answers as if it had never held anything. So a
walk that misses most of what is known corrects nothing and says so in the condition `CatalogInSync`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from berth.api.conditions import ConditionReason
from berth.catalog.db.schema import ProjectRow
from berth.catalog.index import changes, queries
from berth.catalog.model import RepositoryKey, Sync
from berth.catalog.sync.align import RegistryState, SyncDeps, WriteMark, align, digest_of_head, fetch
from berth.registry.client import RegistryClient
from berth.registry.walk import inspect, survey

FEW_TAGS: Final = 10
"""So many tags may be missing before their share counts: a handful is corrected, even if that is all there are."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loss:
    """How much of what the catalog knows a registry did not list."""

    repositories: int
    repositories_missing: int
    tags: int
    tags_missing: int

    @property
    def too_much(self) -> bool:
        """Whether the registry's answer must not be believed: most repositories, or most of many tags, are missing."""
        most_repositories = 2 * self.repositories_missing > self.repositories
        most_tags = self.tags_missing > FEW_TAGS and 2 * self.tags_missing > self.tags
        return most_repositories or most_tags

    def sentence(self, project: str) -> str:
        """What happened and what to do."""
        return (
            f"The registry of project {project} lacks {self.repositories_missing} of {self.repositories} repositories "
            f"and {self.tags_missing} of {self.tags} tags that the catalog knows, so nothing was removed from the "
            "catalog. Look at the project's volume: restore it, or push the images again."
        )


class Healer:
    """Walks one project's registry at a time."""

    def __init__(self, means: SyncDeps) -> None:
        self._means = means
        self._database = means.database

    async def heal(self, project: str) -> Sync | None:
        """Walk one project's registry and correct the catalog; what was found, or None when another replica is at it.

        Raises RegistryError when the registry does not answer; the catalog stays as it was.
        """
        async with self._database.exclusive(f"walk/{project}") as mine:
            if not mine:
                return None
            client = self._means.registry(project)
            async with self._database.reading() as session:
                known = await queries.repositories_with_content(session, project)
            found = await survey(client, project)
            loss = await self._loss(project, known, found)
            if loss.too_much:
                sync = Sync(False, ConditionReason.CONTENT_MISSING.value, loss.sentence(project), self._means.now())
                _log.error("a registry lacks most of what it held; nothing was corrected", project=project)
            else:
                for path in sorted(known | found.keys()):
                    await self._correct(client, RepositoryKey(project, path), found.get(path, ()))
                sync = Sync(True, ConditionReason.IN_SYNC.value, "", self._means.now())
            await self._remember(project, sync)
            return sync

    async def _loss(self, project: str, known: frozenset[str], found: Mapping[str, Sequence[str]]) -> Loss:
        tags = missing = 0
        async with self._database.reading() as session:
            for path in known:
                names = (await queries.known(session, RepositoryKey(project, path))).tags.keys()
                tags += len(names)
                missing += len(names - set(found.get(path, ())))
        return Loss(len(known), len(known - found.keys()), tags, missing)

    async def _correct(self, client: RegistryClient, key: RepositoryKey, tags: Sequence[str]) -> None:
        """Correct one repository. `tags` are the names that the survey listed."""
        async with self._database.reading() as session:
            moment = WriteMark.of(await queries.writes_of(session, key))
            known = await queries.known(session, key)
        # Asked again by name, not taken from the survey: it may be minutes old, and may lack what was pushed since.
        asked = sorted({*tags, *known.tags})
        pointed = {found.reference: digest_of_head(found.head) async for found in inspect(client, key.name, asked)}
        untagged = sorted(known.digests - {digest for digest in pointed.values() if digest})
        there = {found.reference: found.head is not None async for found in inspect(client, key.name, untagged)}
        present = [digest for digest in pointed.values() if digest]
        manifests = await fetch(client, key.name, present, known.digests)
        same = not manifests and all(there.values())
        if same and all(known.tags.get(tag) == digest for tag, digest in pointed.items()):
            return
        async with self._database.writing() as session:
            if manifests:
                repository = await changes.ensure_repository(session, key, self._means.now())
            else:
                held = await changes.hold_repository(session, key)
                if held is None:
                    return
                repository = held
            writes = await queries.writes_of(session, key)
            touched = moment.writes_since(writes, self._means.overdue())
            seen = RegistryState(tags=pointed, digests=there, manifests=manifests)
            corrected = await align(session, repository, seen, writes, touched, self._means.now())
        if corrected:
            _log.warning("the catalog was corrected from the registry", repository=key.name)
            self._means.changed(key)

    async def _remember(self, project: str, sync: Sync) -> None:
        async with self._database.writing() as session:
            await changes.ensure_project(session, project)
            row = await session.get(ProjectRow, project)
            assert row is not None, "a row that was just made is there"
            shown = (row.in_sync is False, row.sync_message if row.in_sync is False else "")
            row.in_sync, row.sync_reason, row.sync_message = sync.in_sync, sync.reason, sync.message
            row.walked_at = sync.walked_at
            paths = await queries.repositories(session, project, limit=None)
        if shown != (sync.in_sync is False, sync.message):
            for path in paths:
                self._means.changed(RepositoryKey(project, path))
