"""Up and down, seen from outside the namespaces."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from node import cgroups, mounts, namespaces
from node.components import TABLE
from node.settings import ClusterError, Settings

NEEDED = (*(name for name in TABLE if name != "node-agent"), "pause", "ctr", "coredns", "containerd-shim-runc-v2")
MACHINE = ("unshare", "nsenter", "ip", "nft", "openssl", "runc")
BOOT_LIMIT = 240
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def say(text: str) -> None:
    print(text, flush=True)


def inside(settings: Settings, *arguments: str, limit: float | None = None) -> int:
    """Run this same program inside the namespaces; its exit code."""
    pid = namespaces.init_pid(settings)
    if pid is None:
        raise ClusterError("the cluster is not up: run `e2e/cluster/up`")
    main = Path(__file__).resolve().parent.parent / "nodectl.py"
    variables = {"PATH": f"{settings.bin}:{SYSTEM_PATH}", "PYTHONDONTWRITEBYTECODE": "1", **_own_variables(settings)}
    command = namespaces.enter_command(settings, pid, [sys.executable, str(main), *arguments], variables)
    try:
        return subprocess.run(command, timeout=limit).returncode
    except subprocess.TimeoutExpired:
        raise ClusterError(f"`{' '.join(arguments)}` did not end within {limit:.0f} s") from None


def _own_variables(settings: Settings) -> dict[str, str]:
    return {"BERTH_CLUSTER": str(settings.state), "BERTH_TOOLS": str(settings.tools), "BERTH_HOST": settings.host}


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Keep every other process from booting or ending a cluster in the same folder."""
    settings.state.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(settings.state.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def up(settings: Settings) -> int:
    """Boot the cluster, unless it is up; a boot that fails is cleaned up."""
    if namespaces.init_pid(settings) is not None and (settings.state / "ready").exists():
        say(f"the cluster is up already; run commands in it with e2e/in-cluster (state in {settings.state})")
        return 0
    _check_needs(settings)
    if settings.state.exists():
        say("removing what an interrupted boot or a cluster that died left")
        down(settings)
    started = time.monotonic()
    say(f"booting the cluster (state in {settings.state})")
    _prepare(settings)
    try:
        namespaces.create(settings)
        code = inside(settings, "boot", limit=BOOT_LIMIT)
    except BaseException:
        down(settings)
        raise
    if code != 0:
        _keep_logs(settings)
        down(settings)
        return code
    (settings.state / "ready").touch()
    shutil.rmtree(_failed_logs(settings), ignore_errors=True)
    say(f"the cluster is up after {time.monotonic() - started:.1f} s; audit log: {settings.audit_log}")
    return 0


def _check_needs(settings: Settings) -> None:
    if os.geteuid() != 0:
        raise ClusterError("the cluster needs root: namespaces, mounts and control groups")
    for name in NEEDED:
        settings.program(name)
    missing = [name for name in MACHINE if not shutil.which(name, path=SYSTEM_PATH)]
    if missing:
        raise ClusterError(f"missing on this machine: {', '.join(missing)}; `e2e/tools/build` installs them")


def _prepare(settings: Settings) -> None:
    settings.logs.mkdir(parents=True)
    settings.state.chmod(0o755)
    made = mounts.absent_mount_points()
    (settings.state / "before.json").write_text(json.dumps(made))
    for folder in reversed(made):
        Path(folder).mkdir()
    cgroups.create(settings)


def _failed_logs(settings: Settings) -> Path:
    return settings.state.with_name(f"{settings.state.name}.failed-logs")


def _keep_logs(settings: Settings) -> None:
    kept = _failed_logs(settings)
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(settings.logs, kept)
    say(f"all logs of the failed boot: {kept}")


def down(settings: Settings) -> int:
    """End everything and remove every trace; harmless if there is nothing."""
    namespaces.destroy(settings)
    if not settings.state.exists():
        say("no cluster is up")
        return 0
    if not (settings.state / "before.json").exists():
        raise ClusterError(f"{settings.state} was not made by a boot of this cluster; it is left alone")
    left = cgroups.remove(settings)
    _remove_mount_points(settings)
    shutil.rmtree(settings.state)
    if left:
        raise ClusterError(f"control groups that could not be removed: {', '.join(left)}")
    say("the cluster is down")
    return 0


def _remove_mount_points(settings: Settings) -> None:
    """Remove the folders that the boot made, or leave that to a cluster beside this one: its mounts lie on them too."""
    made = _mount_points(settings.state / "before.json")
    for beside in settings.state.parent.glob("*/before.json"):
        if beside.parent != settings.state:
            beside.write_text(json.dumps([*made, *_mount_points(beside)]))
            return
    for folder in sorted(made, key=len, reverse=True):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def _mount_points(before: Path) -> list[str]:
    try:
        return list(json.loads(before.read_text()))
    except ValueError:
        return []


def load(settings: Settings, archives: Sequence[str]) -> int:
    """Import OCI or Docker archives for the kubelet."""
    for name in archives:
        if not Path(name).is_file():
            raise ClusterError(f"no such archive: {name}")
    return inside(settings, "import", *(str(Path(name).absolute()) for name in archives))
