"""How a build fails: with a text for people."""

from __future__ import annotations

from collections import deque
from pathlib import Path

LINES_SHOWN = 25


class BuildFailed(Exception):  # noqa: N818 - it is no error of the program
    """An image could not be built; the text is for people."""


def tail(log: Path) -> str:
    """The last lines of a log, indented."""
    with log.open(errors="replace") as lines:
        return "".join(f"  | {line}" for line in deque(lines, LINES_SHOWN)).rstrip("\n")
