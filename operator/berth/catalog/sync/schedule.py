"""The catalog's regular work: settling writes and walking registries, over and over.

What can fail from outside (registry, database) is logged and tried in the next round; anything else ends the task.
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
from berth.catalog.index.write_log import Store
from berth.catalog.sync.settle import Settler
from berth.catalog.sync.walk import Healer
from berth.registry.errors import RegistryError

SETTLE_PAUSE: Final = 2.0  # seconds
HEAL_PAUSE: Final = 10.0  # seconds between two looks at which walks are due
RETRY_WALK: Final = timedelta(minutes=1)  # after a registry did not answer
_FORGET_EVERY: Final = 150  # rounds of settling

_log = structlog.get_logger(__name__)


async def keep_settling(settler: Settler, store: Store, *, settled: Callable[[int], None], pause: float) -> None:
    """Settle writes for ever. `settled` is told how many in each round; `pause` is in seconds."""
    for count in itertools.count(1):
        try:
            settled(await settler.settle())
            if count % _FORGET_EVERY == 0:
                await store.forget_settled()
        except (SQLAlchemyError, OSError) as error:
            _log.warning("no writes could be settled", error=type(error).__name__)
        await asyncio.sleep(pause)


class Walks:
    """Walks every project's registry once in an interval. The time of a walk is kept, so a restart repeats none."""

    def __init__(
        self,
        healer: Healer,
        database: Database,
        projects: Callable[[], Iterable[Mapping[str, Any]]],
        *,
        interval: timedelta,
        now: Callable[[], datetime],
        walked: Callable[[str], None],
    ) -> None:
        """`projects` gives the present Project objects; `walked` is told how each walk ended."""
        self._healer = healer
        self._database = database
        self._projects = projects
        self._interval = interval
        self._now = now
        self._walked = walked
        self._failed: dict[str, datetime] = {}

    async def run(self, pause: float) -> None:
        """Walk what is due, for ever; `pause` is in seconds."""
        while True:
            try:
                for project in await self.due():
                    await self._walk(project)
            except (SQLAlchemyError, OSError) as error:
                _log.warning("no registry could be walked", error=type(error).__name__)
            await asyncio.sleep(pause)

    async def due(self) -> list[str]:
        """Projects whose walk is due: running, not walked within the interval, not tried a moment ago."""
        now = self._now()
        running = [str(project["metadata"]["name"]) for project in self._projects() if is_running(project)]
        async with self._database.reading() as session:
            walked = await queries.walk_times(session)
        return [
            project
            for project in running
            if walked.get(project, datetime.min.replace(tzinfo=now.tzinfo)) <= now - self._interval
            and self._failed.get(project, now - RETRY_WALK) <= now - RETRY_WALK
        ]

    async def _walk(self, project: str) -> None:
        try:
            sync = await self._healer.heal(project)
        except RegistryError as error:
            self._failed[project] = self._now()
            self._walked("unreachable")
            _log.warning("a registry could not be walked", project=project, error=error.sentence)
            return
        self._failed.pop(project, None)
        if sync is not None:
            self._walked("in-sync" if sync.in_sync else "content-missing")


def is_running(project: Mapping[str, Any]) -> bool:
    """Whether a project has a registry that answers: it is neither suspended nor being deleted."""
    return not project["metadata"].get("deletionTimestamp") and not project["spec"].get("suspend", False)
