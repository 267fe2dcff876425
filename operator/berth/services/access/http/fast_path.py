"""HTTP on the request path: what can be answered at once is, before a task and an ASGI exchange are made for it.

That takes more than half of the time of such an answer. Everything else goes the way that uvicorn gives it, and
so does whatever is unusual about a request. Why: docs/adr/0011-fast-path-for-token-and-authz.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any, Final, Protocol, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from berth.services.access.http.messages import Deferred, Request, Response, read_headers


class SyncApplication(Protocol):
    """An application that knows some answers at once."""

    def at_once(self, request: Request) -> Response | Deferred | None:
        """The answer to a request, its body unread; None where the application has to be called."""
        ...


class SignatureBatch:
    """Works out what is left to do for the answers of one turn of the event loop, one after the other.

    A signature between two requests costs twice what it costs behind another one: its tables and the interpreter's
    working set take the processor's cache from each other.
    """

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        """`soon` runs a function after what is ready now, as an event loop's `call_soon` does."""
        self._soon = soon
        self._waiting: list[tuple[FastPathProtocol, Deferred]] = []

    def add(self, protocol: FastPathProtocol, unfinished: Deferred) -> None:
        """Finish this answer at the end of the turn, and hand it to the protocol."""
        if not self._waiting:
            self._soon(self._end)
        self._waiting.append((protocol, unfinished))

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, []
        for protocol, answer in [(protocol, unfinished()) for protocol, unfinished in waiting]:
            protocol.finish(answer)


class _Exchange:
    """Stands where uvicorn has the exchange of the present or last request."""

    disconnected = False

    def __init__(self) -> None:
        self.response_complete = True
        self.message_event: Final = asyncio.Event()
        # uvicorn writes these when a connection is shut down, and when a body comes.
        self.keep_alive = True
        self.more_body = False


class FastPathProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools, for an application that is `SyncApplication`."""

    def __init__(self, *arguments: Any, turn: SignatureBatch, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._turn = turn
        self._active_at = 0.0  # when something came or went last, by the loop's clock
        self._exchange = cast(RequestResponseCycle, _Exchange())

    def on_message_begin(self) -> None:
        """Take a request; what an ASGI exchange needs is made when there is going to be one."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Answer, or let uvicorn do so."""
        answer = self._at_once() if self._usual() else None
        if answer is None:
            url, headers, expects = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, expects
            self.headers.extend(headers)
            super().on_headers_complete()
            return
        self.cycle = self._exchange
        if isinstance(answer, Response):
            self.finish(answer)
        else:
            self.cycle.response_complete = False
            self._turn.add(self, answer)

    def finish(self, answer: Response) -> None:
        """Send an answer that was found at once."""
        self._exchange.response_complete = True
        self.transport.write(_written(answer))
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """Go on with what waits on this connection."""
        if self.timeout_keep_alive_task is None or self.pipeline:
            super().on_response_complete()  # which starts the timer when nothing waits
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._active_at = self.loop.time()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has been idle for long enough, or look again when it will have been.

        uvicorn makes a timer for each answer and cancels it with the next request: a tenth of such an answer.
        """
        self.timeout_keep_alive_task = None
        if self.cycle is not None and not self.cycle.response_complete:
            return  # its end starts the timer again
        left = self._active_at + self.timeout_keep_alive - self.loop.time()
        if left > 0 and not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        # uvicorn calls this whenever something comes.
        self._active_at = self.loop.time()

    def _usual(self) -> bool:
        """Whether nothing is under way on this connection, and the request is a GET that leaves it open."""
        return (
            self.parser.get_method() == b"GET"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.pipeline
            and not self.flow.write_paused
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and self.url.startswith(b"/")
            and b"#" not in self.url
        )

    def _at_once(self) -> Response | Deferred | None:
        request = Request("GET", self.url.decode("latin-1"), read_headers(self.headers), _no_body)
        return cast(SyncApplication, self.app).at_once(request)


async def _no_body() -> MutableMapping[str, Any]:
    raise RuntimeError("what is answered at once reads no body")


def _written(answer: Response) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    head = f"{lines}content-length: {len(answer.body)}\r\n\r\n"
    return STATUS_LINE[answer.status] + head.encode("latin-1") + answer.body
