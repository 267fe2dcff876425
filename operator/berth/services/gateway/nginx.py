"""Reload the running nginx, found by its pid file, and check that it did."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path

PROC = Path("/proc")
RELOAD_LIMIT_SECONDS = 10.0
_POLL_SECONDS = 0.05


class Reload(Enum):
    """The result of a reload."""

    DONE = "done"
    NOT_RUNNING = "nginx does not run yet"
    REFUSED = "nginx kept its former configuration"


def reload(pid_file: Path, wait: Callable[[float], object] = time.sleep, limit: float = RELOAD_LIMIT_SECONDS) -> Reload:
    """Send SIGHUP to the nginx of a pid file and wait for new workers.

    nginx starts new workers only for a configuration that it accepts; for any other it logs why and keeps the
    old one (https://nginx.org/en/docs/control.html). Needs a process namespace shared with nginx.
    `limit` is in seconds.
    """
    master = _master(pid_file)
    if master is None:
        return Reload.NOT_RUNNING
    before = children(master)
    try:
        os.kill(master, signal.SIGHUP)
    except ProcessLookupError:
        return Reload.NOT_RUNNING
    waited = 0.0
    while waited < limit:
        if children(master) - before:
            return Reload.DONE
        wait(_POLL_SECONDS)
        waited += _POLL_SECONDS
    return Reload.REFUSED


def children(pid: int, proc: Path = PROC) -> frozenset[tuple[int, int]]:
    """The child processes by pid and start time, so that a reused pid is a different child."""
    found = set()
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        # proc(5): the name in parentheses may hold spaces; field 4 is the parent, field 22 the start time.
        fields = stat.rpartition(")")[2].split()
        if int(fields[1]) == pid:
            found.add((int(entry.name), int(fields[19])))
    return frozenset(found)


def _master(pid_file: Path) -> int | None:
    try:
        pid = int(pid_file.read_text())
        name = (PROC / str(pid) / "comm").read_text().strip()
    except (OSError, ValueError):
        return None
    return pid if name == "nginx" else None
