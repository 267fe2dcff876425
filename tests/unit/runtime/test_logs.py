"""Lines that are written with each request: whole, in order, and several together."""

from __future__ import annotations

import os
from collections.abc import Callable

from berth.runtime.logs import LineWriter


def test_lines_are_collected_and_written_once_in_order() -> None:
    reading, writing = os.pipe()
    later: list[Callable[[], None]] = []
    lines = LineWriter(writing, later.append)
    for text in ("first\n", "zweite ä\n"):
        lines.write(text)
    assert len(later) == 1
    later.pop()()
    lines.write("third\n")
    later.pop()()
    lines.flush()
    os.close(writing)
    with os.fdopen(reading, "rb") as everything:
        assert everything.read().decode() == "first\nzweite ä\nthird\n"
