"""HTTP on the request path: what can be answered at once is, before a task and an ASGI exchange are made for it.

That takes more than half of the time of such an answer. Everything else goes the way that uvicorn gives it, and
so does whatever is unusual about a request. Why: docs/adr/0011-answers-at-once.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final, Protocol, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from berth.services.access.exchange import Answer, Request


class Prompt(Protocol):
    """An application that knows some answers at once."""

    def at_once(self, request: Request) -> Answer | None:
        """The answer to a request, its body unread; None where the application has to be called."""
        ...


class _Over:
    """Stands where uvicorn has the exchange of the last request: one that is over."""

    response_complete: Final = True
    disconnected: Final = False

    def __init__(self) -> None:
        self.message_event = asyncio.Event()


class PromptProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools, for an application that is `Prompt`."""

    def on_headers_complete(self) -> None:
        """Answer, or let uvicorn do so."""
        answer = self._at_once() if self._usual() else None
        if answer is None:
            super().on_headers_complete()
            return
        self.cycle = cast(RequestResponseCycle, _Over())
        self.transport.write(_written(answer))
        self.on_response_complete()

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

    def _at_once(self) -> Answer | None:
        headers: dict[str, str] = {}
        for raw_name, raw_value in self.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        request = Request("GET", self.url.decode("latin-1"), headers, _no_body)
        return cast(Prompt, self.app).at_once(request)


async def _no_body() -> MutableMapping[str, Any]:
    raise RuntimeError("what is answered at once reads no body")


def _written(answer: Answer) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    head = f"{lines}content-length: {len(answer.body)}\r\n\r\n"
    return STATUS_LINE[answer.status] + head.encode("latin-1") + answer.body
