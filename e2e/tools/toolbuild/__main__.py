"""`e2e/tools/build [--list] [NAME…]`: build tools and print one line for each.

NAME is a group (`demo`, `bench`: what `make demo` and `make bench` need; `test`: everything), a tool, or a program.
The programs are then in `${BERTH_TOOLS:-${XDG_CACHE_HOME:-~/.cache}/berth/tools}/bin`. What was built stays there
until its `go.mod`, the go version or the flags change. Set BERTH_SKIP_DEBIAN=1 to leave the Debian packages alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from toolbuild import debian
from toolbuild.gobuild import BuildError, build, default_cache, go_version, module_version
from toolbuild.plan import TOOLS, Tool, select

MODULES = Path(__file__).resolve().parent.parent


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)


def debian_packages() -> None:
    """Install what is missing, and say which."""
    absent = debian.missing()
    if not absent or os.environ.get("BERTH_SKIP_DEBIAN"):
        return
    say(f"Debian packages: installing {', '.join(absent)} … ", end="")
    started = time.monotonic()
    debian.install(absent)
    say(f"{time.monotonic() - started:.0f} s")


def build_all(tools: Sequence[Tool]) -> None:
    """Build each tool, in order, with a line for each."""
    cache, go = default_cache(), go_version()
    for number, tool in enumerate(tools, 1):
        say(f"[{number:2}/{len(tools)}] {tool.name:<16} {module_version(tool, MODULES):<16} ", end="")
        seconds = build(tool, MODULES, cache, go)
        say("cached" if seconds is None else f"{seconds:.0f} s")
    say(f"tools are in {cache.bin}")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="e2e/tools/build", description=__doc__.split("\n\n")[1] if __doc__ else "")
    parser.add_argument("--list", action="store_true", help="say what there is, build nothing")
    parser.add_argument("names", nargs="*", metavar="NAME", help="groups, tools or programs; default: demo")
    options = parser.parse_args(arguments)
    if options.list:
        for tool in TOOLS:
            groups = ", ".join(sorted(tool.groups))
            say(f"{tool.name:<16} {module_version(tool, MODULES):<16} {groups:<11} {' '.join(tool.programs())}")
        return 0
    tools = select(options.names)
    try:
        debian_packages()
        build_all(tools)
    except (BuildError, debian.InstallError) as problem:
        say("FAILED")
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
