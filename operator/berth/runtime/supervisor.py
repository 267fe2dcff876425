"""The life of a process: signals, its endless tasks, and its end when one of them ends."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, Final, Self

import structlog
import uvloop

from berth.runtime.health import Probe

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger(__name__)


class TasksEndedError(ExceptionGroup[Exception]):
    """Tasks that must run as long as the process have ended. They are in the log."""


class Supervisor:
    """Runs the tasks of a process until `stop` is set, or until one of them ends, which sets it.

    An asynchronous context manager. Its block serves until `wait` returns and then shuts down in order; leaving it
    cancels the tasks that are left. It raises `TasksEndedError` when a task ended before that.
    """

    def __init__(self, stop: asyncio.Event | None = None) -> None:
        self._stop = stop or asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failures: dict[str, Exception] = {}
        self._cancelling = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cancelling = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if error is None and self._failures:
            raise TasksEndedError("tasks of the process have ended", list(self._failures.values()))

    @property
    def stopping(self) -> bool:
        """Whether the process shuts down."""
        return self._stop.is_set()

    @property
    def ended(self) -> Mapping[str, str]:
        """Tasks that have ended although they must not, with the kind of error."""
        return {name: type(error).__name__ for name, error in self._failures.items()}

    @property
    def health(self) -> Probe:
        """The health of the process: whether every task runs."""
        return Probe(False, {"ended": dict(self.ended)}) if self._failures else Probe(True, {"ok": True})

    def start(self, name: str, running: Coroutine[Any, Any, Any], *, may_return: bool = False) -> asyncio.Task[Any]:
        """Start a task. It must not end before the process does; with `may_return` only an error counts as its end."""
        task = asyncio.create_task(running if may_return else _endless(running), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def wait(self) -> None:
        """Return when the process has to stop: after a signal, or when a task has ended."""
        await self._stop.wait()

    def _done(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            error: BaseException | None = None if self._cancelling else RuntimeError("cancelled")
        else:
            error = task.exception()
        if not isinstance(error, Exception):
            return
        _log.error("task of the process ended", task=task.get_name(), exc_info=error)
        if not self._cancelling:
            self._failures[task.get_name()] = error
            self._stop.set()


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)


def run_process(main: Coroutine[Any, Any, None]) -> None:
    """Run a process to its end; with exit status 1 when one of its tasks ended."""
    try:
        # uvloop takes 80 KB for a watch over TLS, asyncio 320 KB (docs/adr/0002-watching-secrets.md).
        uvloop.run(main)
    except TasksEndedError as ended:
        _log.error("process ended because of its tasks", error=str(ended))
        sys.exit(1)


async def _endless(running: Coroutine[Any, Any, Any]) -> None:
    await running
    raise RuntimeError("returned")
