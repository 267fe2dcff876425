"""Watches the cluster and keeps the policy snapshot true, and says how old it is.

A policy is as old as the oldest of its parts: the time of the last word of the API server about each kind counts, be
it a list, a change, or the bookmark that comes about once a minute when nothing changes.
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


class _Listening:
    """A source that remembers when it last heard of each selection, in seconds since the epoch, and how far whoever
    follows it has come: the resource version up to which every change was taken in."""

    def __init__(self, source: Source, clock: Callable[[], float]) -> None:
        self._source = source
        self._clock = clock
        self._heard: dict[Selection, float] = {}
        self.oldest = 0.0
        """When the selection was last heard of that has been silent for longest; of those that ever were."""
        self.reached: dict[Selection, int] = {}
        self._moved = asyncio.Event()

    def _hear(self, selection: Selection) -> None:
        self._heard[selection] = self._clock()
        self.oldest = min(self._heard.values())

    async def listing(self, selection: Selection) -> Listing:
        listing = await self._source.listing(selection)
        self._hear(selection)
        return listing

    async def watch(
        self, selection: Selection, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[WatchEvent, None]:
        self._reach(selection, resource_version)  # the list, or the watch before this one, was taken in
        async with aclosing(self._source.watch(selection, resource_version, timeout_seconds)) as events:
            async for event in events:
                self._hear(selection)
                yield event
                self._reach(selection, event.object["metadata"]["resourceVersion"])  # asked for more: it is taken in
        self._hear(selection)  # it ended as the API server said it would

    async def moved(self) -> None:
        """Wait until somebody has come further."""
        await self._moved.wait()

    def _reach(self, selection: Selection, resource_version: str) -> None:
        self.reached[selection] = int(resource_version)
        self._moved.set()
        self._moved = asyncio.Event()


class SnapshotFeed:
    """Reflects everything that decides: Berth's own kinds, and of Secrets those of `namespace` alone.

    `run` it as a task. Until every one of them was listed once, `snapshot` is empty and `ready` is false; afterwards
    the snapshot goes on serving while the API server is away. With `stored`, a policy from before a restart, that one
    serves from the moment that the API server was found to be away until everything was listed. A snapshot is good
    for changes `max_age` seconds from the last word of the API server on. `clock` is seconds since the epoch.
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
        self._state = PolicyBuilder(layer_size_limit=layer_size_limit, public_allowed=public_allowed)
        self._max_age = timedelta(seconds=max_age)
        self._stored = stored
        self._stored_snapshot = _EMPTY
        if stored is not None:
            until = datetime.fromtimestamp(stored.heard, UTC) + self._max_age
            self._stored_snapshot = replace(stored.snapshot, public_allowed=public_allowed, fresh_until=until)
        self._dated: tuple[Snapshot, Snapshot] = (_EMPTY, _EMPTY)
        self._dated_at = 0.0
        self._listening = client = _Listening(client, clock)
        self._log = structlog.get_logger("berth.access.snapshot")
        self._tokens = Reflector(
            client, ACCESS_TOKENS, on_change=self._named(facts.token_facts, self._state.people.update_token)
        )
        self.reflectors: tuple[Reflector, ...] = (
            *self._of_projects(client),
            *self._of_people(client, namespace),
            self._tokens,
        )
        self._listed = False
        self._api_was_away = False

    def _of_projects(self, client: Source) -> tuple[Reflector, ...]:
        state = self._state
        return (
            Reflector(client, PROJECTS, on_change=self._named(facts.project_facts, state.update_project)),
            Reflector(
                client,
                DOCKER_REPOSITORIES,
                on_change=self._namespaced(facts.repository_facts, state.update_repository),
                keep=without_tags,
            ),
            Reflector(client, ACCESS_POLICIES, on_change=self._namespaced(facts.policy_facts, state.update_policy)),
        )

    def _of_people(self, client: Source, namespace: str) -> tuple[Reflector, ...]:
        people = self._state.people
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
                keep=facts.password_hashes_only,
            ),
        )

    @property
    def listed(self) -> bool:
        """Whether everything was listed at least once, so that the policy is the cluster's own."""
        self._listed = self._listed or all(reflector.synced.is_set() for reflector in self.reflectors)
        return self._listed

    @property
    def ready(self) -> bool:
        """Whether there is a policy to serve by: the cluster's own, or while the cluster is away the stored one."""
        return self.listed or self._serves_stored

    @property
    def heard(self) -> float:
        """When the API server last said something about the part that it has been silent about for longest."""
        if self.listed:
            return self._listening.oldest
        return self._stored.heard if self._stored is not None else 0.0

    async def reach(self, wanted: Mapping[str, int], patience: float) -> Mapping[str, int]:
        """Wait until the policy holds every change up to these resource versions (by plural of the kind), at most
        `patience` seconds; how far it has come. Nothing, as long as it is not the cluster's own policy that serves."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while any(self.reached.get(plural, -1) < version for plural, version in wanted.items()):
                    await self._listening.moved()
        return self.reached

    @property
    def reached(self) -> Mapping[str, int]:
        """The resource version up to which the policy holds every change, by plural of the kind; see `reach`."""
        if not self.listed:
            return {}
        return {found.resource.plural: version for found, version in self._listening.reached.items()}

    @property
    def snapshot(self) -> Snapshot:
        """The present policy. Changes since the last look are worked in now, all together."""
        if not self.listed:
            return self._stored_snapshot if self._serves_stored else _EMPTY
        present, heard = self._state.snapshot(), self.heard
        if self._dated[0] is not present or self._dated_at != heard:
            until = datetime.fromtimestamp(heard, UTC) + self._max_age
            self._dated_at = heard
            # Generations go on where those of the stored policy ended: they are keys of caches.
            generation = self._stored_snapshot.generation + present.generation
            self._dated = (present, replace(present, generation=generation, fresh_until=until))
        return self._dated[1]

    @property
    def _serves_stored(self) -> bool:
        if self._stored is not None and not self._api_was_away:
            self._api_was_away = any(reflector.failures for reflector in self.reflectors)
        return self._api_was_away

    def token_object(self, name: str) -> Manifest | None:
        """An AccessToken as it is known here."""
        return self._tokens.objects.get(("", name))

    def observe_token(self, written: Manifest) -> None:
        """Take the answer to a write of an AccessToken's status."""
        self._tokens.observe(written)

    async def run(self) -> None:
        """Watch for ever. Ends by cancellation, or with the error that ended one of the watches."""
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
            self._log.info("object gives nobody access", kind=manifest["kind"], namespace=namespace, name=name)
        return found


def _present(old: Manifest | None, new: Manifest | None) -> dict[str, Any]:
    found = new if new is not None else old
    if found is None:
        raise ValueError("a change has an object before or after it")
    return found
