"""wrk, the load generator: run it and read its report."""

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
class Report:
    """The result of one run."""

    requests: int
    bytes: int
    seconds: float
    failed: int  # responses other than 2xx and 3xx, and connection errors


def program() -> str:
    """The path of wrk. Raises FileNotFoundError with what to do."""
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


def finished(process: subprocess.Popen[str]) -> Report:
    """Wait until it ends; its report. Raises RuntimeError when there is none."""
    printed, _ = process.communicate()
    lines = [line.removeprefix(_REPORT) for line in printed.splitlines() if line.startswith(_REPORT)]
    if process.returncode or len(lines) != 1:
        raise RuntimeError(f"wrk ended with {process.returncode}: {printed.strip()[-200:]}")
    return Report(**json.loads(lines[0]))
