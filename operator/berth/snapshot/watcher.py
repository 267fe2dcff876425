"""Watches the cluster and keeps the policy snapshot current, with its age.

A policy is as old as its oldest part. Each kind counts from the last response of the API server about it: a list, an
event, or the bookmark that arrives about once a minute when nothing changes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import structlog

from berth.authz.model import Snapshot
from berth.authz.policy import facts
from berth.authz.policy.builder import PolicyBuilder
from berth.kube.client import Listing, Selection, WatchEvent
from berth.kube.reflector import OnChange, Reflector, Source
from berth.kube.resources import (
    ACCESS_POLICIES,
    ACCESS_TOKENS,
    CERTIFICATIONS,
    DOCKER_REPOSITORIES,
    PROJECTS,
    REGISTRY_TEAMS,
    REGISTRY_USERS,
    SECRETS,
    Manifest,
    key_of,
)
from berth.kube.trim import without_tags
from berth.snapshot.store import StoredPolicy

_Facts = TypeVar("_Facts")
_EMPTY: Final = Snapshot(generation=0)


class _TrackedSource:
    """A source that records, for each selection, the time of its last event and the resource version it is at."""

    def __init__(self, source: Source, clock: Callable[[], float]) -> None:
        self._source = source
        self._clock = clock
        self._last_event_at: dict[Selection, float] = {}  # seconds since the epoch
        self.oldest_event_at = 0.0
        """The smallest of the times of the last events: that of the selection that has been silent for longest."""
        self.resource_versions: dict[Selection, int] = {}
        """The resource version up to which the consumer of a selection has processed every event."""
        self._advanced = asyncio.Event()

    def _record_event(self, selection: Selection) -> None:
        self._last_event_at[selection] = self._clock()
        self.oldest_event_at = min(self._last_event_at.values())

    async def listing(self, selection: Selection) -> Listing:
        listing = await self._source.listing(selection)
        self._record_event(selection)
        return listing

    async def watch(
        self, selection: Selection, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[WatchEvent, None]:
        self._advance(selection, resource_version)  # the list, or the watch before this one, has been processed
        async with aclosing(self._source.watch(selection, resource_version, timeout_seconds)) as events:
            async for event in events:
                self._record_event(selection)
                yield event
                # The consumer requested the next event, so it has processed this one.
                self._advance(selection, event.object["metadata"]["resourceVersion"])
        self._record_event(selection)  # the watch ended at its timeout

    async def advanced(self) -> None:
        """Wait until a selection is at a later resource version."""
        await self._advanced.wait()

    def _advance(self, selection: Selection, resource_version: str) -> None:
        self.resource_versions[selection] = int(resource_version)
        self._advanced.set()
        self._advanced = asyncio.Event()


class SnapshotWatcher:
    """Reflects everything that access decisions depend on: Berth's own kinds, and the Secrets of `namespace`.

    `run` it as a task. Until every kind has been listed once, `snapshot` is empty and `ready` is false; afterwards
    the snapshot stays in use while the API server is unavailable. `stored` is a policy from before a restart: it is
    used from the first failed request to the API server until everything has been listed. Changes are allowed by a
    snapshot until `max_age` seconds after the last event. `clock` is seconds since the epoch.
    """

    def __init__(
        self,
        client: Source,
        *,
        namespace: str,
        layer_size_limit: int | None,
        max_age: int,
        clock: Callable[[], float],
        public_allowed: bool = False,
        stored: StoredPolicy | None = None,
    ) -> None:
        self._builder = PolicyBuilder(layer_size_limit=layer_size_limit, public_allowed=public_allowed)
        self._max_age = timedelta(seconds=max_age)
        self._stored = stored
        self._stored_snapshot = _EMPTY
        if stored is not None:
            until = datetime.fromtimestamp(stored.last_event_at, UTC) + self._max_age
            self._stored_snapshot = replace(stored.snapshot, public_allowed=public_allowed, fresh_until=until)
        self._dated: tuple[Snapshot, Snapshot] = (_EMPTY, _EMPTY)
        self._dated_at = 0.0
        self._source = client = _TrackedSource(client, clock)
        self._log = structlog.get_logger("berth.snapshot.watcher")
        self._tokens = Reflector(
            client, ACCESS_TOKENS, on_change=self._named(facts.token_facts, self._builder.people.update_token)
        )
        self.reflectors: tuple[Reflector, ...] = (
            *self._of_projects(client),
            *self._of_people(client, namespace),
            self._tokens,
        )
        self._listed = False
        self._api_was_unavailable = False

    def _of_projects(self, client: Source) -> tuple[Reflector, ...]:
        builder = self._builder
        return (
            Reflector(client, PROJECTS, on_change=self._named(facts.project_facts, builder.update_project)),
            Reflector(
                client,
                DOCKER_REPOSITORIES,
                on_change=self._namespaced(facts.repository_facts, builder.update_repository),
                transform=without_tags,
            ),
            Reflector(client, ACCESS_POLICIES, on_change=self._namespaced(facts.policy_facts, builder.update_policy)),
        )

    def _of_people(self, client: Source, namespace: str) -> tuple[Reflector, ...]:
        people = self._builder.people
        certified = self._named(facts.certification_facts, people.update_certification)
        return (
            Reflector(client, REGISTRY_USERS, on_change=self._named(facts.user_facts, people.update_user)),
            Reflector(client, REGISTRY_TEAMS, on_change=self._named(facts.team_facts, people.update_team)),
            Reflector(client, CERTIFICATIONS, on_change=certified),
            Reflector(
                client,
                SECRETS,
                namespace,
                on_change=self._named(facts.secret_facts, people.update_secret),
                transform=facts.password_hashes_only,
            ),
        )

    @property
    def listed(self) -> bool:
        """Whether every kind has been listed at least once, so that the snapshot is read from the cluster."""
        self._listed = self._listed or all(reflector.synced.is_set() for reflector in self.reflectors)
        return self._listed

    @property
    def ready(self) -> bool:
        """Whether there is a policy: the cluster's, or the stored one while the API server is unavailable."""
        return self.listed or self._uses_stored

    @property
    def last_event_at(self) -> float:
        """Time of the last event of the kind that has been silent for longest, in seconds since the epoch."""
        if self.listed:
            return self._source.oldest_event_at
        return self._stored.last_event_at if self._stored is not None else 0.0

    async def wait_for(self, wanted: Mapping[str, int], patience: float) -> Mapping[str, int]:
        """Wait at most `patience` seconds until the policy includes these resource versions (by plural of the kind).

        Returns `resource_versions`.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while any(self.resource_versions.get(plural, -1) < version for plural, version in wanted.items()):
                    await self._source.advanced()
        return self.resource_versions

    @property
    def resource_versions(self) -> Mapping[str, int]:
        """The resource version up to which the policy includes every change, by plural of the kind.

        Empty until the policy is read from the cluster.
        """
        if not self.listed:
            return {}
        return {found.resource.plural: version for found, version in self._source.resource_versions.items()}

    @property
    def snapshot(self) -> Snapshot:
        """The present policy. Changes since the last call are applied now, in one batch."""
        if not self.listed:
            return self._stored_snapshot if self._uses_stored else _EMPTY
        present, last_event_at = self._builder.snapshot(), self.last_event_at
        if self._dated[0] is not present or self._dated_at != last_event_at:
            until = datetime.fromtimestamp(last_event_at, UTC) + self._max_age
            self._dated_at = last_event_at
            # Generations continue after those of the stored policy: they are cache keys.
            generation = self._stored_snapshot.generation + present.generation
            self._dated = (present, replace(present, generation=generation, fresh_until=until))
        return self._dated[1]

    @property
    def _uses_stored(self) -> bool:
        if self._stored is not None and not self._api_was_unavailable:
            self._api_was_unavailable = any(reflector.failures for reflector in self.reflectors)
        return self._api_was_unavailable

    def token_object(self, name: str) -> Manifest | None:
        """An AccessToken from the cache; None when the cache has none."""
        return self._tokens.objects.get(("", name))

    def observe_token(self, written: Manifest) -> None:
        """Put the response to a write of an AccessToken's status into the cache."""
        self._tokens.observe(written)

    async def run(self) -> None:
        """Watch forever. Ends by cancellation, or with the error that ended one of the watches."""
        async with asyncio.TaskGroup() as watches:
            for reflector in self.reflectors:
                watches.create_task(reflector.run(), name=f"watch {reflector.selection.resource.plural}")

    def _named(self, read: Callable[[Manifest], _Facts | None], take: Callable[[str, _Facts | None], None]) -> OnChange:
        def changed(old: Manifest | None, new: Manifest | None) -> None:
            _namespace, name = key_of(_present(old, new))
            take(name, self._read(read, new))

        return changed

    def _namespaced(
        self, read: Callable[[Manifest], _Facts | None], take: Callable[[str, str, _Facts | None], None]
    ) -> OnChange:
        def changed(old: Manifest | None, new: Manifest | None) -> None:
            namespace, name = key_of(_present(old, new))
            take(namespace, name, self._read(read, new))

        return changed

    def _read(self, read: Callable[[Manifest], _Facts | None], manifest: Manifest | None) -> _Facts | None:
        if manifest is None:
            return None
        found = read(manifest)
        if found is None and manifest["kind"] != SECRETS.kind:
            namespace, name = key_of(manifest)
            self._log.info("object grants no access", kind=manifest["kind"], namespace=namespace, name=name)
        return found


def _present(old: Manifest | None, new: Manifest | None) -> dict[str, Any]:
    found = new if new is not None else old
    if found is None:
        raise ValueError("a change has an object before or after it")
    return found
