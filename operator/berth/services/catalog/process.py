"""The catalog process: parts wired together, served, watched over, and shut down in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import aiohttp
import structlog
import uvicorn
import uvloop
from prometheus_client import start_http_server
from sqlalchemy.exc import InterfaceError, OperationalError

from berth.api.names import registry_host
from berth.catalog.db.database import Database, open_database
from berth.catalog.index.write_log import WriteLog
from berth.catalog.model import RepositoryKey
from berth.catalog.publish.publisher import Publisher
from berth.catalog.sync.align import SyncDeps
from berth.catalog.sync.schedule import SETTLE_SECONDS, WALK_CHECK_SECONDS, WalkSchedule, run_settler
from berth.catalog.sync.settle import Settler
from berth.catalog.sync.walk import RegistryWalker
from berth.identity.service_account import ServiceAccountVerifier, cluster_keys
from berth.identity.token_file import TokenFile
from berth.kube.client import KubeClient
from berth.registry.client import RegistryClient
from berth.registry.token_source import AccessTokens
from berth.runtime.logs import configure_logs
from berth.runtime.server import Server, http_server
from berth.services.catalog.app import create_app
from berth.services.catalog.deps import Deps
from berth.services.catalog.metrics import CatalogMetrics
from berth.settings import CatalogSettings

_GRACE_SECONDS: Final = 10
_PAUSE: Final = 1.0  # seconds between two tries at start

Part: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

_log = structlog.get_logger(__name__)


def run(settings: CatalogSettings) -> None:
    """Serve until SIGTERM or SIGINT. When a part that never ends does, /healthz fails and the kubelet restarts it."""
    configure_logs("catalog", settings.log_level)
    uvloop.run(serve(settings))


async def serve(settings: CatalogSettings, kubeconfig: Path | None = None) -> None:
    """Serve until a signal, as the Pod's ServiceAccount or as a kubeconfig says."""
    async with (
        KubeClient.connect(kubeconfig, user_agent="berth-catalog") as kube,
        open_database(settings.database_url) as database,
        aiohttp.ClientSession() as session,
    ):
        process = _Process(settings, kube, database, session)
        async with process.background():
            await process.serve_api()


class _Process:
    """The parts of one running catalog."""

    def __init__(
        self, settings: CatalogSettings, kube: KubeClient, database: Database, session: aiohttp.ClientSession
    ) -> None:
        self._settings = settings
        self._database = database
        self._session = session
        self._tokens = AccessTokens(session, settings.access_url, TokenFile(settings.access_token_file).read)
        self._metrics = CatalogMetrics()
        self._migrated = asyncio.Event()
        self._migration: asyncio.Task[None] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._verifier = ServiceAccountVerifier(issuer=settings.kube_issuer, fetch_keys=cluster_keys(kube.raw_get))
        self._write_log = WriteLog(database, now=_now, new_id=lambda: uuid.uuid4().hex, on_change=self._changed)
        self._publisher = Publisher(database, self._write_log, kube, now=_now, on_outcome=self._metrics.count_publish)
        self._metrics.watch_queue_depth(lambda: self._publisher.queue_depth)

    def _changed(self, key: RepositoryKey) -> None:
        self._publisher.enqueue(key)

    def _registry(self, project: str) -> RegistryClient:
        host = registry_host(project, self._settings.cluster_domain)
        return RegistryClient(self._session, f"http://{host}", self._tokens)

    async def serve_api(self) -> None:
        """Serve the API and the metrics until a signal ends it."""
        server = Server(server_config(self._deps(), self._settings.port))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.handle_exit, number, None)
        exporter, thread = start_http_server(self._settings.metrics_port, registry=self._metrics.registry)
        try:
            await server.serve()
        finally:
            exporter.shutdown()
            thread.join()

    def _deps(self) -> Deps:
        accounts = (name.strip() for name in self._settings.client_accounts.split(","))
        return Deps(
            database=self._database,
            write_log=self._write_log,
            verifier=self._verifier,
            accounts=frozenset(f"{self._settings.namespace}/{name}" for name in accounts if name),
            metrics=self._metrics,
            migrated=self._migrated.is_set,
            ended=self._ended,
            monotonic=time.monotonic,
        )

    @contextlib.asynccontextmanager
    async def background(self) -> AsyncIterator[None]:
        """Everything that goes on besides answering calls, for as long as the block runs."""
        timeout = timedelta(seconds=self._settings.intent_timeout)
        deps = SyncDeps(self._database, self._registry, now=_now, timeout=timeout, on_change=self._changed)
        settler, walker = Settler(deps), RegistryWalker(deps)
        walks = WalkSchedule(
            walker,
            self._database,
            lambda: list(self._publisher.projects.objects.values()),
            interval=timedelta(seconds=self._settings.walk_interval),
            now=_now,
            on_walk=self._metrics.count_walk,
        )
        settling = partial(
            run_settler,
            settler,
            self._write_log,
            on_settled=self._metrics.count_settled,
            interval_seconds=SETTLE_SECONDS,
        )
        keys = self._start("cluster keys", self._verifier.keep)
        self._migration = self._start("migration", self._migrate)
        starts = (keys, self._migration)
        self._tasks = {
            "publisher": self._start("publisher", self._once_migrated(self._publisher.run)),
            "settling": self._start("settling", self._once_migrated(settling)),
            "walks": self._start("walks", self._once_migrated(partial(walks.run, WALK_CHECK_SECONDS))),
        }
        try:
            yield
        finally:
            for task in (*starts, *self._tasks.values()):
                task.cancel()
            await asyncio.gather(*starts, *self._tasks.values(), return_exceptions=True)

    def _start(self, name: str, part: Part) -> asyncio.Task[None]:
        task = asyncio.create_task(part(), name=name)
        task.add_done_callback(_tell_end)
        return task

    def _once_migrated(self, part: Part) -> Part:
        async def wait_and_run() -> None:
            await self._migrated.wait()
            await part()

        return wait_and_run

    def _ended(self) -> Mapping[str, str]:
        """Parts that must run for ever and have ended, with the kind of error that ended them."""
        ended = {name: _why(task) for name, task in self._tasks.items() if task.done()}
        if self._migration is not None and self._migration.done() and not self._migrated.is_set():
            ended["migration"] = _why(self._migration)
        return ended

    async def _migrate(self) -> None:
        """Wait for the database and bring it to this version. Every part but the probes waits for that."""
        while True:
            try:
                await self._database.migrate()
            except (OperationalError, InterfaceError, OSError) as error:
                told = str(getattr(error, "orig", None) or error)[:300]
                _log.warning("the database does not answer yet", error=told)
                await asyncio.sleep(_PAUSE)
            else:
                self._migrated.set()
                return


def server_config(deps: Deps, port: int) -> uvicorn.Config:
    """How the application is served."""
    return http_server(create_app(deps), port, grace=_GRACE_SECONDS)


def _tell_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("a part of the process ended", part=task.get_name(), exc_info=task.exception())


def _why(task: asyncio.Task[None]) -> str:
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    return type(error).__name__ if error is not None else "it returned"


def _now() -> datetime:
    return datetime.now(UTC)
