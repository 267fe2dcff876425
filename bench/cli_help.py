"""Duration of `kubectl berth --help`, from start to end of the program: milliseconds.

    python -m bench.cli_help [ROUNDS]

Exits with 1 when the median is above the limit. A program that only starts Python takes turns with it, because most
of the time is Python's own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from bench.table import Row, at_most

LIMIT_MS = 300.0
PLUGIN = "from berth.cli.kubectl.main import main; main()"
COMMANDS = {
    "python (nothing)": ("-c", ""),
    "kubectl berth --help": ("-c", PLUGIN, "--help"),
    "kubectl berth why --help": ("-c", PLUGIN, "why", "--help"),
    "kubectl berth token create --help": ("-c", PLUGIN, "token", "create", "--help"),
}


def milliseconds(arguments: Sequence[str]) -> float:
    """One run."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return 1000 * (time.perf_counter() - began)


def measure(rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every run, by command; a first round, which fills caches, does not count."""
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, arguments in COMMANDS.items():
            taken = milliseconds(arguments)
            if number:
                found[name].append(taken)
    return found


def rows(rounds: int = 9) -> list[Row]:
    """The median of each command that has a limit, beside that of Python alone."""
    found = {name: statistics.median(taken) for name, taken in measure(rounds).items()}
    python = found.pop("python (nothing)")
    return [
        at_most(f"`{name}`", LIMIT_MS, taken, unit="ms", digits=0, figures=f"{python:.0f} ms of them start Python")
        for name, taken in found.items()
    ]


def main() -> int:
    """Print the table; the exit code."""
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
    print(f"{'':36}{'median ms':>10}{'worst ms':>10}")
    for name, taken in found.items():
        print(f"{name:36}{statistics.median(taken):>10.0f}{max(taken):>10.0f}")
    return int(any(statistics.median(taken) > LIMIT_MS for taken in found.values()))


if __name__ == "__main__":
    sys.exit(main())
