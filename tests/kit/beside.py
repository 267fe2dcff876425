"""`pytest PATHS --beside MORE_PATHS`: the second paths run in a pytest process of their own, beside the first.

Both processes mostly wait, for different things. The report reads as if one process had run everything: first PATHS,
then the rest of MORE_PATHS, each in the order of collection. A second process that ends without the outcome of each of
its tests (after an error of collection, say) is a failure that shows the end of what it printed.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import pytest

_DESCRIPTOR: Final = "BERTH_TESTS_BESIDE"
"""The environment variable with the file descriptor for reports; set in the second process alone."""
_COMPLETE: Final = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
_LINES_SHOWN: Final = 60

Message = Mapping[str, Any]
Location = tuple[str, int | None, str]


def add_option(parser: pytest.Parser) -> None:
    """Add `--beside`."""
    parser.addoption(
        "--beside", action="append", default=[], metavar="PATH", help="run these tests in a process beside"
    )


def configure(config: pytest.Config, environment: Mapping[str, str]) -> None:
    """Start the second process with these variables too; in the second process, send its reports to the first."""
    if descriptor := os.environ.pop(_DESCRIPTOR, ""):
        config.pluginmanager.register(_Sender(config, int(descriptor)))
    elif config.option.beside and not config.option.collectonly:
        config.pluginmanager.register(_Receiver(config, _start(config, config.option.beside, environment)))


class _Sender:
    """Writes what happens in this process to the first one, one JSON object a line."""

    def __init__(self, config: pytest.Config, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._config = config
        self._stream = os.fdopen(descriptor, "w", buffering=1)

    def _send(self, **message: Any) -> None:
        self._stream.write(f"{json.dumps(message)}\n")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._send(collected=len(session.items))

    def pytest_runtest_logstart(self, nodeid: str, location: Location) -> None:
        self._send(start=nodeid, location=location)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        hook = self._config.hook
        self._send(report=hook.pytest_report_to_serializable(config=self._config, report=report))

    def pytest_runtest_logfinish(self, nodeid: str, location: Location) -> None:
        self._send(finish=nodeid, location=location)


@dataclass(frozen=True)
class _Beside:
    """The second process, what it has sent, and the file with what it prints."""

    process: subprocess.Popen[bytes]
    messages: SimpleQueue[Message | None]
    printed: Path

    def sent(self) -> Iterator[Message]:
        """Every message as it comes, until the process closes its end."""
        while (message := self.messages.get()) is not None:
            yield message

    def interrupt(self) -> None:
        """End it as Ctrl-C would: it tears its fixtures down."""
        self.process.send_signal(signal.SIGINT)

    def last_lines(self) -> str:
        return "\n".join(self.printed.read_text(errors="replace").splitlines()[-_LINES_SHOWN:])


def _start(config: pytest.Config, paths: Sequence[str], environment: Mapping[str, str]) -> _Beside:
    reading, writing = os.pipe()
    handle, printed = tempfile.mkstemp(prefix="berth-tests-beside-", suffix=".log")
    # It is interrupted when the first process dies, and by nothing else that reaches the terminal's process group.
    can_be_interrupted = ("env", "--default-signal=INT", "setpriv", "--pdeathsig", "INT")
    process = subprocess.Popen(
        [*can_be_interrupted, sys.executable, "-m", "pytest", *_options(config), *paths],
        cwd=config.rootpath,
        env={**os.environ, **environment, _DESCRIPTOR: str(writing)},
        stdin=subprocess.DEVNULL,
        stdout=handle,
        stderr=subprocess.STDOUT,
        pass_fds=[writing],
        start_new_session=True,
    )
    os.close(writing)
    os.close(handle)
    messages: SimpleQueue[Message | None] = SimpleQueue()
    threading.Thread(target=_read, args=(reading, messages), daemon=True).start()
    return _Beside(process, messages, Path(printed))


def _options(config: pytest.Config) -> list[str]:
    """The options that select tests or end the run, for both processes; what the first one runs, it runs alone."""
    given = {"-k": config.option.keyword, "-m": config.option.markexpr, "--maxfail": config.option.maxfail}
    chosen = [word for name, value in given.items() if value for word in (name, str(value))]
    return ["-p", "no:cacheprovider", *chosen, *(f"--ignore={path}" for path in config.args)]


def _read(descriptor: int, messages: SimpleQueue[Message | None]) -> None:
    """Empties the pipe as it fills, whatever the first process does meanwhile."""
    with os.fdopen(descriptor) as stream:
        for line in stream:
            messages.put(json.loads(line))
    messages.put(None)


class _Receiver:
    """Reports what the second process sent, after the tests of this process."""

    def __init__(self, config: pytest.Config, beside: _Beside) -> None:
        self._config = config
        self._beside = beside

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        messages = self._beside.sent()
        try:
            for collected in itertools.islice(messages, 1):
                self._report(session, collected)
            result = yield
            for message in messages:
                self._report(session, message)
        except BaseException:
            self._beside.interrupt()
            raise
        if (code := self._beside.process.wait()) not in _COMPLETE:
            self._report_incomplete(code)
        return result

    def _report(self, session: pytest.Session, message: Message) -> None:
        hook = self._config.hook
        match message:
            case {"collected": number}:
                session.testscollected += number
            case {"start": name, "location": location}:
                hook.pytest_runtest_logstart(nodeid=name, location=tuple(location))
            case {"report": data}:
                report = hook.pytest_report_from_serializable(config=self._config, data=data)
                hook.pytest_runtest_logreport(report=report)
            case {"finish": name, "location": location}:
                hook.pytest_runtest_logfinish(nodeid=name, location=tuple(location))
        if session.shouldfail:
            raise session.Failed(session.shouldfail)

    def _report_incomplete(self, code: int) -> None:
        name = " ".join(self._config.option.beside)
        said = f"the tests beside ended with exit code {code}; the last that they printed:\n{self._beside.last_lines()}"
        report = pytest.TestReport(name, (name, None, name), {}, "failed", said, "call")
        self._config.hook.pytest_runtest_logreport(report=report)

    def pytest_unconfigure(self) -> None:
        """Waits until the second process has torn its fixtures down."""
        self._beside.process.wait()
        self._beside.printed.unlink(missing_ok=True)
