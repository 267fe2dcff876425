"""Bringing the catalog into line with what was seen in a registry.

Looking takes time, and pushes go on meanwhile. So a look begins by noting the repository's writes, and what was seen is
believed only about references that no write has touched since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from berth.catalog.db.database import Database
from berth.catalog.db.schema import RepositoryRow
from berth.catalog.index import changes, queries
from berth.catalog.index.changes import Origin
from berth.catalog.model import Cause, Intent, RepositoryKey, Write, WriteKind, WriteState
from berth.oci.manifest import InvalidManifestError, Manifest, parse_manifest
from berth.registry.client import ManifestHead, RegistryClient

_MOST_CHILDREN: Final = 500  # of one index that are fetched; the rest is found when somebody pulls or tags it


@dataclass(frozen=True, slots=True)
class SyncDeps:
    """By what the catalog is brought into line: `registry` gives the client of a project's registry, `timeout` is how
    long an announced write may stay open, and `changed` is told each repository that was corrected.
    """

    database: Database
    registry: Callable[[str], RegistryClient]
    now: Callable[[], datetime]
    timeout: timedelta
    changed: Callable[[RepositoryKey], None]

    def overdue(self) -> datetime:
        """Writes that were announced before that time and are still open are dead."""
        return self.now() - self.timeout


@dataclass(frozen=True, slots=True)
class RegistryState:
    """What a registry said about some references of one repository.

    `tags` and `digests` hold what was asked for: where a tag points to (None: not there), whether a digest is there.
    `manifests` are the parsed manifests of digests that the catalog did not know.
    """

    tags: Mapping[str, str | None] = field(default_factory=dict)
    digests: Mapping[str, bool] = field(default_factory=dict)
    manifests: Mapping[str, Manifest] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WriteMark:
    """The writes of a repository when a look into its registry began."""

    states: Mapping[str, WriteState]

    @classmethod
    def of(cls, writes: Iterable[Write]) -> WriteMark:
        """Note them."""
        return cls({write.id: write.state for write in writes})

    def writes_since(self, writes: Iterable[Write], overdue: datetime, settling: str | None = None) -> list[Intent]:
        """What was announced or settled since, or is still under way.

        A write that was open already and was announced before `overdue` is taken for dead; `settling` is the one that
        is being settled.
        """

        def touches(write: Write) -> bool:
            if write.id == settling:
                return False
            changed = self.states.get(write.id) is not write.state
            return changed or (write.state is WriteState.OPEN and write.created_at >= overdue)

        return [write.intent for write in writes if touches(write)]


async def fetch(
    client: RegistryClient, name: str, digests: Iterable[str], known: frozenset[str]
) -> dict[str, Manifest]:
    """The manifests of digests that are not `known`, those of an index after its children's."""
    found: dict[str, Manifest] = {}
    for digest in digests:
        if digest in known or digest in found:
            continue
        body = await client.get_manifest(name, digest)
        if body is None:
            continue
        manifest = parsed(body.body, body.media_type)
        children = [child.digest for child in manifest.children[:_MOST_CHILDREN]]
        if children:
            found |= await fetch(client, name, children, known | found.keys())
        found[digest] = manifest
    return found


def parsed(body: bytes, media_type: str) -> Manifest:
    """A manifest that the registry holds; of one that Berth would not take today, its type and size alone."""
    try:
        return parse_manifest(body, media_type)
    except InvalidManifestError:
        return Manifest(media_type=media_type[:255], manifest_size=len(body))


async def align(
    session: AsyncSession,
    repository: RepositoryRow,
    seen: RegistryState,
    writes: Sequence[Write],
    touched: Sequence[Intent],
    now: datetime,
) -> bool:
    """Correct what differs from what was seen, except where a write came between. True when anything was corrected."""
    before = await queries.known(session, RepositoryKey(repository.project, repository.path))
    busy = {intent.reference for intent in touched} | {intent.digest for intent in touched if intent.digest}
    correction = _Correction(session, repository, writes, now)
    changed = False
    for found, manifest in seen.manifests.items():
        if found not in before.digests and found not in busy:
            await correction.add_manifest(found, manifest)
            changed = True
    for tag, digest in seen.tags.items():
        present = before.tags.get(tag)
        if digest != present and busy.isdisjoint({tag, digest, present}):
            await correction.set_tag(tag, present, digest)
            changed = True
    for asked, there in seen.digests.items():
        if not there and asked in before.digests and asked not in busy:
            await correction.drop_manifest(asked)
            changed = True
    return changed


@dataclass(frozen=True, slots=True)
class _Correction:
    """Corrections of one repository, each ascribed to the announced write that explains it, if there is one."""

    session: AsyncSession
    repository: RepositoryRow
    writes: Sequence[Write]
    now: datetime

    async def add_manifest(self, digest: str, manifest: Manifest) -> None:
        origin = self._origin(WriteKind.PUSH, lambda intent: intent.digest == digest)
        await changes.record_manifest(self.session, self.repository, digest, manifest, origin)

    async def set_tag(self, tag: str, present: str | None, digest: str | None) -> None:
        if digest is not None:
            origin = self._origin(WriteKind.PUSH, lambda intent: (intent.tag, intent.digest) == (tag, digest))
            await changes.move_tag(self.session, self.repository, tag, digest, origin)
            return
        origin = self._origin(WriteKind.DELETE, lambda intent: intent.tag == tag or intent.digest == present)
        await changes.drop_tag(self.session, self.repository, tag, origin)

    async def drop_manifest(self, digest: str) -> None:
        origin = self._origin(WriteKind.DELETE, lambda intent: intent.reference == digest)
        await changes.drop_manifest(self.session, self.repository, digest, origin)

    def _origin(self, kind: WriteKind, explains: Callable[[Intent], bool]) -> Origin:
        for write in reversed(self.writes):
            if write.intent.kind is kind and explains(write.intent):
                cause = Cause.PUSH if kind is WriteKind.PUSH else Cause.DELETE
                return Origin(write.created_at, write.intent.by, write.intent.client, cause)
        return Origin(self.now, "", "", Cause.WALK)


def digest_of_head(head: ManifestHead | None) -> str | None:
    """Where a tag points to."""
    return head.digest if head is not None else None
