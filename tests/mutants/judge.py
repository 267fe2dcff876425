"""One package: its tests are collected once, and every mutant is judged in a fork of that process.

A mutant lives in the memory of its fork alone: the changed function's code object takes the place of the original. The
tests that call the function run, the fastest first, until one fails.
"""

from __future__ import annotations

import gc
import io
import os
import pickle
import random
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

import pytest
from _pytest.main import pytest_runtestloop as run_items

from tests.mutants.mutations import Mutation, mutated_code, mutations

_Function = tuple[str, int]  # file and first line

KILLED: Final = 1
SURVIVED: Final = 0


@dataclass
class Baseline:
    """A run without a mutant: by function the tests that call it, by test its seconds, and what failed."""

    calls: dict[_Function, set[int]] = field(default_factory=lambda: defaultdict(set))
    seconds: dict[int, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


@dataclass
class Judgement:
    """What became of the sample."""

    killed: int = 0
    survivors: list[Mutation] = field(default_factory=list)
    uncalled: set[Mutation] = field(default_factory=set)  # survivors whose function no test calls
    failed: list[str] = field(default_factory=list)  # tests that fail without a mutant: then nothing was judged


class Judge:
    """A pytest plugin whose test loop judges mutants instead of the code."""

    def __init__(self, folder: Path, sample: int, seed: int, jobs: int) -> None:
        self.result = Judgement()
        self._folder = folder
        self._sample = sample
        self._seed = seed
        self._jobs = jobs

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's loop."""
        baseline = _baseline(session, self._folder)
        self.result.failed = baseline.failed
        if baseline.failed:
            return True
        waiting = _chosen(self._folder, self._sample, self._seed)
        running: dict[int, tuple[Mutation, float]] = {}
        while waiting or running:
            while waiting and len(running) < self._jobs:
                mutation = waiting.pop()
                tests = baseline.calls.get((str(mutation.file), mutation.function), set())
                if not tests:
                    self.result.survivors.append(mutation)
                    self.result.uncalled.add(mutation)
                    continue
                order = sorted(tests, key=lambda each: baseline.seconds.get(each, 0.0))
                limit = 20.0 + 5 * sum(baseline.seconds.get(each, 0.0) for each in tests)
                child = _forked(lambda m=mutation, o=order: _try(session, m, o))  # type: ignore[misc]
                running[child] = mutation, time.monotonic() + limit
            self._collect(running)
        self.result.survivors.sort(key=lambda each: (each.file, each.number))
        return True

    def _collect(self, running: dict[int, tuple[Mutation, float]]) -> None:
        """Take the verdicts of the forks that have ended; one that takes far too long is killed, and so its mutant."""
        time.sleep(0.02)
        for child, (mutation, deadline) in list(running.items()):
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
            ended, status = os.waitpid(child, os.WNOHANG)
            if not ended:
                continue
            del running[child]
            if os.waitstatus_to_exitcode(status) == SURVIVED:
                self.result.survivors.append(mutation)
            else:
                self.result.killed += 1


def judge(package: Path, tests: Sequence[Path], sample: int, seed: int, jobs: int) -> Judgement:
    """Judge a sample of the package's mutants by these test folders."""
    plugin = Judge(package, sample, seed, jobs)
    output = io.StringIO()
    with redirect_stdout(output):
        status = pytest.main(["-q", "-p", "no:cacheprovider", *map(str, tests)], plugins=[plugin])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        plugin.result.failed = plugin.result.failed or [output.getvalue()]
    return plugin.result


def _chosen(folder: Path, sample: int, seed: int) -> list[Mutation]:
    every = [each for file in sorted(folder.rglob("*.py")) for each in mutations(file)]
    return random.Random(seed).sample(every, min(sample, len(every)))


def _try(session: pytest.Session, mutation: Mutation, order: Sequence[int]) -> int:
    """Within a fork: put the mutant in place and run the tests until one fails."""
    changed = mutated_code(mutation)
    for each in _functions(mutation.file):
        code = changed.get((each.__code__.co_qualname, each.__code__.co_firstlineno))
        if code is not None:
            each.__code__ = code
    session.config.option.maxfail = 1
    session.items = [session.items[number] for number in order]
    with suppress(session.Failed, session.Interrupted):
        run_items(session)
    return KILLED if session.testsfailed else SURVIVED


def _functions(file: Path) -> Iterator[FunctionType]:
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename == str(file):
            yield each


def _forked(work: Callable[[], int]) -> int:
    """Start the work in a fork, silent; its result is the exit status. Returns the process id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = KILLED
    try:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        status = work()
    finally:
        os._exit(status)


def _baseline(session: pytest.Session, folder: Path) -> Baseline:
    """Run everything once in a fork, and note which test calls which function."""
    receiver, sender = os.pipe()

    def work() -> int:
        os.close(receiver)
        found = _observed(session, str(folder) + os.sep)
        with os.fdopen(sender, "wb") as pipe:
            pickle.dump((dict(found.calls), found.seconds, found.failed), pipe)
        return 0

    child = _forked(work)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        calls, seconds, failed = pickle.load(pipe)
    os.waitpid(child, 0)
    return Baseline(calls, seconds, failed)


def _observed(session: pytest.Session, prefix: str) -> Baseline:
    found = Baseline()
    current = -1
    codes: dict[CodeType, _Function | None] = {}

    def called(frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code not in codes:
            inside = code.co_filename.startswith(prefix)
            codes[code] = (code.co_filename, code.co_firstlineno) if inside else None
        if (function := codes[code]) is not None:
            found.calls[function].add(current)

    class Observer:
        """Turns the profiler on around each test, its fixtures included."""

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
            nonlocal current
            current += 1
            began = time.perf_counter()
            threading.setprofile(called)
            sys.setprofile(called)
            try:
                return (yield)
            finally:
                sys.setprofile(None)
                threading.setprofile(None)
                found.seconds[current] = time.perf_counter() - began

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                found.failed.append(report.nodeid)

    session.config.pluginmanager.register(Observer())
    run_items(session)
    return found
