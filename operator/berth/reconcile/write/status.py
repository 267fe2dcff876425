"""Write statuses: only when they differ, as one server-side apply of the operator's part, on `/status` alone."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final

from berth.api import names
from berth.api.conditions import ConditionReason, ConditionType
from berth.kube.client import KubeClient
from berth.kube.errors import ConflictError, NotFoundError
from berth.kube.resources import ACCESS_TOKENS, DOCKER_REPOSITORIES, Manifest, ObjectKey, key_of, resource_of
from berth.reconcile.watch.caches import Caches
from berth.reconcile.write.policy_propagation import RETRY_SECONDS
from berth.status.conditions import failed_status
from berth.status.repository import OWNED_CONDITIONS

PROGRESS_SECONDS: Final = 5.0  # between two writes that report progress only

_OF_REPOSITORY: Final = frozenset({"observedGeneration", "conditions", "address"})
_CONDITIONS_OF_REPOSITORY: Final = frozenset(kind.value for kind in OWNED_CONDITIONS)


class StatusWriter:
    """Writes statuses of Berth's own kinds.

    Until an object is Ready each step would be a write of its own (claim pending, pod starting, probe running), so
    writes that report progress only are `PROGRESS_SECONDS` apart. Success, an obstacle and a new generation are
    written at once.

    A status is written only when it is in force at the gateway: `not_propagated` returns an empty text when every
    replica of access has the present policy, else a sentence that says why not. A new generation gets a status with
    that sentence meanwhile.
    """

    def __init__(
        self,
        client: KubeClient,
        caches: Caches,
        not_propagated: Callable[[], Awaitable[str]],
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._caches = caches
        self._not_propagated = not_propagated
        self._now = now
        self._clock = clock
        self._written: dict[tuple[str, ObjectKey], float] = {}

    async def write(self, live: Manifest, status: Mapping[str, Any]) -> float | None:
        """Write the status when it differs. Returns None when it is as given, else the seconds until the next try."""
        present = own_part(live)
        if _canonical(present) == _canonical(status):
            return None
        mark = (live["kind"], key_of(live))
        age = self._clock() - self._written.get(mark, float("-inf"))
        if age < PROGRESS_SECONDS and _is_progress_only(present, status):
            return PROGRESS_SECONDS - age
        problem = await self._not_propagated()
        if not problem:
            await self._store(live, status)
            return None
        if present.get("observedGeneration") != live["metadata"]["generation"]:
            await self._store(live, self._pending(live, present, problem))
        return RETRY_SECONDS

    def _pending(self, live: Manifest, present: Mapping[str, Any], problem: str) -> dict[str, Any]:
        """The present status with a summary that says what it waits for."""
        generation, reason = live["metadata"]["generation"], ConditionReason.POLICY_PENDING
        message = f"Not in force everywhere yet: {problem[0].lower()}{problem[1:]}"
        return failed_status(present, generation, reason, message, self._now(), needs_person=False)

    async def _store(self, live: Manifest, status: Mapping[str, Any]) -> None:
        mark = (live["kind"], key_of(live))
        metadata = {key: live["metadata"][key] for key in ("name", "namespace", "uid") if key in live["metadata"]}
        body = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata, "status": _filled(status)}
        try:
            written = await self._client.apply(
                resource_of(live), body, field_manager=names.FIELD_MANAGER_OPERATOR, subresource="status"
            )
        except (NotFoundError, ConflictError):
            self._written.pop(mark, None)  # deleted, or replaced by another object of its name
            return
        self._caches.observe(written)
        self._written[mark] = self._clock()

    def forget(self, kind: str, key: ObjectKey) -> None:
        """The object is gone."""
        self._written.pop((kind, key), None)


def own_part(live: Manifest) -> dict[str, Any]:
    """The operator's part of a live status.

    Without the fields of the catalog on repositories and of the access service on tokens.
    """
    status: dict[str, Any] = dict(live.get("status") or {})
    if resource_of(live) == ACCESS_TOKENS:
        status.pop("lastUsed", None)
    if resource_of(live) != DOCKER_REPOSITORIES:
        return status
    own = {field: value for field, value in status.items() if field in _OF_REPOSITORY}
    if "conditions" in own:
        own["conditions"] = [found for found in own["conditions"] if found["type"] in _CONDITIONS_OF_REPOSITORY]
    return own


def is_true(status: Mapping[str, Any], kind: ConditionType) -> bool:
    """Whether a condition is there and True."""
    return any(found["type"] == kind.value and found["status"] == "True" for found in status.get("conditions") or ())


def _canonical(status: Mapping[str, Any]) -> dict[str, Any]:
    """The status with its conditions by type: their order means nothing, and the API server may change it."""
    return {**_filled(status), "conditions": {found["type"]: found for found in status.get("conditions") or ()}}


def _filled(status: Mapping[str, Any]) -> dict[str, Any]:
    """The status without empty lists: the API server keeps an applied empty list or drops it, as it was before."""
    return {field: value for field, value in status.items() if value != []}


def _is_progress_only(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether both statuses report progress of the same generation, so that only words differ."""
    return before.get("observedGeneration") == after.get("observedGeneration") and all(
        not is_true(status, ConditionType.READY) and not is_true(status, ConditionType.STALLED)
        for status in (before, after)
    )
