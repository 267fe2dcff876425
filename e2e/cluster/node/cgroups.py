"""Control groups that the node's programs make: they are no part of a namespace, so `down` removes them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
# The kubelet, the Docker engine, podman, containerd's own clients, BuildKit.
MADE = ("kubepods", "docker", "libpod_parent", "machine", "k8s.io", "default", "buildkit", "moby")
LIMIT = 10.0


def _groups() -> Iterator[Path]:
    for controller in (ROOT, *ROOT.glob("*/")):
        for name in MADE:
            group = controller / name
            if (group / "cgroup.procs").exists():
                yield group


def present() -> set[str]:
    """The groups of these names that there are; those from before a boot are not ours to remove."""
    return {str(group) for group in _groups()}


def remove(before: set[str]) -> list[str]:
    """Remove the groups that came since; those that could not be removed."""
    deadline = time.monotonic() + LIMIT
    while True:
        for group in list(_groups()):
            if str(group) not in before:
                _remove_tree(group)
        left = sorted(present() - before)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def _remove_tree(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
