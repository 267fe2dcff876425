"""The machine of the measurement: its name, its cores, and processor time of its processes."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.table import Machine


@dataclass(frozen=True, slots=True)
class Cores:
    """Where servers run and where the load comes from: two cores, or the only one there is."""

    server: int
    load: int


def cores() -> Cores:
    """The first two cores that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[1] if len(usable) > 1 else usable[0])


@contextlib.contextmanager
def on(core: int) -> Iterator[None]:
    """Programs started within run on this core, with all their threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def processor_seconds(pids: Iterable[int]) -> float:
    """Time that these processes have spent on a processor so far, all threads that live (schedstat of Linux)."""
    total = 0
    for pid in pids:
        for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            total += int(stat.read_text().split()[0])
    return total / 1e9


def describe() -> Machine:
    """What this machine calls itself."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    total = re.search(r"^MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return Machine(
        processor=model[1].strip() if model else platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gib=int(total[1]) / 2**20 if total else 0.0,
        kernel=platform.release(),
        python=platform.python_version(),
        load=os.getloadavg()[0],
        at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
