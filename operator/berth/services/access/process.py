"""The access process: builds its parts, serves, and shuts down in order."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
import uvicorn

from berth.api.names import registry_host
from berth.api.token import TokenScope
from berth.identity.authenticator import PROBER_SCOPES, READER_SCOPES, Authenticator
from berth.identity.failure_delay import FailureDelay
from berth.identity.gateway_caller import GatewayAuthenticator
from berth.identity.login_limits import HOUR, MINUTE, LoginLimits
from berth.identity.oidc import OidcAuthenticator, issuer_keys
from berth.identity.passwords import PasswordVerifier
from berth.identity.service_account import ServiceAccountVerifier, cluster_keys
from berth.identity.token_file import TokenFile
from berth.kube.client import KubeClient
from berth.kube.resources import ACCESS_TOKENS
from berth.runtime.health import Probe, serve_health
from berth.runtime.logs import LineWriter, configure_logs
from berth.runtime.server import http_server, serve_until
from berth.runtime.supervisor import Supervisor, run_process, stop_on_signals
from berth.services.access.app import create_app
from berth.services.access.audit import AuditLog
from berth.services.access.deps import Deps, PolicyRevisions
from berth.services.access.http.fast_path import FastPathProtocol, SignatureBatch
from berth.services.access.metrics import AccessMetrics
from berth.services.access.tokens.last_used import FIELD_MANAGER, LastUse
from berth.services.access.tokens.registry_tokens import TokenService
from berth.services.access.upstream.catalog_client import CatalogClient
from berth.services.access.upstream.registry_proxy import RegistryProxy
from berth.settings import AccessSettings
from berth.snapshot.store import PolicySaver, PolicyStore, StoredPolicy
from berth.snapshot.watcher import SnapshotWatcher

_AUDIT_SECONDS: Final = 0.02  # for which audit lines are collected, because a write costs as much as a decision
_GRACE_SECONDS: Final = 25  # shorter than the pod's termination grace period without its preStop pause


def run(settings: AccessSettings) -> None:
    """Serve until SIGTERM or SIGINT. Exit with status 1 when a task of the process has ended."""
    configure_logs("access", settings.log_level)
    run_process(serve(settings))


async def serve(settings: AccessSettings, kubeconfig: Path | None = None) -> None:
    """Serve until a signal. Connects as the pod's ServiceAccount or by a kubeconfig. Raises TasksEndedError."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with KubeClient.connect(kubeconfig, user_agent="berth-access") as kube:
        background = _background(settings, kube)
        async with _parts(settings, background) as deps, Supervisor(stop) as supervisor:
            _start_tasks(supervisor, settings, deps, background)
            await serve_until(server_config(deps, settings.port), supervisor.wait)
            if deps.running_writes:
                await asyncio.wait(deps.running_writes, timeout=_GRACE_SECONDS)


@dataclass(frozen=True, slots=True)
class _Background:
    """The parts that follow the cluster in the background."""

    watcher: SnapshotWatcher
    verifier: ServiceAccountVerifier
    policy_saver: PolicySaver
    last_use: LastUse


def _background(settings: AccessSettings, kube: KubeClient) -> _Background:
    store = PolicyStore(settings.state_dir)
    stored = store.load()
    watcher = SnapshotWatcher(
        kube,
        namespace=settings.namespace,
        layer_size_limit=settings.layer_size_limit,
        max_age=settings.policy_max_age,
        clock=time.time,
        public_allowed=settings.allow_public,
        stored=stored,
    )
    verifier = ServiceAccountVerifier(issuer=settings.kube_issuer, fetch_keys=cluster_keys(kube.raw_get))
    if stored is not None:
        verifier.use_keys(stored.cluster_keys)

    def present() -> StoredPolicy | None:
        return StoredPolicy(watcher.snapshot, watcher.last_event_at, verifier.document) if watcher.listed else None

    return _Background(
        watcher=watcher,
        verifier=verifier,
        policy_saver=PolicySaver(store, present),
        last_use=LastUse(
            now=_now,
            present=watcher.token_object,
            write=partial(kube.apply, ACCESS_TOKENS, field_manager=FIELD_MANAGER, subresource="status"),
            observe=watcher.observe_token,
        ),
    )


@contextlib.asynccontextmanager
async def _parts(settings: AccessSettings, background: _Background) -> AsyncIterator[Deps]:
    passwords = PasswordVerifier(monotonic=time.monotonic)
    lines = LineWriter(sys.stderr.fileno(), partial(asyncio.get_running_loop().call_later, _AUDIT_SECONDS))
    async with (
        aiohttp.ClientSession() as to_catalog,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False) as to_registries,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as to_issuers,
    ):
        try:
            authenticator = _authenticator(settings, background.verifier, passwords, to_issuers)
            yield _deps(settings, background, authenticator, lines, to_catalog, to_registries)
        finally:
            lines.flush()
            passwords.close()


def _authenticator(
    settings: AccessSettings,
    verifier: ServiceAccountVerifier,
    passwords: PasswordVerifier,
    session: aiohttp.ClientSession,
) -> Authenticator:
    limits = ((settings.failed_logins_per_minute, MINUTE), (settings.failed_logins_per_hour, HOUR))
    return Authenticator(
        verifier=verifier,
        own_processes=_own_processes(settings),
        token_audience=settings.token_audience or settings.host,
        oidc=OidcAuthenticator(
            settings.oidc_issuers,
            fetch_keys=partial(issuer_keys, session),
            clock=time.time,
            monotonic=time.monotonic,
        ),
        passwords=passwords,
        login_limits=LoginLimits(monotonic=time.monotonic, limits=limits),
        failure_delay=FailureDelay(pause=settings.failed_login_seconds, monotonic=time.monotonic),
    )


def _deps(
    settings: AccessSettings,
    background: _Background,
    authenticator: Authenticator,
    lines: LineWriter,
    to_catalog: aiohttp.ClientSession,
    to_registries: aiohttp.ClientSession,
) -> Deps:
    base = partial(_registry_base, cluster_domain=settings.cluster_domain)
    watcher, verifier = background.watcher, background.verifier
    tokens = _tokens(settings)
    return Deps(
        host=settings.host,
        snapshot=lambda: watcher.snapshot,
        now=_now,
        ready=lambda: {"policy": watcher.ready, "signingKey": tokens.ready, "clusterKeys": verifier.ready},
        tokens=tokens,
        authenticator=authenticator,
        gateway=GatewayAuthenticator(
            verifier=verifier,
            accounts=_accounts(settings.namespace, settings.gateway_accounts),
            trusted_hops=settings.trusted_hops,
        ),
        policy=PolicyRevisions(
            verifier=verifier,
            accounts=_accounts(settings.namespace, settings.probing_accounts),
            wait_for=watcher.wait_for,
        ),
        catalog=_catalog(settings, to_catalog),
        registries=RegistryProxy(to_registries, base=base),
        audit=AuditLog(lines.write, now=_now),
        token_used=background.last_use.used,
        metrics=AccessMetrics(),
        upstream_self=settings.upstream_self.rstrip("/"),
        registry_base=base,
        manifest_size_limit=settings.manifest_size_limit,
        certification_warning_days=settings.certification_warning_days,
    )


def _tokens(settings: AccessSettings) -> TokenService:
    return TokenService(
        directory=settings.signing_dir,
        lifetime=settings.token_lifetime,
        clock=time.time,
        token_id=partial(secrets.token_urlsafe, 16),
    )


def _catalog(settings: AccessSettings, session: aiohttp.ClientSession) -> CatalogClient:
    return CatalogClient(
        session,
        base_url=settings.catalog_url,
        read_token=TokenFile(settings.catalog_token_file).read,
        patience=settings.record_timeout,
    )


def _start_tasks(supervisor: Supervisor, settings: AccessSettings, deps: Deps, background: _Background) -> None:
    async def ready() -> Probe:
        parts = deps.ready()
        return Probe(all(parts.values()), parts)

    supervisor.start("policy", background.watcher.run())
    supervisor.start("policy store", background.policy_saver.run())
    supervisor.start("last use of tokens", background.last_use.run())
    supervisor.start("keys", deps.authenticator.refresh_keys())
    supervisor.start(
        "health endpoint",
        serve_health(
            settings.metrics_port,
            healthy=lambda: supervisor.health,
            ready=ready,
            registry=deps.metrics.registry,
        ),
    )


def server_config(deps: Deps, port: int) -> uvicorn.Config:
    """The configuration of the HTTP server."""
    batch = SignatureBatch(asyncio.get_running_loop().call_soon)
    return http_server(create_app(deps), port, grace=_GRACE_SECONDS, http=partial(FastPathProtocol, batch=batch))


def _now() -> datetime:
    return datetime.now(UTC)


def _registry_base(project: str, *, cluster_domain: str) -> str:
    return f"http://{registry_host(project, cluster_domain)}"


def _own_processes(settings: AccessSettings) -> dict[str, frozenset[TokenScope]]:
    """Scopes of the registry tokens of Berth's own processes; an account on both lists gets the larger set."""
    reading = dict.fromkeys(_accounts(settings.namespace, settings.reading_accounts), READER_SCOPES)
    return reading | dict.fromkeys(_accounts(settings.namespace, settings.probing_accounts), PROBER_SCOPES)


def _accounts(namespace: str, names: str) -> frozenset[str]:
    return frozenset(f"{namespace}/{name.strip()}" for name in names.split(",") if name.strip())
