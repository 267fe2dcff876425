"""Control groups: each cluster has a group of its own under every controller, and what its node makes lies in there.

Namespaces hide the rest: inside, the cluster's group lies over the controller's root and reads as the root in
/proc/PID/cgroup (cgroup_namespaces(7)). So clusters do not meet, and `down` knows what is its own.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from node.settings import Settings

ROOT = Path("/sys/fs/cgroup")
LIMIT = 10.0
# A new cpuset is empty, and nothing can run in it.
INHERITED = ("cpuset.mems", "cpuset.cpus")


def _controllers() -> Iterator[Path]:
    for controller in (ROOT, *ROOT.glob("*/")):
        if (controller / "cgroup.procs").exists():
            yield controller


def _groups(settings: Settings) -> Iterator[Path]:
    for controller in _controllers():
        group = controller / settings.state.name
        if group.exists():
            yield group


def create(settings: Settings) -> None:
    """Make the cluster's groups. Runs outside the namespaces."""
    for controller in _controllers():
        group = controller / settings.state.name
        group.mkdir(exist_ok=True)
        for name in INHERITED:
            if (controller / name).exists():
                (group / name).write_text((controller / name).read_text())


def join_command(settings: Settings) -> list[str]:
    """The words before a command with which it runs in the cluster's groups."""
    join = 'until [ "$1" = -- ]; do echo $$ >"$1/cgroup.procs" || exit; shift; done; shift; exec "$@"'
    return ["sh", "-c", join, "sh", *(str(group) for group in _groups(settings)), "--"]


def lay_over(settings: Settings) -> None:
    """Lay the cluster's groups over the controllers' roots. Runs inside the namespaces."""
    for group in list(_groups(settings)):
        subprocess.run(["mount", "--bind", str(group), str(group.parent)], check=True, timeout=10)


def remove(settings: Settings) -> list[str]:
    """Remove the cluster's groups; those that could not be removed."""
    deadline = time.monotonic() + LIMIT
    while True:
        for group in list(_groups(settings)):
            _remove_tree(group)
        left = sorted(str(group) for group in _groups(settings))
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def _remove_tree(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
