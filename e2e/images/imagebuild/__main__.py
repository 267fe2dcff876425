"""`e2e/images/build [NAME…]`: build images and print one line for each.

NAME is berth, gateway, registry, hello, pause or a base; without one, all are built. The archives (`<name>.tar`, OCI
image layout) are then in `${BERTH_IMAGES:-${XDG_CACHE_HOME:-~/.cache}/berth/images}`, and stay until what they are made
of changes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from imagebuild.cache import Cache, default_cache, default_tools
from imagebuild.failure import BuildFailed
from imagebuild.plan import Image, images, select

ROOT = Path(__file__).resolve().parents[3]
MEGABYTE = 1_000_000


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)


def build_all(chosen: Sequence[Image], cache: Cache) -> None:
    """Build each image, in order, with a line for each."""
    for number, image in enumerate(chosen, 1):
        shown = image.name if len(image.name) < 34 else f"{image.name[:33]}…"
        say(f"[{number}/{len(chosen)}] {image.short:<12} {shown:<34} ", end="")
        if cache.holds(image.short, image.key):
            say("cached")
            continue
        started = time.monotonic()
        image.build(cache)
        cache.finished(image.short, image.key)
        size = cache.archive(image.short).stat().st_size / MEGABYTE
        say(f"{time.monotonic() - started:.0f} s, {size:.0f} MB")
    say(f"images are in {cache.root}")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="e2e/images/build", description="Build the images of Berth and of its tests.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="berth, gateway, registry, hello, pause …; default: all"
    )
    options = parser.parse_args(arguments)
    cache = default_cache()
    try:
        with cache.locked():
            build_all(select(options.names, images(ROOT, default_tools())), cache)
    except BuildFailed as problem:
        say("FAILED")
        print(problem, file=sys.stderr)
        return 1
    except subprocess.SubprocessError as problem:
        say("FAILED")
        print(f"a step did not end well: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
