"""HTTP servers of ASGI applications, for access and catalog."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, Literal, cast

import uvicorn

_ALL_INTERFACES: Final = ""  # IPv4 and IPv6, whichever the pod has


def http_server(
    app: Any, port: int, *, grace: int, http: Callable[..., asyncio.Protocol] | Literal["httptools"] = "httptools"
) -> uvicorn.Config:
    """The configuration of an HTTP server.

    `grace` is the number of seconds that running requests get at shutdown. `http` makes the protocol of a connection.
    """
    return uvicorn.Config(
        app,
        host=_ALL_INTERFACES,
        port=port,
        loop="none",
        http=cast(type[asyncio.Protocol], http),  # uvicorn only calls it
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=5,  # longer than the gateway keeps an idle connection
        timeout_graceful_shutdown=grace,
    )


async def serve_until(config: uvicorn.Config, stop: Callable[[], Awaitable[None]]) -> None:
    """Serve until `stop` returns, then close the port and let running requests end."""
    server = _Server(config)

    async def shut_down() -> None:
        await stop()
        server.should_exit = True

    stopping = asyncio.create_task(shut_down())
    try:
        await server.serve()
    finally:
        stopping.cancel()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers, which end the process before its parts are shut down in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield
