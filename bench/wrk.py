"""wrk, the load: how it is run, and what it tells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SCRIPTS: Final = Path(__file__).parent
_REPORT: Final = "wrk-report: "


@dataclass(frozen=True, slots=True)
class Told:
    """What one run did."""

    requests: int
    bytes: int
    seconds: float
    failed: int  # answers that were no 2xx or 3xx, and errors of connections


def program() -> str:
    """Where wrk is. Raises FileNotFoundError with what to do."""
    found = shutil.which("wrk", path=f"{os.environ['PATH']}:/usr/bin")
    if found is None:
        raise FileNotFoundError("wrk is missing: run `e2e/tools/build bench`, or apt-get install wrk")
    return found


def start(
    url: str,
    *,
    seconds: int,
    connections: int,
    headers: Mapping[str, str] | None = None,
    script: str = "report.lua",
    arguments: Sequence[str] = (),
) -> subprocess.Popen[str]:
    """Start wrk with one thread. The script (of this folder) decides what is sent."""
    command = [program(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(_SCRIPTS / script)]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    return subprocess.Popen([*command, url, *("--", *arguments)], stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> Told:
    """Wait until it ends; what it did. Raises RuntimeError when it did not say."""
    printed, _ = process.communicate()
    lines = [line.removeprefix(_REPORT) for line in printed.splitlines() if line.startswith(_REPORT)]
    if process.returncode or len(lines) != 1:
        raise RuntimeError(f"wrk ended with {process.returncode}: {printed.strip()[-200:]}")
    return Told(**json.loads(lines[0]))
