"""The fast path: responses without an asyncio task and an ASGI cycle.

For requests that do not have to wait for anything. Task and cycle cost more than half of the time of such a response.
uvicorn handles every other request as usual, and every request that is unusual in any way. Why:
docs/adr/0011-fast-path-for-token-and-authz.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from berth.services.access.http.messages import PENDING_RESPONSE, Deferred, Handled, Request, Response, read_headers


class SyncApplication(Protocol):
    """An ASGI application that needs a cycle only to wait for something."""

    def handle(self, request: Request) -> Handled:
        """Respond to a request.

        The ASGI cycle gets an awaitable as `scope[PENDING_RESPONSE]`.
        """
        ...


class SignatureBatch:
    """Builds the deferred responses of one turn of the event loop together.

    A signature between two requests costs twice as much as one right after another signature: its tables and the
    interpreter's working set evict each other from the processor's cache.
    """

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        """`soon` runs a function after what is ready now, like a loop's `call_soon`."""
        self._soon = soon
        self._waiting: list[tuple[FastPathProtocol, Deferred]] = []

    def add(self, protocol: FastPathProtocol, deferred: Deferred) -> None:
        """Build this response at the end of the turn and give it to the protocol."""
        if not self._waiting:
            self._soon(self._flush)
        self._waiting.append((protocol, deferred))

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for protocol, response in [(protocol, deferred()) for protocol, deferred in waiting]:
            protocol.finish(response)


class _Exchange:
    """Replaces uvicorn's cycle while a request is on the fast path."""

    disconnected = False

    def __init__(self) -> None:
        self.response_complete = True
        self.message_event: Final = asyncio.Event()
        # uvicorn writes these when a connection is shut down, and when a body arrives.
        self.keep_alive = True
        self.more_body = False


class FastPathProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools, for a `SyncApplication`."""

    def __init__(self, *arguments: Any, batch: SignatureBatch, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._batch = batch
        self._active_at = 0.0  # time of the last byte in or out, by the loop's clock
        self._exchange = cast(RequestResponseCycle, _Exchange())

    def on_message_begin(self) -> None:
        """Begin a request. What only an ASGI cycle needs is built when there is one."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Respond, or start an ASGI cycle."""
        handled = self._handle() if self._is_usual() else None
        if isinstance(handled, Response):
            self.cycle = self._exchange
            self.finish(handled)
        elif callable(handled):
            self.cycle = self._exchange
            self.cycle.response_complete = False
            self._batch.add(self, handled)
        else:
            self._start_cycle(handled)

    def _start_cycle(self, pending: Awaitable[Response] | None) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        if pending is not None:
            cast(MutableMapping[str, Any], self.scope)[PENDING_RESPONSE] = pending
        super().on_headers_complete()

    def finish(self, response: Response) -> None:
        """Write a response of the fast path."""
        self._exchange.response_complete = True
        self.transport.write(_encoded(response))
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """Continue with the next request of this connection."""
        if self.timeout_keep_alive_task is None or self.pipeline:
            super().on_response_complete()  # which starts the timer when no request waits
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._active_at = self.loop.time()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, or start the timer again for the remaining time.

        uvicorn makes a timer for each response and cancels it at the next request: a tenth of the time of a response.
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
        # uvicorn calls this whenever data arrives.
        self._active_at = self.loop.time()

    def _is_usual(self) -> bool:
        """Whether this is a GET that keeps its connection open, and the only request."""
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
            and self.url.isascii()
            and b"#" not in self.url
        )

    def _handle(self) -> Handled:
        request = Request("GET", self.url.decode("ascii"), read_headers(self.headers), _no_body)
        return cast(SyncApplication, self.app).handle(request)


async def _no_body() -> MutableMapping[str, Any]:
    raise RuntimeError("the fast path reads no body")


def _encoded(response: Response) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
    head = f"{lines}content-length: {len(response.body)}\r\n\r\n"
    return STATUS_LINE[response.status] + head.encode("latin-1") + response.body
