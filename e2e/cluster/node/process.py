"""How components are started, awaited and stopped. Runs inside the namespaces."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node.settings import ClusterError, Settings

POLL = 0.04


@dataclass(frozen=True)
class Component:
    """One long-running program of the node.

    `ready` answers whether it does its work; it may raise OSError for "not yet".
    """

    name: str
    command: Sequence[str]
    ready: Callable[[], bool]
    limit: float = 60.0
    environment: Mapping[str, str] = field(default_factory=dict)


def _pid_file(settings: Settings, name: str) -> Path:
    return settings.pids / name


def running_pid(settings: Settings, name: str) -> int | None:
    """The pid, inside the namespaces, of a component that runs; None if it does not."""
    try:
        pid = int(_pid_file(settings, name).read_text())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError, ValueError, IndexError):
        return None
    return None if state == "Z" else pid


def start(settings: Settings, component: Component) -> None:
    """Start a component, unless it runs; its output is added to its log."""
    if running_pid(settings, component.name) is not None:
        return
    settings.pids.mkdir(parents=True, exist_ok=True)
    path = f"{settings.bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    clean = {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8"}
    with (settings.logs / f"{component.name}.log").open("ab") as log:
        process = subprocess.Popen(
            list(component.command),
            cwd="/",
            env=clean | dict(component.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _pid_file(settings, component.name).write_text(str(process.pid))


def await_ready(settings: Settings, component: Component) -> None:
    """Wait until a started component does its work; ClusterError, with the end of its log, if it does not."""
    deadline = time.monotonic() + component.limit
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if component.ready():
                return
        if running_pid(settings, component.name) is None:
            raise ClusterError(f"{component.name} ended by itself; {settings.tail_of(component.name)}")
        time.sleep(POLL)
    raise ClusterError(
        f"{component.name} was not ready after {component.limit:.0f} s; {settings.tail_of(component.name)}"
    )


def stop(settings: Settings, name: str, how: signal.Signals = signal.SIGTERM, limit: float = 20.0) -> bool:
    """Stop a component and wait for its end; whether it ran. After the limit it is killed."""
    pid = running_pid(settings, name)
    if pid is None:
        return False
    for number in (how, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if running_pid(settings, name) is None:
                _pid_file(settings, name).unlink(missing_ok=True)
                return True
            time.sleep(POLL)
    raise ClusterError(f"{name} (pid {pid} inside) did not end")


def wait_until(what: str, check: Callable[[], bool], limit: float) -> None:
    """Wait for something that no single component answers for."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if check():
                return
        time.sleep(POLL)
    raise ClusterError(f"{what}: not after {limit:.0f} s")
