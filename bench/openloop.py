"""An open-loop sender: requests leave when their time has come, whether or not earlier ones were answered.

The time of a response counts from when its request was due, so that a server that stalls cannot hide it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

_PATIENCE: Final = 60.0  # seconds for one answer
_IDLE_SECONDS: Final = 2.0  # the server closes a connection after five


async def latencies(
    address: str, target: str, headers: Mapping[str, str], *, rate: float, seconds: float
) -> list[float]:
    """Seconds of each answer, at `rate` requests a second. Raises RuntimeError for an answer that is no 200."""
    host, _, port = address.rpartition(":")
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    request = "\r\n".join(lines).encode("latin-1")
    idle: list[_Connection] = []

    async def one(due: float) -> float:
        reader, writer, _ = await _open(idle, host, int(port))
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"a token request was answered {head[:40].decode('latin-1')}")
        await reader.readexactly(_length(head))
        idle.append(_Connection(reader, writer, time.perf_counter()))
        return idle[-1].used - due

    tasks: list[asyncio.Task[float]] = []
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(one(due)))
    async with asyncio.timeout(_PATIENCE):
        found = await asyncio.gather(*tasks)
    for connection in idle:
        connection.writer.close()
    return found


class _Connection(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used: float


async def _open(idle: list[_Connection], host: str, port: int) -> _Connection:
    """The connection that was used last, unless the server may have closed it since; else a new one."""
    if idle and time.perf_counter() - idle[-1].used < _IDLE_SECONDS:
        return idle.pop()
    return _Connection(*await asyncio.open_connection(host, port), used=time.perf_counter())


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise RuntimeError("an answer has no Content-Length")
