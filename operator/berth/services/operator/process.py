"""The operator process: builds its parts, reconciles, and shuts down in order."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from importlib.metadata import version as distribution_version
from typing import Final

import aiohttp
import structlog

from berth.api.names import registry_host
from berth.desired.installation.manifests import PUBLIC_CA
from berth.handlers.kopf_thread import watch_with_kopf
from berth.identity.token_file import TokenFile
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
from berth.registry.token_source import RegistryTokenSource
from berth.runtime.health import Probe, serve_health
from berth.runtime.supervisor import Supervisor, run_process, stop_on_signals
from berth.services.operator.access_replicas import AccessReplicas
from berth.services.operator.metrics import OperatorMetrics
from berth.services.operator.registry_prober import RegistryProber
from berth.settings import OperatorSettings

GRACE_SECONDS: Final = 10.0
"""How long running reconciles may take at shutdown."""
STUCK_SECONDS: Final = 300.0
"""How long a due key may wait before the operator is unhealthy."""

_log = structlog.get_logger(__name__)


def run(settings: OperatorSettings) -> None:
    """Run the operator until SIGTERM or SIGINT. Exit with status 1 when a task of the process has ended."""
    run_process(_serve(settings))


async def _serve(settings: OperatorSettings) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with KubeClient.connect(user_agent="berth-operator") as client, aiohttp.ClientSession() as session:
        access_token = TokenFile(settings.access_token_file)
        tokens = RegistryTokenSource(session, settings.access_url, access_token.read)
        prober = RegistryProber(session, tokens, lambda project: f"http://{_registry(project, settings)}")
        replicas = AccessReplicas(session, access_token.read)
        await operate(settings, client, prober, replicas, stop)


async def operate(
    settings: OperatorSettings, client: KubeClient, prober: Prober, replicas: RevisionSource, stop: asyncio.Event
) -> None:
    """Reconcile until `stop` is set. Raises TasksEndedError when a task of the process has ended."""
    queue = KeyedQueue()
    context = _context(settings, client, prober, replicas, queue)
    metrics = OperatorMetrics(queue, context.caches.failing)
    async with Supervisor(stop) as supervisor:
        _start_tasks(supervisor, context, queue, metrics)
        reconciling = supervisor.start("reconciling", _reconcile_when_synced(context, queue, metrics), may_return=True)
        await supervisor.wait()
        if supervisor.ended:
            return
        _log.info("stopping: running reconciles may finish", active=queue.active)
        queue.close()
        await asyncio.wait({reconciling}, timeout=GRACE_SECONDS if context.caches.synced else 0)


def _context(
    settings: OperatorSettings, client: KubeClient, prober: Prober, replicas: RevisionSource, queue: KeyedQueue
) -> Context:
    """The dependencies of the reconcilers; changes in the cluster enqueue keys."""
    consent = settings.pull_secret_cluster_role
    access = f"app.kubernetes.io/instance={settings.instance},app.kubernetes.io/component=access"
    enqueuer = Enqueuer(settings.namespace, consent, queue.add)
    readiness = AccessReadiness(enqueuer.all_projects, asyncio.get_running_loop().call_later)
    callbacks = (enqueuer.changed, enqueuer.own_write, readiness.changed)
    caches = Caches(client, settings.namespace, PUBLIC_CA, consent, access, *callbacks)
    applier = Applier(client, caches)
    version = distribution_version("berth")
    return Context(
        settings=settings,
        version=version,
        client=client,
        caches=caches,
        enqueuer=enqueuer,
        applier=applier,
        statuses=StatusWriter(client, caches, PolicyPropagation(caches, replicas).not_propagated, now=_now),
        probes=Probes(prober, lambda project: queue.add(project_key(project)), settings.probe_interval),
        pull_secrets=PullSecrets(client, caches, applier, settings, version, now=_now),
        now=_now,
    )


def _start_tasks(supervisor: Supervisor, context: Context, queue: KeyedQueue, metrics: OperatorMetrics) -> None:
    caches = context.caches
    missed_events = MissedEvents(caches.live, queue.add, asyncio.get_running_loop().call_later)

    def healthy() -> Probe:
        waited = queue.ready_since()
        if waited > STUCK_SECONDS:
            return Probe(False, {"stuckForSeconds": round(waited)})
        return supervisor.health

    async def ready() -> Probe:
        return Probe(caches.synced, {"ready": caches.synced, "failingWatches": dict(caches.failing())})

    supervisor.start("watches", caches.run())
    supervisor.start("write probes", context.probes.run())
    supervisor.start("kopf", watch_with_kopf(context.client, missed_events.add))
    supervisor.start(
        "health endpoint",
        serve_health(context.settings.health_port, healthy=healthy, ready=ready, registry=metrics.registry),
    )


async def _reconcile_when_synced(context: Context, queue: KeyedQueue, metrics: OperatorMetrics) -> None:
    await context.caches.wait_synced()
    _log.info("caches synced, starting workers", keys=queue.waiting)
    work = metrics.measured(Dispatcher(context).work)
    # First of all, because a starting registry reads every authority, the next one included.
    queue.add(INSTALLATION, await _first_reconcile(work, INSTALLATION))
    await queue.run(work, context.settings.workers)


async def _first_reconcile(work: Work, key: Key) -> float:
    """Reconcile ahead of the queue; the seconds until the next time. The work logs its own failures."""
    try:
        return await work(key) or 0.0
    except Exception:
        return 0.0


def _now() -> datetime:
    return datetime.now(UTC)


def _registry(project: str, settings: OperatorSettings) -> str:
    return registry_host(project, settings.cluster_domain)
