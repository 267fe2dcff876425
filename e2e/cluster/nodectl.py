"""The commands of the test cluster; the scripts beside this file call it.

up | down | load ARCHIVE… | trust CA.pem [HOST] | status
dockerd start|stop [--classic] | buildkitd start|stop | component start|stop|kill|restart NAME
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from node import boot, engines, images, lifecycle, process, trusting
from node.agent.run import run as run_agent
from node.components import TABLE
from node.settings import ClusterError, Settings, read_settings


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="e2e/cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "down", "status", "boot", "agent"):
        commands.add_parser(name)
    for name in ("load", "import"):
        commands.add_parser(name).add_argument("archives", nargs="+", metavar="ARCHIVE")
    trust = commands.add_parser("trust")
    trust.add_argument("authority", type=Path, metavar="CA.pem")
    trust.add_argument("host", nargs="?")
    dockerd = commands.add_parser("dockerd")
    dockerd.add_argument("action", choices=("start", "stop"))
    dockerd.add_argument("--classic", action="store_true", help="the classic image store instead of containerd's")
    commands.add_parser("buildkitd").add_argument("action", choices=("start", "stop"))
    for name in ("component", "engine"):
        one = commands.add_parser(name)
        one.add_argument("action", choices=("start", "stop", "kill", "restart"))
        one.add_argument("name")
    return parser.parse_args(arguments)


def outside(settings: Settings, options: argparse.Namespace) -> int:
    """Commands that people give, outside the namespaces."""
    match options.command:
        case "up":
            with lifecycle.alone(settings):
                return lifecycle.up(settings)
        case "down":
            with lifecycle.alone(settings):
                return lifecycle.down(settings)
        case "load":
            return lifecycle.load(settings, options.archives)
        case "trust":
            trusting.trust(settings, options.authority, options.host or settings.host)
            return 0
        case "dockerd":
            name = engines.DOCKER_CLASSIC if options.classic else engines.DOCKER
            return lifecycle.inside(settings, "engine", options.action, name)
        case "buildkitd":
            return lifecycle.inside(settings, "engine", options.action, engines.BUILDKIT)
    return inside_or_enter(settings, options)


def inside_or_enter(settings: Settings, options: argparse.Namespace) -> int:
    """Commands that work inside the namespaces, entered first if need be."""
    if options.command in {"status", "component"} and not _is_inside(settings):
        rest = [options.action, options.name] if options.command == "component" else []
        return lifecycle.inside(settings, options.command, *rest)
    match options.command:
        case "boot":
            boot.boot(settings)
        case "agent":
            run_agent(settings)
        case "import":
            for archive in options.archives:
                started = time.monotonic()
                images.import_archive(settings, Path(archive))
                print(f"  {time.monotonic() - started:5.1f} s  {archive}", flush=True)
        case "status":
            return status(settings)
        case "component" | "engine":
            act(settings, options.action, options.name)
    return 0


def _is_inside(settings: Settings) -> bool:
    return Path("/run/node").is_dir() and Path("/proc/1/comm").read_text().strip() == "pause"


def status(settings: Settings) -> int:
    """One line a component; 1 if one that should run does not."""
    code = 0
    for name in TABLE:
        pid = process.running_pid(settings, name)
        print(f"{name:<26}{'running' if pid else 'STOPPED'}")
        code = code if pid else 1
    return code


def act(settings: Settings, action: str, name: str) -> None:
    """Start, stop or kill a component or an engine; a start waits until it is ready."""
    known = {*TABLE, engines.DOCKER, engines.DOCKER_CLASSIC, engines.BUILDKIT}
    if name not in known:
        raise ClusterError(f"no component {name}; there are: {', '.join(sorted(known))}")
    if action in {"stop", "restart"}:
        process.stop(settings, name)
    if action == "kill":
        process.stop(settings, name, signal.SIGKILL)
    if action in {"start", "restart"}:
        if process.running_pid(settings, name) is None:
            made = TABLE[name](settings) if name in TABLE else engines.engine(settings, name)
            process.start(settings, made)
            process.await_ready(settings, made)
        if name not in TABLE:
            print(engines.address(name))


def main() -> int:
    try:
        return outside(read_settings(), parse(sys.argv[1:]))
    except ClusterError as problem:
        print(f"cluster: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
