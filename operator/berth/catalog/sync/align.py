"""Bring the catalog in line with what a registry holds.

Reading a registry takes time, and pushes go on meanwhile. So a reader first takes a `WriteMark` of the repository's
writes, and `align` corrects only references that no write has changed since.
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

_MAX_CHILDREN: Final = 500  # fetched of one index; the rest is found when it is pulled or tagged


@dataclass(frozen=True, slots=True)
class SyncDeps:
    """What a sync run needs: the database, a client for each project's registry, and the clock.

    `timeout` is how long an announced write may stay open. `on_change` is called with each corrected repository.
    """

    database: Database
    registry: Callable[[str], RegistryClient]
    now: Callable[[], datetime]
    timeout: timedelta
    on_change: Callable[[RepositoryKey], None]

    def overdue_before(self) -> datetime:
        """Writes announced before this time that are still open have failed."""
        return self.now() - self.timeout


@dataclass(frozen=True, slots=True)
class RegistryState:
    """What a registry holds of the requested references of one repository.

    `tags`: the digest of each requested tag, None for a missing one. `digests`: whether each requested digest exists.
    `manifests`: the parsed manifests of digests that the catalog did not have.
    """

    tags: Mapping[str, str | None] = field(default_factory=dict)
    digests: Mapping[str, bool] = field(default_factory=dict)
    manifests: Mapping[str, Manifest] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WriteMark:
    """The state of a repository's writes just before its registry is read."""

    states: Mapping[str, WriteState]

    @classmethod
    def of(cls, writes: Iterable[Write]) -> WriteMark:
        """Take the mark from the present writes."""
        return cls({write.id: write.state for write in writes})

    def writes_since(
        self, writes: Iterable[Write], overdue_before: datetime, settling: str | None = None
    ) -> list[Intent]:
        """The writes that were announced or settled since the mark, or are still in progress.

        An open write from before `overdue_before` counts as failed. `settling` is the id of the write being settled.
        """

        def is_recent(write: Write) -> bool:
            if write.id == settling:
                return False
            changed = self.states.get(write.id) is not write.state
            return changed or (write.state is WriteState.OPEN and write.created_at >= overdue_before)

        return [write.intent for write in writes if is_recent(write)]


async def fetch_manifests(
    client: RegistryClient, name: str, digests: Iterable[str], indexed: frozenset[str]
) -> dict[str, Manifest]:
    """Fetch the manifests that are not in `indexed`, the children of an index before the index."""
    fetched: dict[str, Manifest] = {}
    for digest in digests:
        if digest in indexed or digest in fetched:
            continue
        response = await client.get_manifest(name, digest)
        if response is None:
            continue
        manifest = parse_stored(response.body, response.media_type)
        children = [child.digest for child in manifest.children[:_MAX_CHILDREN]]
        if children:
            fetched |= await fetch_manifests(client, name, children, indexed | fetched.keys())
        fetched[digest] = manifest
    return fetched


def parse_stored(body: bytes, media_type: str) -> Manifest:
    """Parse a manifest from the registry; one that Berth would refuse today keeps its media type and size only."""
    try:
        return parse_manifest(body, media_type)
    except InvalidManifestError:
        return Manifest(media_type=media_type[:255], manifest_size=len(body))


async def align(
    session: AsyncSession,
    repository: RepositoryRow,
    state: RegistryState,
    writes: Sequence[Write],
    recent: Sequence[Intent],
    now: datetime,
) -> bool:
    """Correct the catalog where it differs from the registry, except references of `recent` writes.

    Returns True when something was corrected.
    """
    before = await queries.repository_content(session, RepositoryKey(repository.project, repository.path))
    busy = {intent.reference for intent in recent} | {intent.digest for intent in recent if intent.digest}
    correction = _Correction(session, repository, writes, now)
    changed = False
    for digest, manifest in state.manifests.items():
        if digest not in before.digests and digest not in busy:
            await correction.add_manifest(digest, manifest)
            changed = True
    for tag, found in state.tags.items():
        recorded = before.tags.get(tag)
        if found != recorded and busy.isdisjoint({tag, found, recorded}):
            await correction.set_tag(tag, recorded, found)
            changed = True
    for digest, exists in state.digests.items():
        if not exists and digest in before.digests and digest not in busy:
            await correction.drop_manifest(digest)
            changed = True
    return changed


@dataclass(frozen=True, slots=True)
class _Correction:
    """Corrections of one repository, attributed to the announced write that explains each, if there is one."""

    session: AsyncSession
    repository: RepositoryRow
    writes: Sequence[Write]
    now: datetime

    async def add_manifest(self, digest: str, manifest: Manifest) -> None:
        origin = self._origin(WriteKind.PUSH, lambda intent: intent.digest == digest)
        await changes.record_manifest(self.session, self.repository, digest, manifest, origin)

    async def set_tag(self, tag: str, recorded: str | None, digest: str | None) -> None:
        if digest is not None:
            origin = self._origin(WriteKind.PUSH, lambda intent: (intent.tag, intent.digest) == (tag, digest))
            await changes.move_tag(self.session, self.repository, tag, digest, origin)
            return
        origin = self._origin(WriteKind.DELETE, lambda intent: intent.tag == tag or intent.digest == recorded)
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
    """The digest in a response to HEAD; None when the reference does not exist."""
    return head.digest if head is not None else None
