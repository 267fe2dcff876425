"""HTTP servers in place of access and of a registry, which record each request exactly."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase

BLOCK = 1 << 16


@dataclass(frozen=True)
class Seen:
    """One request as it came over the wire."""

    method: str
    target: str  # the bytes between method and version, as they were
    headers: Message
    body_size: int
    body_sha256: str
    chunked: bool


@dataclass(frozen=True)
class Answer:
    """What the stub says."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Respond = Callable[[Seen], Answer]


@dataclass
class Stub:
    """A server on loopback: its port, what it saw, and what it answers with."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    respond: Respond = lambda _: Answer()


@contextmanager
def serve(port: int = 0) -> Iterator[Stub]:
    """Run a stub until the block ends."""
    stub = Stub()
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(stub))
    server.daemon_threads = True
    stub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            size, digest, chunked = _drain(self.rfile, self.headers)
            seen = Seen(self.command, self.requestline.split(" ")[1], self.headers, size, digest, chunked)
            stub.seen.append(seen)
            answer = stub.respond(seen)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    # The library calls a method named after the verb.
    for verb in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"):
        setattr(Handler, f"do_{verb}", Handler.answer)
    return Handler


def _drain(source: BufferedIOBase, headers: Message) -> tuple[int, str, bool]:
    digest, size = hashlib.sha256(), 0
    chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
    for block in _chunks(source) if chunked else _plain(source, int(headers.get("Content-Length", 0))):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest(), chunked


def _plain(source: BufferedIOBase, left: int) -> Iterator[bytes]:
    while left > 0:
        block = source.read(min(left, BLOCK))
        if not block:
            return
        left -= len(block)
        yield block


def _chunks(source: BufferedIOBase) -> Iterator[bytes]:
    while size := int(source.readline().split(b";")[0] or b"0", 16):
        yield from _plain(source, size)
        source.readline()
    source.readline()
