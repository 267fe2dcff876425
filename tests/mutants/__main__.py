"""Judge the unit tests by mutants of the code that they test.

    python -m tests.mutants --package authz --sample 100 --seed 2

For each package a seeded sample of small changes (a comparison, and/or, not, a returned boolean) is put in place, one
at a time and in memory alone, and the unit tests of the package run. Prints how many changes they noticed, and every
change that they did not: file, line and change.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
CODE: Final = ROOT / "operator" / "berth"
TESTS: Final = ROOT / "tests" / "unit"
PACKAGES: Final = ("api", "authz", "desired", "oci", "status", "reconcile")


def main() -> int:
    """Judge the packages; 1 when tests fail without a mutant."""
    options = _options()
    if len(options.package) > 1:
        return max(_apart(package, options) for package in options.package)
    (package,) = options.package
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = scratch  # failing examples of mutants are no examples
        return _judged(package, options)


def _judged(package: str, options: argparse.Namespace) -> int:
    sys.path[:0] = [str(ROOT / "operator"), str(ROOT)]
    from tests.mutants.judge import judge

    began = time.monotonic()
    found = judge(CODE / package, [TESTS / package], options.sample, options.seed, options.jobs)
    if found.failed:
        print(f"{package}: fails without a mutant: {', '.join(found.failed)}")
        return 1
    whole = found.killed + len(found.survivors)
    percent = 100 * found.killed // whole if whole else 100
    seconds = time.monotonic() - began
    print(f"{package}: {found.killed} of {whole} mutants killed ({percent} %), {seconds:.0f} s", flush=True)
    for each in found.survivors:
        source = each.file.read_text().splitlines()[each.line - 1].strip()
        note = "; no test calls it" if each in found.uncalled else ""
        print(f"  {each.file.relative_to(ROOT)}:{each.line}: {each.change}{note}: {source}", flush=True)
    return 0


def _apart(package: str, options: argparse.Namespace) -> int:
    """A process of its own for each package: each collects other tests."""
    numbers = ("--sample", str(options.sample), "--seed", str(options.seed), "--jobs", str(options.jobs))
    command = [sys.executable, "-m", "tests.mutants", "--package", package, *numbers]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--package", action="append", choices=PACKAGES, help="one package; repeatable (default: all)")
    parser.add_argument("--sample", type=int, default=40, help="mutants of each package (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the sample (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at the same time (default: processors)")
    options = parser.parse_args()
    options.package = options.package or list(PACKAGES)
    return options


if __name__ == "__main__":
    sys.exit(main())
