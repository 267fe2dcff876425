"""HTTP requests and responses on raw ASGI (spec 3.0, "HTTP Connection Scope").

No framework on the request path.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PENDING_RESPONSE: Final = "berth.pending_response"
"""Key of an ASGI scope: the awaitable that `handle` has returned for this request already."""


class BodyTooLargeError(Exception):
    """The body of a request is larger than the limit."""


class ClientDisconnectedError(Exception):
    """The client closed the connection before its body was complete."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Header names are in lower case; repeated headers are joined by commas (RFC 9110, 5.3).
    """

    method: str
    target: str  # path and query, byte for byte as received, decoded as Latin-1
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
        """Read the whole body.

        Raises BodyTooLargeError beyond `limit` bytes, ClientDisconnectedError if it ends early.
        """
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
    """A complete response. `Content-Length` is added when it is sent."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)


Deferred: TypeAlias = Callable[[], Response]
"""Builds a response that is decided already. Call it once, soon, and best together with others: it signs a token."""

Handled: TypeAlias = Response | Deferred | Awaitable[Response]
"""What `handle` of an endpoint returns: a coroutine only where something has to be waited for."""


async def complete(handled: Handled) -> Response:
    """The response itself."""
    if isinstance(handled, Response):
        return handled
    return handled() if callable(handled) else await handled


def read_request(scope: Scope, receive: Receive) -> Request:
    """The request of an ASGI scope of type `http`."""
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
    query: bytes = scope["query_string"]
    target = raw_path + b"?" + query if query else raw_path
    return Request(scope["method"], target.decode("latin-1"), read_headers(scope["headers"]), receive)


def read_headers(raw: Collection[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name, case unchanged.

    Repeated headers are joined by commas (RFC 9110, 5.3).
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
    if len(headers) != len(raw):
        headers = {}
        for raw_name, raw_value in raw:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def send_response(send: Send, response: Response, *, head: bool) -> None:
    """Send a response; to a HEAD request without its body."""
    lines: Iterable[tuple[str, str]] = (*response.headers, ("content-length", str(len(response.body))))
    if head and response.header("content-length") is not None:
        lines = response.headers
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines]
    await send({"type": "http.response.start", "status": response.status, "headers": encoded})
    await send({"type": "http.response.body", "body": b"" if head else response.body})


def json_response(status: int, document: Any, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A response of compact ASCII JSON on one line."""
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode("ascii")
    return Response(status, (("content-type", "application/json"), *headers), body)
