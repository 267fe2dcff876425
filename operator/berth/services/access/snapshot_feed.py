"""Watches the cluster and keeps the policy snapshot true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import structlog

from berth.access import policy_facts as facts
from berth.access.model import Snapshot
from berth.access.policy_state import PolicyState
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

_Facts = TypeVar("_Facts")
_EMPTY: Final = Snapshot(generation=0)


class SnapshotFeed:
    """Reflects everything that decides: Berth's own kinds, and of Secrets those of `namespace` alone.

    `run` it as a task. Until every one of them was listed once, `snapshot` is empty and `ready` is false; afterwards
    the snapshot goes on serving while the API server is away.
    """

    def __init__(
        self, client: Source, *, namespace: str, layer_size_limit: int | None, public_allowed: bool = False
    ) -> None:
        self._state = PolicyState(layer_size_limit=layer_size_limit, public_allowed=public_allowed)
        self._log = structlog.get_logger("berth.access.snapshot")
        state, people = self._state, self._state.people
        self.reflectors: tuple[Reflector, ...] = (
            Reflector(client, PROJECTS, on_change=self._named(facts.project_facts, state.take_project)),
            Reflector(
                client, DOCKER_REPOSITORIES, on_change=self._namespaced(facts.repository_facts, state.take_repository)
            ),
            Reflector(client, ACCESS_POLICIES, on_change=self._namespaced(facts.policy_facts, state.take_policy)),
            Reflector(client, REGISTRY_USERS, on_change=self._named(facts.user_facts, people.take_user)),
            Reflector(client, REGISTRY_TEAMS, on_change=self._named(facts.team_facts, people.take_team)),
            Reflector(client, ACCESS_TOKENS, on_change=self._named(facts.token_facts, people.take_token)),
            Reflector(
                client, CERTIFICATIONS, on_change=self._named(facts.certification_facts, people.take_certification)
            ),
            Reflector(client, SECRETS, namespace, on_change=self._named(facts.secret_facts, people.take_secret)),
        )
        self._ready = False

    @property
    def ready(self) -> bool:
        """Whether everything was listed at least once."""
        self._ready = self._ready or all(reflector.synced.is_set() for reflector in self.reflectors)
        return self._ready

    @property
    def snapshot(self) -> Snapshot:
        """The present policy. Changes since the last look are worked in now, all together."""
        return self._state.snapshot() if self.ready else _EMPTY

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
