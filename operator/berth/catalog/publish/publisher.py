"""Publish the catalog in the cluster: create a repository's object at its first push, and write its status.

Level-triggered: a key means that a repository may differ, and the present content of the catalog is written when it is
processed. Only differences are written, so a restart writes nothing. A status is written at once and then at most once
a second, however many pushes there are.
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
from berth.catalog.index.write_log import WriteLog
from berth.catalog.model import RepositoryKey, RepositoryView
from berth.catalog.publish import manifests
from berth.catalog.publish.cache import RepositoryCache
from berth.catalog.publish.debounce import DebouncedQueue
from berth.kube.client import KubeClient
from berth.kube.errors import ConflictError, KubeError, UnavailableError
from berth.kube.reflector import Reflector
from berth.kube.resources import DOCKER_REPOSITORIES, PROJECTS, Manifest

WORKERS: Final = 4
_FIRST_RETRY_SECONDS: Final = 0.25
_MAX_RETRY_SECONDS: Final = 30.0
_MAX_UNAVAILABLE_RETRY_SECONDS: Final = 5.0  # short, so that pushes show soon after an outage of the API server
_DATABASE_RETRY_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)


class Publisher:
    """Writes the objects and statuses of enqueued repositories. Run `run` as a task."""

    def __init__(
        self,
        database: Database,
        write_log: WriteLog,
        client: KubeClient,
        *,
        now: Callable[[], datetime],
        interval_seconds: float = 1.0,
        on_outcome: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        """`on_outcome` is called after each try with `created`, `written`, `unchanged` or `failed`."""
        self._database = database
        self._write_log = write_log
        self._client = client
        self._now = now
        self._on_outcome = on_outcome
        self._queue: DebouncedQueue[RepositoryKey] = DebouncedQueue(interval_seconds)
        self._failures: dict[RepositoryKey, int] = {}
        self._objects = RepositoryCache(client, self.enqueue)
        self._projects = Reflector(client, PROJECTS, on_change=self._on_project)
        self._changed_projects: asyncio.Queue[str] = asyncio.Queue()
        self._is_listing = False

    @property
    def projects(self) -> Reflector:
        """The cache of the cluster's projects."""
        return self._projects

    @property
    def queue_depth(self) -> int:
        """Number of repositories that wait or are being processed."""
        return len(self._queue)

    @property
    def is_idle(self) -> bool:
        """Whether the caches are synced and nothing waits to be published."""
        synced = self._projects.synced.is_set() and self._objects.reflector.synced.is_set()
        return synced and self._changed_projects.empty() and not self._is_listing and not self._queue

    def enqueue(self, key: RepositoryKey) -> None:
        """Publish the repository if it differs."""
        self._queue.add(key)

    async def run(self) -> None:
        """Watch and publish forever. Ends by cancellation, or with the error that stopped it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._projects.run())
            tasks.create_task(self._objects.reflector.run())
            await self._projects.synced.wait()
            await self._objects.reflector.synced.wait()
            for _ in range(WORKERS):
                tasks.create_task(self._work())
            tasks.create_task(self._enqueue_projects())

    def _on_project(self, old: Manifest | None, new: Manifest | None) -> None:
        """Enqueue a project's repositories when it is first seen (so at every start) and when its spec changes."""
        if new is not None and (old is None or old["spec"] != new["spec"]):
            self._changed_projects.put_nowait(str(new["metadata"]["name"]))

    async def _enqueue_projects(self) -> None:
        while True:
            project = await self._changed_projects.get()
            self._is_listing = True
            try:
                async with self._database.reading() as session:
                    paths = await queries.repositories(session, project, limit=None)
            except (SQLAlchemyError, OSError) as error:
                _log.warning("database unavailable", error=type(error).__name__)
                self._changed_projects.put_nowait(project)
                await asyncio.sleep(_DATABASE_RETRY_SECONDS)
                continue
            for path in paths:
                self.enqueue(RepositoryKey(project, path))
            self._is_listing = False

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            outcome, retry_in = "failed", None
            try:
                outcome = await self._publish(key)
                self._failures.pop(key, None)
            except (KubeError, SQLAlchemyError, OSError) as error:
                retry_in = self._backoff(key, error)
                reason = error.sentence if isinstance(error, KubeError) else type(error).__name__
                log = _log.debug if isinstance(error, ConflictError) else _log.warning
                log("publishing a repository failed", repository=key.name, error=reason, retry_in=retry_in)
            finally:
                self._queue.done(key, effect=outcome in ("created", "written"), retry_in=retry_in)
            self._on_outcome(outcome)

    async def _publish(self, key: RepositoryKey) -> str:
        project = self._projects.objects.get(("", key.project))
        if project is None:
            return "unchanged"
        # Read the object before the catalog: then a status written over a later object is computed from later content.
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
            await self._write_log.clear_object_due(key)
        return outcome

    async def _create(self, key: RepositoryKey) -> Manifest:
        namespace = names.project_namespace(key.project)
        usual = manifests.object_name(key.path, taken=False)
        taken = self._objects.get(namespace, usual) is not None
        body = manifests.build_object(key, manifests.object_name(key.path, taken))
        # Create, never apply: an object of this name that a user has just created stays theirs.
        created = await self._client.create(DOCKER_REPOSITORIES, body, field_manager=names.FIELD_MANAGER_CATALOG)
        self._objects.observe(created)
        return created

    async def _write_status(self, live: Manifest, status: dict[str, object]) -> None:
        metadata = {field: live["metadata"][field] for field in ("name", "namespace", "uid")}
        if self._database.is_postgresql:
            # Another replica may have written a newer status since `live` was read: conflict and retry.
            metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
        body = {"apiVersion": names.API_VERSION, "kind": "DockerRepository", "metadata": metadata, "status": status}
        written = await self._client.apply(
            DOCKER_REPOSITORIES, body, field_manager=names.FIELD_MANAGER_CATALOG, subresource="status"
        )
        self._objects.observe(written)

    def _backoff(self, key: RepositoryKey, error: Exception) -> float:
        self._failures[key] = failures = self._failures.get(key, 0) + 1
        longest = _MAX_UNAVAILABLE_RETRY_SECONDS if isinstance(error, UnavailableError) else _MAX_RETRY_SECONDS
        return float(min(longest, _FIRST_RETRY_SECONDS * 2 ** (failures - 1)))
