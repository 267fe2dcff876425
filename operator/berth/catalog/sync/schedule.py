"""Run the settler and the registry walks at their intervals.

Errors of a registry or of the database are logged and retried in the next round; any other error ends the task.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from berth.catalog.db.database import Database
from berth.catalog.index import queries
from berth.catalog.index.write_log import WriteLog
from berth.catalog.sync.settle import Settler
from berth.catalog.sync.walk import RegistryWalker
from berth.registry.errors import RegistryError

SETTLE_SECONDS: Final = 2.0
WALK_CHECK_SECONDS: Final = 10.0
"""Seconds between two checks for due walks."""
WALK_RETRY: Final = timedelta(minutes=1)  # after a registry did not respond
_DELETE_ROUNDS: Final = 150  # rounds of settling between two deletions of old writes

_log = structlog.get_logger(__name__)


async def run_settler(
    settler: Settler, write_log: WriteLog, *, on_settled: Callable[[int], None], interval_seconds: float
) -> None:
    """Settle writes forever. `on_settled` is called with the number of writes settled in each round."""
    for count in itertools.count(1):
        try:
            on_settled(await settler.settle())
            if count % _DELETE_ROUNDS == 0:
                await write_log.delete_settled()
        except (SQLAlchemyError, OSError) as error:
            _log.warning("settling writes failed", error=type(error).__name__)
        await asyncio.sleep(interval_seconds)


class WalkSchedule:
    """Walks every project's registry once per interval. The last walk is stored, so a restart repeats none."""

    def __init__(
        self,
        walker: RegistryWalker,
        database: Database,
        projects: Callable[[], Iterable[Mapping[str, Any]]],
        *,
        interval: timedelta,
        now: Callable[[], datetime],
        on_walk: Callable[[str], None],
    ) -> None:
        """`projects` returns the present Project objects; `on_walk` is called with the outcome of each walk."""
        self._walker = walker
        self._database = database
        self._projects = projects
        self._interval = interval
        self._now = now
        self._on_walk = on_walk
        self._failed: dict[str, datetime] = {}

    async def run(self, check_seconds: float) -> None:
        """Check for due walks and run them, forever."""
        while True:
            try:
                for project in await self.due():
                    await self._walk(project)
            except (SQLAlchemyError, OSError) as error:
                _log.warning("walking registries failed", error=type(error).__name__)
            await asyncio.sleep(check_seconds)

    async def due(self) -> list[str]:
        """Running projects that were not walked within the interval and did not just fail."""
        now = self._now()
        running = [str(project["metadata"]["name"]) for project in self._projects() if is_running(project)]
        async with self._database.reading() as session:
            walked = await queries.walk_times(session)
        return [
            project
            for project in running
            if walked.get(project, datetime.min.replace(tzinfo=now.tzinfo)) <= now - self._interval
            and self._failed.get(project, now - WALK_RETRY) <= now - WALK_RETRY
        ]

    async def _walk(self, project: str) -> None:
        try:
            sync = await self._walker.walk(project)
        except RegistryError as error:
            self._failed[project] = self._now()
            self._on_walk("unreachable")
            _log.warning("registry walk failed", project=project, error=error.sentence)
            return
        self._failed.pop(project, None)
        if sync is not None:
            self._on_walk("in-sync" if sync.in_sync else "content-missing")


def is_running(project: Mapping[str, Any]) -> bool:
    """Whether a project has a running registry: it is neither suspended nor being deleted."""
    return not project["metadata"].get("deletionTimestamp") and not project["spec"].get("suspend", False)
