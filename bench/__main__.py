"""Measure Berth and write the table into docs/benchmarks.md: `make bench`.

    python -m bench [--only PART…] [--no-page]

A missed target is a line of the table, and so is a measurement that failed; the exit code is 0 in both cases, unless
--strict is given. Servers and load have a core each, the things to compare take turns in one run, and the table has
medians, so that other work on the machine has little effect.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench import access_requests, cli_help, gateway_buffers, login_timing
from bench.content import put_content
from bench.installation import Installation, installation
from bench.machine import cores, describe
from bench.table import Row, failed, markdown, missed, plain, put_into
from bench.tokens import hammer_rows, token_rows
from bench.transfers import blob_rows, pull_rows
from berth.runtime.logs import configure_logs

PAGE: Final = Path(__file__).parent.parent / "docs" / "benchmarks.md"
ON_LOOPBACK: Final = ("tokens", "hammer", "pull", "blobs")
ALONE: Final[Mapping[str, Callable[[], list[Row]]]] = {
    "uploads": gateway_buffers.rows,
    "help": cli_help.rows,
    "logins": login_timing.rows,
    "requests": access_requests.rows,
}
PARTS: Final = (*ON_LOOPBACK, *ALONE)


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--no-page", action="store_true", help="print the table alone")
    parser.add_argument("--strict", action="store_true", help="end with 1 when a target is missed")
    options = parser.parse_args(arguments)
    configure_logs("bench", "error")
    machine = describe()
    rows = _measured(options.only)
    print(plain(rows), end="")
    if not options.no_page:
        PAGE.write_text(put_into(PAGE.read_text(), markdown(rows, machine)))
        print(f"\nwritten into {PAGE}")
    return int(options.strict and bool(missed(rows)))


def _measured(parts: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="berth-bench-") as folder:
        if set(ON_LOOPBACK).intersection(parts):
            try:
                berth = stack.enter_context(installation(Path(folder), cores()))
                rows += _on(berth, parts)
            except Exception as error:  # the table reports it, beside what could be measured
                rows.append(failed("Berth on loopback", error))
            finally:
                stack.close()  # before the folder goes
    for part, measure in ALONE.items():
        if part in parts:
            rows += _tried(part, measure)
    return rows


def _on(berth: Installation, parts: Sequence[str]) -> list[Row]:
    measurements: dict[str, Callable[[], list[Row]]] = {
        "tokens": lambda: token_rows(berth),
        "hammer": lambda: hammer_rows(berth),
    }
    if {"pull", "blobs"}.intersection(parts):
        content = put_content(berth.open_registry)
        measurements |= {"pull": lambda: pull_rows(berth), "blobs": lambda: blob_rows(berth, content)}
    return [row for part, measure in measurements.items() if part in parts for row in _tried(part, measure)]


def _tried(part: str, measure: Callable[[], list[Row]]) -> list[Row]:
    """What the measurement found; a failure becomes a row."""
    began = time.monotonic()
    try:
        rows = measure()
    except Exception as error:
        rows = [failed(part, error)]
    print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
