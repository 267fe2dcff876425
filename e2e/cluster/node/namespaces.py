"""The namespaces of the cluster, seen from outside: make, enter and end them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from node import cgroups
from node.settings import ClusterError, Settings

KINDS = ("--net", "--mount", "--pid", "--cgroup")
START_LIMIT = 10.0
END_LIMIT = 20.0


def _init_file(settings: Settings) -> Path:
    return settings.state / "init.pid"


def init_pid(settings: Settings) -> int | None:
    """The pid, seen from outside, of the first process of the namespaces; None if there is none."""
    try:
        pid, started = _init_file(settings).read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if _start_time(int(pid)) == started else None


def create(settings: Settings) -> int:
    """Make the namespaces, held open by a process that only reaps what is left to it."""
    pause = settings.program("pause")
    settings.logs.mkdir(parents=True, exist_ok=True)
    with (settings.logs / "init.log").open("ab") as log:
        holder = subprocess.Popen(
            [*cgroups.join_command(settings), "unshare", *KINDS, "--fork", "--mount-proc", "--kill-child", pause],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    pid = _first_child(settings, holder)
    _init_file(settings).write_text(f"{pid} {_start_time(pid)}")
    return pid


def _first_child(settings: Settings, holder: subprocess.Popen[bytes]) -> int:
    """The pid of the namespaces' first process, once it has become the program that holds them."""
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if holder.poll() is not None:
            break
        for child in children.read_text().split():
            try:
                if Path(f"/proc/{child}/exe").readlink().name == "pause":
                    return int(child)
            except OSError:
                continue
        time.sleep(0.01)
    raise ClusterError(f"the namespaces could not be made; are you root?\n{settings.tail_of('init')}")


def enter_command(settings: Settings, pid: int, command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The command that runs `command` inside the namespaces, in the same directory, with these variables."""
    variables = [f"{name}={value}" for name, value in environment.items()]
    inside = ["env", f"--chdir={Path.cwd()}", *variables, *command]
    return [*cgroups.join_command(settings), "nsenter", "--target", str(pid), *KINDS, *inside]


def destroy(settings: Settings) -> None:
    """End every process inside; the mounts and links go with the namespaces."""
    pid = init_pid(settings)
    if pid is not None:
        holder = int(_fields(pid)[1])
        os.kill(pid, signal.SIGKILL)
        _wait_until_gone(pid)
        _wait_until_gone(holder)
    _init_file(settings).unlink(missing_ok=True)


def _wait_until_gone(pid: int) -> None:
    """The kernel ends the first process of a PID namespace only after all others in it; then `unshare` ends."""
    deadline = time.monotonic() + END_LIMIT
    while time.monotonic() < deadline:
        if pid <= 1 or not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.02)
    raise ClusterError(f"process {pid}, which holds the namespaces, did not end within {END_LIMIT:.0f} s")


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _start_time(pid: int) -> str:
    """When a process started, so that a pid used again is not taken for the old process."""
    fields = _fields(pid)
    return fields[19] if len(fields) > 19 else ""
