"""Writing statuses: only when they differ, as one server-side apply of what the operator owns, on `/status` alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from berth.api import names
from berth.api.base import rfc3339
from berth.api.conditions import ConditionReason, ConditionType
from berth.kube.client import KubeClient
from berth.kube.errors import Conflict, NotFound
from berth.kube.resources import DOCKER_REPOSITORIES, Manifest, ObjectKey, key_of, resource_of
from berth.reconcile.caches import Caches

SETTLE: Final = 5.0  # seconds for which news of mere progress are held back after a write

_CATALOGS_CONDITIONS: Final = frozenset({ConditionType.CATALOG_IN_SYNC.value})
_CATALOGS_FIELDS: Final = frozenset({"tags", "tagCount", "digestCount", "lastPush"})


class StatusWriter:
    """Writes statuses of Berth's own kinds.

    While an object is on its way to Ready, each step would be a write of its own (claim pending, pod starting, probe
    running); news of that sort wait until the last write is `SETTLE` seconds old. News of success, of an obstacle, or
    of another generation never wait.
    """

    def __init__(self, client: KubeClient, caches: Caches, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._caches = caches
        self._clock = clock
        self._written: dict[tuple[str, ObjectKey], float] = {}

    async def write(self, live: Manifest, status: Mapping[str, Any]) -> float | None:
        """Make the status so. Returns None when it is, or the seconds after which it should be tried again."""
        present = own_part(live)
        if present == status:
            return None
        mark = (live["kind"], key_of(live))
        age = self._clock() - self._written.get(mark, float("-inf"))
        if age < SETTLE and _mere_progress(present, status):
            return SETTLE - age
        metadata = {key: live["metadata"][key] for key in ("name", "namespace", "uid") if key in live["metadata"]}
        body = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata, "status": dict(status)}
        try:
            written = await self._client.apply(
                resource_of(live), body, field_manager=names.FIELD_MANAGER_OPERATOR, subresource="status"
            )
        except (NotFound, Conflict):
            self._written.pop(mark, None)  # deleted, or replaced by another of its name: there is nothing to tell
            return None
        self._caches.observe(written)
        self._written[mark] = self._clock()
        return None

    def forget(self, kind: str, key: ObjectKey) -> None:
        """The object is gone."""
        self._written.pop((kind, key), None)


def own_part(live: Manifest) -> dict[str, Any]:
    """The part of a live status that the operator writes: all of it, but for what the catalog writes on repositories."""
    status: dict[str, Any] = dict(live.get("status") or {})
    if resource_of(live) != DOCKER_REPOSITORIES:
        return status
    own = {field: value for field, value in status.items() if field not in _CATALOGS_FIELDS}
    if "conditions" in own:
        own["conditions"] = [found for found in own["conditions"] if found["type"] not in _CATALOGS_CONDITIONS]
    return own


def broken_status(
    live: Manifest, reason: ConditionReason, message: str, now: datetime, *, stalled: bool
) -> dict[str, Any]:
    """The present status with Ready taken back: Unknown after an error in Berth, False with Stalled for a bad object."""
    status = own_part(live)
    generation = int(live["metadata"].get("generation", 0))
    present = {found["type"]: found for found in status.get("conditions") or ()}
    replaced = {ConditionType.READY.value: "False" if stalled else "Unknown"}
    if stalled:
        replaced[ConditionType.STALLED.value] = "True"
    for kind, value in replaced.items():
        before = present.get(kind)
        since = before["lastTransitionTime"] if before and before["status"] == value else rfc3339(now)
        present[kind] = {
            "type": kind,
            "status": value,
            "reason": reason.value,
            "message": message,
            "lastTransitionTime": since,
            "observedGeneration": generation,
        }
    for gone in {ConditionType.RECONCILING.value, ConditionType.STALLED.value} - set(replaced):
        present.pop(gone, None)
    return {**status, "observedGeneration": generation, "conditions": list(present.values())}


def condition(status: Mapping[str, Any], kind: ConditionType) -> Mapping[str, Any] | None:
    """One condition of a status, if it is there."""
    return next((found for found in status.get("conditions") or () if found["type"] == kind.value), None)


def is_true(status: Mapping[str, Any], kind: ConditionType) -> bool:
    """Whether a condition is there and True."""
    found = condition(status, kind)
    return found is not None and found["status"] == "True"


def _mere_progress(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether both say "under way" for the same generation, so that only words differ."""
    return before.get("observedGeneration") == after.get("observedGeneration") and all(
        not is_true(status, ConditionType.READY) and not is_true(status, ConditionType.STALLED)
        for status in (before, after)
    )
