"""From a key to its reconciler, and from the outcome to the next reconcile of the key.

What every kind has in common is done here, once: find the live object or forget one that is gone, decode it, report
an object that cannot be decoded, report an unexpected error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import structlog

from berth.api.base import Resource as ApiResource
from berth.api.conditions import ConditionReason
from berth.api.project import Project
from berth.api.repository import DockerRepository
from berth.kube.errors import ConflictError, KubeError
from berth.kube.resources import DOCKER_REPOSITORIES, PROJECTS, Manifest, ObjectKey, Resource
from berth.reconcile.context import Context
from berth.reconcile.kinds.installation import reconcile_installation
from berth.reconcile.kinds.project import forget_project, reconcile_project
from berth.reconcile.kinds.repository import forget_repository, reconcile_repository
from berth.reconcile.kinds.status_only import STATUS_ONLY
from berth.reconcile.observe.decode import DecodeError, decode
from berth.reconcile.outcome import Done, Outcome, Retrying, Stalled, Waiting
from berth.reconcile.watch.keys import INSTALLATION, object_key
from berth.reconcile.workqueue import Key
from berth.reconcile.write.status import own_part
from berth.status.conditions import failed_status

ObjectT = TypeVar("ObjectT", bound=ApiResource)

CONFLICT_RETRY_SECONDS: Final = 0.2  # until then the cache has the write of the other client

_log = structlog.get_logger(__name__)


async def _nothing(_context: Context, _key: ObjectKey) -> None:
    """Nothing is kept for a kind with a status alone."""


@dataclass(frozen=True, slots=True)
class Reconciler(Generic[ObjectT]):
    """How objects of one kind are reconciled. `forget` cleans up after an object that is gone."""

    resource: Resource
    model: type[ObjectT]
    reconcile: Callable[[Context, ObjectT, Manifest], Awaitable[Outcome]]
    forget: Callable[[Context, ObjectKey], Awaitable[None]] = _nothing


RECONCILERS: Final[Mapping[str, Reconciler[Any]]] = {
    PROJECTS.kind: Reconciler(PROJECTS, Project, reconcile_project, forget_project),
    DOCKER_REPOSITORIES.kind: Reconciler(
        DOCKER_REPOSITORIES, DockerRepository, reconcile_repository, forget_repository
    ),
    **{row.resource.kind: Reconciler(row.resource, row.model, row.reconcile) for row in STATUS_ONLY},
}


class RequeueError(Exception):
    """A reconcile did not succeed: the key is requeued with backoff."""


class Dispatcher:
    """The work of the queue."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def work(self, key: Key) -> float | None:
        """Reconcile one key; the seconds until the next time, or None. Logs a failure and raises."""
        log = _log.bind(kind=key.kind, name=key.name)
        try:
            outcome = await self._reconcile(key)
        except ConflictError:
            return CONFLICT_RETRY_SECONDS
        except KubeError as error:
            log.warning("reconcile failed", error=error.sentence)
            raise
        except Exception as error:
            log.exception("unexpected error while reconciling")
            await self._report_internal_error(key, error)
            raise
        return _requeue_after(outcome, log)

    async def _reconcile(self, key: Key) -> Outcome:
        if key == INSTALLATION:
            return await reconcile_installation(self._context)
        reconciler = RECONCILERS[key.kind]
        live = self._context.caches.live(reconciler.resource, object_key(key))
        if live is None:
            await reconciler.forget(self._context, object_key(key))
            self._context.statuses.forget(key.kind, object_key(key))
            return Done()
        try:
            decoded = decode(reconciler.model, live)
        except DecodeError as error:
            held_back = await self._write_failure(live, ConditionReason.INVALID_SPEC, str(error), needs_person=True)
            return Stalled(str(error)) if held_back is None else Stalled(str(error), held_back)
        return await reconciler.reconcile(self._context, decoded, live)

    async def _report_internal_error(self, key: Key, error: Exception) -> None:
        """Write Ready=Unknown, because the last status may no longer hold."""
        reconciler = RECONCILERS.get(key.kind)
        live = self._context.caches.live(reconciler.resource, object_key(key)) if reconciler else None
        if live is None:
            return
        message = f"Berth made an error ({type(error).__name__}) and tries again; the operator's log has the details."
        try:
            await self._write_failure(live, ConditionReason.INTERNAL_ERROR, message, needs_person=False)
        except KubeError as problem:
            _log.warning("the error could not be written to the status", error=problem.sentence)

    async def _write_failure(
        self, live: Manifest, reason: ConditionReason, message: str, *, needs_person: bool
    ) -> float | None:
        """Write a status for an object that was not reconciled: its summary says why, the rest stays."""
        generation, now = live["metadata"]["generation"], self._context.now()
        status = failed_status(own_part(live), generation, reason, message, now, needs_person=needs_person)
        return await self._context.statuses.write(live, status)


def _requeue_after(outcome: Outcome, log: structlog.typing.FilteringBoundLogger) -> float | None:
    """Seconds until the next reconcile; None: only by an event. Raises RequeueError for backoff."""
    match outcome:
        case Done(resync_after):
            return resync_after
        case Waiting(_, after):
            return after
        case Stalled(reason, after):
            log.info("stalled", reason=reason)
            return after
        case Retrying(reason):
            log.warning("a write was refused", reason=reason)
            raise RequeueError(reason)
