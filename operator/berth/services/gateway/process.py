"""`berth gateway-config`: writes the gateway's configuration once, or keeps it current."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from berth.render.gateway import PID_FILE
from berth.runtime.logs import configure_logs
from berth.services.gateway.files import RESOLV_CONF, ConfigurationError, read_inputs, write_files
from berth.services.gateway.nginx import Reload, reload
from berth.settings import GatewaySettings

__all__ = ["ConfigurationError", "Watcher", "run"]

# The kubelet replaces a token 12 minutes before its end at the latest; a certificate is replaced weeks before.
LOOK_SECONDS = 5.0
RETRY_SECONDS = 30.0
NAME_LIMIT_SECONDS = 120.0

log = structlog.get_logger(__name__)


def run(settings: GatewaySettings, watch: bool) -> None:
    """Write the configuration. With `watch`, write it and reload nginx after every change of its inputs, until SIGTERM.

    Without `watch`, wait until DNS resolves the name of access, because nginx does not start before. Raises
    `ConfigurationError` with one sentence.
    """
    configure_logs("gateway-config", settings.log_level)
    if watch:
        _watch(Watcher(settings))
        return
    inputs = read_inputs(settings)
    write_files(inputs, settings.output_dir)
    log.info("configuration written", directory=str(settings.output_dir))
    await_name(inputs.config.access_name)


def await_name(name: str, limit: float = NAME_LIMIT_SECONDS) -> None:
    """Wait until DNS resolves the name. Raises `ConfigurationError` after `limit` seconds."""
    attempts = Retrying(
        retry=retry_if_exception_type(socket.gaierror), wait=wait_fixed(0.5), stop=stop_after_delay(limit)
    )
    try:
        attempts(socket.getaddrinfo, name, None)
    except RetryError:
        raise ConfigurationError(
            f"DNS does not know {name} after {limit:.0f} s: check that the Service exists and that cluster DNS answers."
        ) from None


@dataclass(slots=True)
class Watcher:
    """Keeps the files current, and reloads nginx.

    `applied` is the digest of the configuration that nginx has certainly read. It is empty at the start, because nginx
    may have read the files just before they changed. `pause` is the time until the next check, in seconds.
    """

    settings: GatewaySettings
    resolv_conf: Path = RESOLV_CONF
    reload_nginx: Callable[[Path], Reload] = reload
    applied: str = ""
    pause: float = LOOK_SECONDS

    def look(self) -> None:
        """Read the inputs. If nginx has not loaded them, write the files and reload nginx.

        A failure is retried after a longer pause, each time with a line in the log.
        """
        problem = self._renew()
        if problem:
            log.error("configuration not renewed", problem=problem)
        self.pause = RETRY_SECONDS if problem else LOOK_SECONDS

    def _renew(self) -> str | None:
        try:
            inputs = read_inputs(self.settings, self.resolv_conf)
            if inputs.digest == self.applied:
                return None
            write_files(inputs, self.settings.output_dir)
        except ConfigurationError as error:
            return str(error)
        outcome = self.reload_nginx(self.settings.output_dir / PID_FILE)
        if outcome is Reload.REFUSED:
            return f"{outcome.value}: the log of the container nginx says why"
        if outcome is Reload.DONE:
            log.info("configuration renewed", directory=str(self.settings.output_dir))
            self.applied = inputs.digest
        return None


def _watch(watcher: Watcher) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    watcher.look()
    while not stop.wait(watcher.pause):
        watcher.look()
