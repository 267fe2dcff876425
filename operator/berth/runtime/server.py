"""The HTTP server of access and catalog."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, cast

import uvicorn

_ALL_INTERFACES: Final = ""  # IPv4 and IPv6, whichever the Pod has


def http_server(
    app: Any, port: int, *, grace: int, http: Callable[..., asyncio.Protocol] | Literal["httptools"] = "httptools"
) -> uvicorn.Config:
    """How an ASGI application is served; `grace` is for how many seconds requests under way may end.

    `http` may make protocols of its own, on uvicorn's.
    """
    return uvicorn.Config(
        app,
        host=_ALL_INTERFACES,
        port=port,
        loop="none",
        http=cast(type[asyncio.Protocol], http),  # uvicorn makes protocols by calling it, and asks no more of it
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=5,  # the gateway closes idle connections before that
        timeout_graceful_shutdown=grace,
    )


class Server(uvicorn.Server):
    """uvicorn without its own signal handling, which ends the process before its parts are shut down in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process, which calls `handle_exit`."""
        yield
