"""Idle connections: one timer for each, whatever requests came since it was started."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from berth.services.access.http.fast_path import FastPathProtocol, SignatureBatch
from berth.services.access.http.messages import Handled, Request, Response

IDLE = 5  # seconds, the setting of the server
KNOWN = b"GET /token HTTP/1.1\r\nHost: x\r\n\r\n"
UNKNOWN = b"GET /why HTTP/1.1\r\nHost: x\r\n\r\n"


class Application:
    """Responds to one path at once, and never to any other."""

    def handle(self, request: Request) -> Handled:
        return Response(200) if request.path == "/token" else Never()


class Never:
    """A response that never comes."""

    def __await__(self) -> Generator[None, None, Response]:
        while True:
            yield


@dataclass(frozen=True)
class Task:
    """One that a test ends."""

    coroutine: Coroutine[Any, Any, None]

    def add_done_callback(self, _done: Callable[[Any], None]) -> None:
        self.coroutine.close()


@dataclass
class Loop:
    """An event loop whose time a test lets pass."""

    now: float = 100.0
    timers: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, act: Callable[[], None]) -> object:
        self.timers.append((self.now + seconds, act))
        return object()

    def create_task(self, coroutine: Coroutine[Any, Any, None]) -> Task:
        return Task(coroutine)

    def passes(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            timer = min(due, key=lambda one: one[0])
            self.timers.remove(timer)
            self.now = timer[0]
            timer[1]()
        self.now = end


@dataclass
class Transport:
    """A connection."""

    closed: bool = False
    responses: int = 0

    def write(self, _data: bytes) -> None:
        self.responses += 1

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, _name: str) -> None:
        return None

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Connection:
    """A protocol with everything round it."""

    def __init__(self) -> None:
        self.loop, self.transport = Loop(), Transport()
        config = uvicorn.Config(cast(Any, Application()), loop="none", lifespan="off", timeout_keep_alive=IDLE)
        config.load()
        config.loaded_app = cast(Any, Application())
        self.protocol = FastPathProtocol(
            config=config,
            server_state=ServerState(),
            app_state={},
            _loop=self.loop,
            batch=SignatureBatch(lambda act: act()),
        )
        self.protocol.connection_made(cast(Any, self.transport))

    def gets(self, data: bytes) -> None:
        self.protocol.data_received(data)


def test_an_idle_connection_is_closed_after_the_timeout() -> None:
    connection = Connection()
    connection.gets(KNOWN)
    connection.loop.passes(IDLE - 0.1)
    assert not connection.transport.closed
    connection.loop.passes(0.1)
    assert connection.transport.closed


def test_a_connection_in_use_stays_open_with_one_timer() -> None:
    connection = Connection()
    for _ in range(20):
        connection.gets(KNOWN)
        assert len(connection.loop.timers) == 1
        connection.loop.passes(IDLE - 1)
    assert not connection.transport.closed
    assert connection.transport.responses == 20
    connection.loop.passes(1)
    assert connection.transport.closed


def test_a_connection_is_not_closed_during_a_request_and_is_after_it() -> None:
    connection = Connection()
    connection.gets(KNOWN)
    connection.gets(UNKNOWN)
    connection.loop.passes(10 * IDLE)
    assert not connection.transport.closed
    connection.protocol.cycle.response_complete = True
    connection.protocol.on_response_complete()
    connection.loop.passes(IDLE - 0.1)
    assert not connection.transport.closed
    connection.loop.passes(0.1)
    assert connection.transport.closed


def test_an_incomplete_request_does_not_keep_a_connection_open() -> None:
    connection = Connection()
    connection.gets(KNOWN)
    connection.loop.passes(IDLE - 1)
    connection.gets(KNOWN[:20])
    connection.loop.passes(IDLE - 1)
    assert not connection.transport.closed
    connection.loop.passes(1)
    assert connection.transport.closed
