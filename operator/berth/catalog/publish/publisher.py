"""Shows the catalog in the cluster: makes the object of a repository at its first push, and writes its status.

Level-triggered: a key says that a repository may look different, and what is written is what the catalog knows when
it is written. Nothing is written that is so already, so a restart writes nothing. A status is written at once and
then at most once a second, however many pushes there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from berth.api import names
from berth.catalog.db.database import Database
from berth.catalog.index import queries
from berth.catalog.index.write_log import Store
from berth.catalog.model import RepositoryKey, RepositoryView
from berth.catalog.publish import manifests
from berth.catalog.publish.cache import RepositoryObjects
from berth.catalog.publish.debounce import DebouncedQueue
from berth.kube.client import KubeClient
from berth.kube.errors import ConflictError, KubeError, UnavailableError
from berth.kube.reflector import Reflector
from berth.kube.resources import DOCKER_REPOSITORIES, PROJECTS, Manifest

WORKERS: Final = 4
_RETRY_FIRST: Final = 0.25  # seconds
_RETRY_LIMIT: Final = 30.0  # seconds
_AWAY_LIMIT: Final = 5.0  # seconds; after an outage of the API server what was pushed meanwhile shows soon
_DATABASE_PAUSE: Final = 1.0  # seconds

_log = structlog.get_logger(__name__)


class Publisher:
    """Writes objects and status for the repositories it is given. Run `run` as a task."""

    def __init__(
        self,
        database: Database,
        store: Store,
        client: KubeClient,
        *,
        now: Callable[[], datetime],
        interval: float = 1.0,
        published: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        """`published` is told the outcome of each try: `created`, `written`, `unchanged` or `failed`."""
        self._database = database
        self._store = store
        self._client = client
        self._now = now
        self._published = published
        self._queue: DebouncedQueue[RepositoryKey] = DebouncedQueue(interval)
        self._failures: dict[RepositoryKey, int] = {}
        self._objects = RepositoryObjects(client, self.enqueue)
        self._projects = Reflector(client, PROJECTS, on_change=self._on_project)
        self._arrived: asyncio.Queue[str] = asyncio.Queue()
        self._reading = False

    @property
    def projects(self) -> Reflector:
        """The projects of the cluster, as far as they are known."""
        return self._projects

    @property
    def backlog(self) -> int:
        """Repositories that wait to be looked at."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Whether everything was read, and nothing waits: what can be shown is shown."""
        synced = self._projects.synced.is_set() and self._objects.reflector.synced.is_set()
        return synced and self._arrived.empty() and not self._reading and not self._queue

    def enqueue(self, key: RepositoryKey) -> None:
        """The repository may look different now."""
        self._queue.add(key)

    async def run(self) -> None:
        """Watch, and publish what differs, for ever. Ends by cancellation, or with the error that stopped it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._projects.run())
            tasks.create_task(self._objects.reflector.run())
            await self._projects.synced.wait()
            await self._objects.reflector.synced.wait()
            for _ in range(WORKERS):
                tasks.create_task(self._work())
            tasks.create_task(self._enqueue_arrived())

    def _on_project(self, old: Manifest | None, new: Manifest | None) -> None:
        """Look at a project's repositories when it is first seen (so at every start), and when its spec changes."""
        if new is not None and (old is None or old["spec"] != new["spec"]):
            self._arrived.put_nowait(str(new["metadata"]["name"]))

    async def _enqueue_arrived(self) -> None:
        while True:
            project = await self._arrived.get()
            self._reading = True
            try:
                async with self._database.reading() as session:
                    paths = await queries.repositories(session, project, limit=None)
            except (SQLAlchemyError, OSError) as error:
                _log.warning("the catalog's database did not answer", error=type(error).__name__)
                self._arrived.put_nowait(project)
                await asyncio.sleep(_DATABASE_PAUSE)
                continue
            for path in paths:
                self.enqueue(RepositoryKey(project, path))
            self._reading = False

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            outcome, retry_in = "failed", None
            try:
                outcome = await self._publish(key)
                self._failures.pop(key, None)
            except (KubeError, SQLAlchemyError, OSError) as error:
                retry_in = self._backoff(key, error)
                told = error.sentence if isinstance(error, KubeError) else type(error).__name__
                level = _log.debug if isinstance(error, ConflictError) else _log.warning
                level("a repository could not be shown yet", repository=key.name, error=told, retry_in=retry_in)
            finally:
                self._queue.done(key, effect=outcome in ("created", "written"), retry_in=retry_in)
            self._published(outcome)

    async def _publish(self, key: RepositoryKey) -> str:
        project = self._projects.objects.get(("", key.project))
        if project is None:
            return "unchanged"
        # First the object, then the catalog: whoever wrote the object later has also read the catalog later.
        live = self._objects.find(key)
        async with self._database.reading() as session:
            view = await queries.repository_view(session, key)
            sync = await queries.project_sync(session, key.project)
        outcome = "unchanged"
        if live is None:
            if view is None or not view.object_due or project["spec"].get("repositoryCreation", "OnPush") != "OnPush":
                return outcome
            live, outcome = await self._create(key), "created"
        if live["spec"].get("external") is not None:
            return outcome
        view = view or RepositoryView(key, (), 0, 0, None, sync, object_due=False)
        status = manifests.build_status(view, live, self._now())
        if manifests.differs(live, status):
            await self._write_status(live, status)
            outcome = outcome if outcome == "created" else "written"
        if view.object_due:
            await self._store.object_shown(key)
        return outcome

    async def _create(self, key: RepositoryKey) -> Manifest:
        namespace = names.project_namespace(key.project)
        usual = manifests.object_name(key.path, taken=False)
        taken = self._objects.named(namespace, usual) is not None
        body = manifests.build_object(key, manifests.object_name(key.path, taken))
        # Created, never applied: an object of this name that somebody made a moment ago is theirs, and stays so.
        made = await self._client.create(DOCKER_REPOSITORIES, body, field_manager=names.FIELD_MANAGER_CATALOG)
        self._objects.observe(made)
        return made

    async def _write_status(self, live: Manifest, status: dict[str, object]) -> None:
        metadata = {part: live["metadata"][part] for part in ("name", "namespace", "uid")}
        if self._database.is_postgresql:
            # Another replica may have written something newer since this one looked: then look again.
            metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
        body = {"apiVersion": names.API_VERSION, "kind": "DockerRepository", "metadata": metadata, "status": status}
        written = await self._client.apply(
            DOCKER_REPOSITORIES, body, field_manager=names.FIELD_MANAGER_CATALOG, subresource="status"
        )
        self._objects.observe(written)

    def _backoff(self, key: RepositoryKey, error: Exception) -> float:
        self._failures[key] = failures = self._failures.get(key, 0) + 1
        longest = _AWAY_LIMIT if isinstance(error, UnavailableError) else _RETRY_LIMIT
        return float(min(longest, _RETRY_FIRST * 2 ** (failures - 1)))
