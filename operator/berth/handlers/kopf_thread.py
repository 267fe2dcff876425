"""Kopf, embedded: in a thread and an event loop of its own.

When Kopf ends it cancels every task of its loop that is younger than itself, also tasks of others. In a loop of its own
there are no others.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

import kopf

from berth.handlers.events import register
from berth.kube.client import ConnectionInfo, KubeClient
from berth.reconcile.watch.missed_events import ObjectEvent


async def watch_with_kopf(client: KubeClient, on_event: Callable[[ObjectEvent], None]) -> None:
    """Run Kopf until cancelled; `on_event` is called in the caller's loop.

    Raises when Kopf ends by itself: since 1.45 it does when one of its watches is dead.
    """
    loop = asyncio.get_running_loop()
    stop: Future[None] = Future()
    ended: asyncio.Future[None] = loop.create_future()

    def forward(event: ObjectEvent) -> None:
        loop.call_soon_threadsafe(on_event, event)

    def login() -> ConnectionInfo:
        return asyncio.run_coroutine_threadsafe(client.connection_info(), loop).result(timeout=30)

    def body() -> None:
        try:
            asyncio.run(_operate(login, forward, stop))
        except BaseException as error:
            loop.call_soon_threadsafe(_finish, ended, error)
        else:
            loop.call_soon_threadsafe(_finish, ended, None)

    thread = threading.Thread(target=body, name="kopf", daemon=True)
    thread.start()
    try:
        await asyncio.shield(ended)
    finally:
        if not stop.done():
            stop.set_result(None)
        if not ended.done():
            await asyncio.wait({ended})
    raise RuntimeError("Kopf has ended by itself")


def _finish(ended: asyncio.Future[None], error: BaseException | None) -> None:
    if ended.done():
        return
    if error is None or isinstance(error, asyncio.CancelledError):
        ended.set_result(None)
    else:
        ended.set_exception(RuntimeError(f"Kopf has ended: {type(error).__name__}: {error}"))


async def _operate(
    login: Callable[[], ConnectionInfo], on_event: Callable[[ObjectEvent], None], stop: Future[None]
) -> None:
    registry = kopf.OperatorRegistry()
    register(registry, on_event)
    kopf.on.login(registry=registry)(_login_handler(login))
    # Kopf's line for each event repeats what Berth's own log has.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    await kopf.operator(
        registry=registry,
        settings=kopf_settings(),
        standalone=True,  # ignore the peering of other Kopf operators
        clusterwide=True,
        stop_flag=stop,
    )


def kopf_settings() -> kopf.OperatorSettings:
    """Kopf writes nothing: no Kubernetes events, and, with `on.event` alone, no finalizer and no annotation."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    return settings


def _login_handler(login: Callable[[], ConnectionInfo]) -> Callable[..., kopf.ConnectionInfo]:
    """Let Kopf log in with the credentials of Berth's own client."""

    def handler(**_: object) -> kopf.ConnectionInfo:
        present = login()
        scheme, _separator, token = (present.authorization or "").partition(" ")
        return kopf.ConnectionInfo(
            server=present.server,
            ca_path=present.ca_file,
            certificate_path=present.certificate_file,
            private_key_path=present.key_file,
            scheme=scheme or None,
            token=token or None,
        )

    return handler
