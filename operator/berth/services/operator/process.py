"""The operator's process: parts put together, watched over, and shut down in order."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable
from datetime import UTC, datetime
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any, Final

import aiohttp
import structlog
import uvloop

from berth.api.names import registry_host
from berth.desired.installation.manifests import PUBLIC_CA
from berth.handlers.kopf_thread import watch_with_kopf
from berth.kube.apply import Applier
from berth.kube.client import KubeClient
from berth.reconcile.context import Context
from berth.reconcile.dispatch import Dispatcher
from berth.reconcile.pull_secrets.service import PullSecrets
from berth.reconcile.watch.access_readiness import AccessReadiness
from berth.reconcile.watch.caches import Caches
from berth.reconcile.watch.enqueue import Enqueuer
from berth.reconcile.watch.keys import INSTALLATION, project_key
from berth.reconcile.watch.missed_events import MissedEvents
from berth.reconcile.workqueue import Key, KeyedQueue, Work
from berth.reconcile.write.policy_propagation import PolicyPropagation, RevisionSource
from berth.reconcile.write.status import StatusWriter
from berth.reconcile.write_probes import Prober, Probes
from berth.registry.token_source import AccessTokens
from berth.services.operator.access_replicas import AccessReplicas
from berth.services.operator.health import Metrics, serve_health
from berth.services.operator.registry_prober import RegistryProber
from berth.settings import OperatorSettings

GRACE: Final = 10.0  # seconds that passes under way get when the process is told to stop

_log = structlog.get_logger(__name__)


def run(settings: OperatorSettings) -> None:
    """Run the operator until SIGTERM or SIGINT. Ends with status 1 when a part that must run for ever has ended."""
    try:
        # uvloop keeps 80 KB for a watch over TLS, asyncio 320 KB (docs/adr/0002-watching-secrets.md).
        uvloop.run(_until_signalled(settings))
    except ExceptionGroup as group:
        _log.error("a part of the operator ended, so all of it does", exc_info=group)
        sys.exit(1)


async def _until_signalled(settings: OperatorSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with KubeClient.connect(user_agent="berth-operator") as client, aiohttp.ClientSession() as session:
        tokens = AccessTokens(session, settings.access_url, lambda: _read(settings.access_token_file))
        prober = RegistryProber(session, tokens, lambda project: f"http://{_registry(project, settings)}")
        replicas = AccessReplicas(session, lambda: _read(settings.access_token_file))
        await operate(settings, client, prober, replicas, stop)


async def operate(
    settings: OperatorSettings, client: KubeClient, prober: Prober, replicas: RevisionSource, stop: asyncio.Event
) -> None:
    """Run every part until `stop` is set. Raises an ExceptionGroup when one of them ends by itself."""
    queue = KeyedQueue()
    context = _context(settings, client, prober, replicas, queue)
    metrics = Metrics(queue, context.caches.failing)
    async with asyncio.TaskGroup() as group:
        background = [
            group.create_task(_for_ever(part, running)) for part, running in _endless(context, queue, metrics).items()
        ]
        working = group.create_task(_work_when_synced(context, queue, metrics))
        await stop.wait()
        _log.info("stopping: passes under way may end", active=queue.active)
        queue.close()
        await asyncio.wait({working}, timeout=GRACE if context.caches.synced else 0)
        for task in (working, *background):
            task.cancel()


def _context(
    settings: OperatorSettings, client: KubeClient, prober: Prober, replicas: RevisionSource, queue: KeyedQueue
) -> Context:
    """What every reconciler works with; whatever changes puts its keys into the queue."""
    consent = settings.pull_secret_cluster_role
    access = f"app.kubernetes.io/instance={settings.instance},app.kubernetes.io/component=access"
    enqueuer = Enqueuer(settings.namespace, consent, queue.add)
    presence = AccessReadiness(enqueuer.all_projects, asyncio.get_running_loop().call_later)
    hears = (enqueuer.changed, enqueuer.own_write, presence.changed)
    caches = Caches(client, settings.namespace, PUBLIC_CA, consent, access, *hears)
    applier = Applier(client, caches)
    version = distribution_version("berth")
    return Context(
        settings=settings,
        version=version,
        client=client,
        caches=caches,
        enqueuer=enqueuer,
        applier=applier,
        statuses=StatusWriter(client, caches, PolicyPropagation(caches, replicas).problem, now=_now),
        probes=Probes(prober, lambda project: queue.add(project_key(project)), settings.probe_interval),
        pull_secrets=PullSecrets(client, caches, applier, settings, version, now=_now),
        now=_now,
    )


def _endless(context: Context, queue: KeyedQueue, metrics: Metrics) -> dict[str, Awaitable[Any]]:
    """The parts that run beside the work, from the start of the process to its end, by what the log calls them."""
    caches = context.caches
    second_watch = MissedEvents(caches.live, queue.add, asyncio.get_running_loop().call_later)
    return {
        "watches": caches.run(),
        "write probes": context.probes.run(),
        "kopf": watch_with_kopf(context.client, second_watch.add),
        "health endpoint": serve_health(
            context.settings.health_port,
            queue=queue,
            ready=lambda: caches.synced,
            failing=caches.failing,
            metrics=metrics,
        ),
    }


async def _work_when_synced(context: Context, queue: KeyedQueue, metrics: Metrics) -> None:
    await context.caches.wait_synced()
    _log.info("every watch has listed once; work begins", keys=queue.waiting)
    work = metrics.measured(Dispatcher(context).work)
    # Before anything else: a registry that starts reads every authority, the one that stands by as well.
    queue.add(INSTALLATION, await _first_pass(work, INSTALLATION))
    await queue.run(work, context.settings.workers)


async def _first_pass(work: Work, key: Key) -> float:
    """One pass ahead of the queue: the seconds until the next. The work has told about a failure itself."""
    try:
        return await work(key) or 0.0
    except Exception:
        return 0.0


async def _for_ever(part: str, running: Awaitable[Any]) -> None:
    """A part that must not end by itself."""
    await running
    raise RuntimeError(f"{part} ended by itself")


def _now() -> datetime:
    return datetime.now(UTC)


def _read(path: Path) -> str:
    """The present token; the kubelet replaces the file, so it is read each time."""
    return path.read_text(encoding="ascii").strip()


def _registry(project: str, settings: OperatorSettings) -> str:
    return registry_host(project, settings.cluster_domain)
