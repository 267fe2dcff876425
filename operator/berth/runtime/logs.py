"""Structured logs of every process: one JSON object per line on standard error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Literal

import structlog
from structlog.typing import Processor

LogLevel = Literal["debug", "info", "warning", "error"]


def configure_logs(process: str, level: LogLevel = "info") -> None:
    """Send structlog's and the standard library's records (uvicorn, aiohttp, kopf …) to one JSON stream.

    `process` (operator, access, catalog …) is part of each line. Called once, at the start of a process. Tracebacks
    leave out the values of local variables, which may be secrets.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(process),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.EventRenamer("message"),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    _send_all_to(handler, level)


def _send_all_to(handler: logging.Handler, level: LogLevel) -> None:
    root = logging.getLogger()
    for present in list(root.handlers):
        root.removeHandler(present)
    root.addHandler(handler)
    root.setLevel(level.upper())


def _named(process: str) -> Processor:
    def add(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.setdefault("process", process)
        return event

    return add


class LineWriter:
    """Writes whole lines to a file descriptor in order, several in one write."""

    def __init__(self, descriptor: int, soon: Callable[[Callable[[], None]], object]) -> None:
        """`soon` runs a function after a short delay, in which lines are collected.

        A response may be sent before its line is written.
        """
        self._descriptor = descriptor
        self._soon = soon
        self._lines: list[str] = []

    def write(self, line: str) -> None:
        """Write one line, which ends with a line feed, after the delay."""
        if not self._lines:
            self._soon(self.flush)
        self._lines.append(line)

    def flush(self) -> None:
        """Write the collected lines now. The process calls this at its end."""
        left = "".join(self._lines).encode("utf-8")
        self._lines = []
        while left:
            left = left[os.write(self._descriptor, left) :]
