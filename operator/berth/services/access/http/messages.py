"""One HTTP request and its answer on raw ASGI (spec 3.0, "HTTP Connection Scope"). No framework on the request path."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyTooLargeError(Exception):
    """The request's body has more bytes than may be read."""


class ClientDisconnectedError(Exception):
    """The client closed the connection before its body was complete."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request. Header names are in lower case; a header that came twice is joined by commas (RFC 9110, 5.3)."""

    method: str
    target: str  # path and query, byte for byte as they came, read as Latin-1
    headers: Mapping[str, str]
    receive: Receive

    @property
    def path(self) -> str:
        """The part of the target before the query, still encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The part of the target after the first question mark, still encoded."""
        return self.target.partition("?")[2]

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises BodyTooLarge beyond `limit` bytes, ClientGone when it ends early."""
        declared = self.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared) > limit:
            raise BodyTooLargeError
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnectedError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise BodyTooLargeError
            if not message.get("more_body", False):
                return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer. `Content-Length` is added when it is sent."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)


Deferred: TypeAlias = Callable[[], Response]
"""An answer that is decided, and is worked out by calling this: once, soon, and best together with others."""


def read_request(scope: Scope, receive: Receive) -> Request:
    """The request of an ASGI scope of type `http`."""
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
    query: bytes = scope["query_string"]
    target = raw_path + b"?" + query if query else raw_path
    return Request(scope["method"], target.decode("latin-1"), read_headers(scope["headers"]), receive)


def read_headers(raw: Collection[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name, in the case that they have; one that came twice is joined by commas (RFC 9110, 5.3)."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
    if len(headers) != len(raw):
        headers = {}
        for raw_name, raw_value in raw:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def send_answer(send: Send, answer: Response, *, head: bool) -> None:
    """Send an answer; to a HEAD request without its body."""
    lines: Iterable[tuple[str, str]] = (*answer.headers, ("content-length", str(len(answer.body))))
    if head and answer.header("content-length") is not None:
        lines = answer.headers
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})


def json_answer(status: int, document: Any, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """An answer of compact ASCII JSON on one line."""
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode("ascii")
    return Response(status, (("content-type", "application/json"), *headers), body)
