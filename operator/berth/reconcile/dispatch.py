"""From a key to its reconciler, and from every way in which a pass can end to what the queue does next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import structlog

from berth.api.conditions import ConditionReason
from berth.kube.errors import ConflictError, KubeError
from berth.kube.resources import (
    ACCESS_TOKENS,
    CERTIFICATIONS,
    DOCKER_REPOSITORIES,
    PROJECTS,
    REGISTRY_TEAMS,
    REGISTRY_USERS,
    Resource,
)
from berth.reconcile.context import Context
from berth.reconcile.kinds.certification import reconcile_certification
from berth.reconcile.kinds.installation import reconcile_installation
from berth.reconcile.kinds.project import reconcile_project
from berth.reconcile.kinds.repository import reconcile_repository
from berth.reconcile.kinds.team import reconcile_team
from berth.reconcile.kinds.token import reconcile_token
from berth.reconcile.kinds.user import reconcile_user
from berth.reconcile.outcome import Done, Outcome, Retrying, Stalled, Waiting
from berth.reconcile.watch.enqueue import INSTALLATION
from berth.reconcile.workqueue import Key
from berth.reconcile.write.status import own_part
from berth.status.conditions import failed_status

Reconciler: TypeAlias = Callable[[Context, str], Awaitable[Outcome]]

CONFLICT_AGAIN: Final = 0.2  # seconds; the cache learns of the other write in the meantime

RECONCILERS: Final[Mapping[str, tuple[Resource | None, Reconciler]]] = {
    PROJECTS.kind: (PROJECTS, reconcile_project),
    DOCKER_REPOSITORIES.kind: (DOCKER_REPOSITORIES, reconcile_repository),
    REGISTRY_USERS.kind: (REGISTRY_USERS, reconcile_user),
    REGISTRY_TEAMS.kind: (REGISTRY_TEAMS, reconcile_team),
    ACCESS_TOKENS.kind: (ACCESS_TOKENS, reconcile_token),
    CERTIFICATIONS.kind: (CERTIFICATIONS, reconcile_certification),
    INSTALLATION.kind: (None, reconcile_installation),
}

_log = structlog.get_logger(__name__)


class RequeueError(Exception):
    """This pass did not succeed: come back after growing pauses."""


class Dispatcher:
    """The work of the queue."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def work(self, key: Key) -> float | None:
        """One pass over one key: the seconds until the next, or None. Raises when it failed; that is logged here."""
        resource, reconciler = RECONCILERS[key.kind]
        log = _log.bind(kind=key.kind, name=key.name)
        try:
            outcome = await reconciler(self._context, key.name)
        except ConflictError:
            return CONFLICT_AGAIN
        except KubeError as error:
            log.warning("a pass did not get through", error=error.sentence)
            raise
        except Exception as error:
            log.exception("an error in Berth")
            if resource is not None:
                await self._tell_error(resource, key, error)
            raise
        return _next(outcome, log)

    async def _tell_error(self, resource: Resource, key: Key, error: Exception) -> None:
        """Ready=Unknown, so that nobody takes the last good status for the present one."""
        namespace, _, name = key.name.rpartition("/")
        live = self._context.caches.live(resource, (namespace, name))
        if live is None:
            return
        message = f"Berth made an error ({type(error).__name__}) and tries again; the operator's log has the details."
        status = failed_status(
            own_part(live),
            live["metadata"]["generation"],
            ConditionReason.INTERNAL_ERROR,
            message,
            self._context.now(),
            needs_person=False,
        )
        try:
            await self._context.statuses.write(live, status)
        except KubeError as problem:
            _log.warning("the error could not be told in the status", error=problem.sentence)


def _next(outcome: Outcome, log: structlog.typing.FilteringBoundLogger) -> float | None:
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
