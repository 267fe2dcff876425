"""The catalog process: builds its parts, serves, and shuts down in order."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import structlog
import uvicorn
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
from berth.registry.token_source import RegistryTokenSource
from berth.runtime.health import serve_health
from berth.runtime.logs import configure_logs
from berth.runtime.server import http_server, serve_until
from berth.runtime.supervisor import Supervisor, run_process, stop_on_signals
from berth.services.catalog.app import create_app, readiness
from berth.services.catalog.deps import Deps
from berth.services.catalog.metrics import CatalogMetrics
from berth.settings import CatalogSettings

_GRACE_SECONDS: Final = 10
_MIGRATION_RETRY: Final = 1.0  # seconds

_log = structlog.get_logger(__name__)


def run(settings: CatalogSettings) -> None:
    """Serve until SIGTERM or SIGINT. Exit with status 1 when a task of the process has ended."""
    configure_logs("catalog", settings.log_level)
    run_process(serve(settings))


async def serve(settings: CatalogSettings, kubeconfig: Path | None = None) -> None:
    """Serve until a signal. Connects as the pod's ServiceAccount or by a kubeconfig. Raises TasksEndedError."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with (
        KubeClient.connect(kubeconfig, user_agent="berth-catalog") as kube,
        open_database(settings.database_url) as database,
        aiohttp.ClientSession() as session,
        Supervisor(stop) as supervisor,
    ):
        process = _Process(settings, kube, database, session)
        deps = process.deps(supervisor)
        process.start_tasks(supervisor, deps)
        await serve_until(server_config(deps, settings.port), supervisor.wait)


class _Process:
    """The parts of a running catalog."""

    def __init__(
        self, settings: CatalogSettings, kube: KubeClient, database: Database, session: aiohttp.ClientSession
    ) -> None:
        self._settings = settings
        self._database = database
        self._session = session
        self._tokens = RegistryTokenSource(session, settings.access_url, TokenFile(settings.access_token_file).read)
        self._metrics = CatalogMetrics()
        self._migrated = asyncio.Event()
        self._verifier = ServiceAccountVerifier(issuer=settings.kube_issuer, fetch_keys=cluster_keys(kube.raw_get))
        self._write_log = WriteLog(database, now=_now, new_id=lambda: uuid.uuid4().hex, on_change=self._changed)
        self._publisher = Publisher(database, self._write_log, kube, now=_now, on_outcome=self._metrics.count_publish)
        self._metrics.watch_queue_depth(lambda: self._publisher.queue_depth)

    def _changed(self, key: RepositoryKey) -> None:
        self._publisher.enqueue(key)

    def _registry(self, project: str) -> RegistryClient:
        host = registry_host(project, self._settings.cluster_domain)
        return RegistryClient(self._session, f"http://{host}", self._tokens)

    def deps(self, supervisor: Supervisor) -> Deps:
        """What the API is made of."""
        accounts = (name.strip() for name in self._settings.client_accounts.split(","))
        return Deps(
            database=self._database,
            write_log=self._write_log,
            verifier=self._verifier,
            accounts=frozenset(f"{self._settings.namespace}/{name}" for name in accounts if name),
            metrics=self._metrics,
            migrated=self._migrated.is_set,
            ended=lambda: supervisor.ended,
            monotonic=time.monotonic,
        )

    def start_tasks(self, supervisor: Supervisor, deps: Deps) -> None:
        """Start everything that runs besides the API."""
        timeout = timedelta(seconds=self._settings.intent_timeout)
        sync = SyncDeps(self._database, self._registry, now=_now, timeout=timeout, on_change=self._changed)
        walks = WalkSchedule(
            RegistryWalker(sync),
            self._database,
            lambda: list(self._publisher.projects.objects.values()),
            interval=timedelta(seconds=self._settings.walk_interval),
            now=_now,
            on_walk=self._metrics.count_walk,
        )
        settling = partial(
            run_settler,
            Settler(sync),
            self._write_log,
            on_settled=self._metrics.count_settled,
            interval_seconds=SETTLE_SECONDS,
        )
        supervisor.start("cluster keys", self._verifier.refresh_keys())
        supervisor.start("migration", self._migrate(), may_return=True)
        supervisor.start("publisher", self._once_migrated(self._publisher.run))
        supervisor.start("settling", self._once_migrated(settling))
        supervisor.start("walks", self._once_migrated(partial(walks.run, WALK_CHECK_SECONDS)))
        supervisor.start(
            "health endpoint",
            serve_health(
                self._settings.metrics_port,
                healthy=lambda: supervisor.health,
                ready=partial(readiness, deps),
                registry=self._metrics.registry,
            ),
        )

    async def _once_migrated(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await self._migrated.wait()
        await task()

    async def _migrate(self) -> None:
        """Wait for the database and migrate it to this version. Everything but the probes waits for this."""
        while True:
            try:
                await self._database.migrate()
            except (OperationalError, InterfaceError, OSError) as error:
                reason = str(getattr(error, "orig", None) or error)[:300]
                _log.warning("database does not respond yet", error=reason)
                await asyncio.sleep(_MIGRATION_RETRY)
            else:
                self._migrated.set()
                return


def server_config(deps: Deps, port: int) -> uvicorn.Config:
    """The configuration of the HTTP server."""
    return http_server(create_app(deps), port, grace=_GRACE_SECONDS)


def _now() -> datetime:
    return datetime.now(UTC)
