"""An open-loop sender: requests leave when their time has come, whether or not earlier ones were answered.

The time of an answer counts from when its request was due, so that a server that stalls can not hide it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final

_PATIENCE: Final = 60.0  # seconds for one answer


async def latencies(
    address: str, target: str, headers: Mapping[str, str], *, rate: float, seconds: float
) -> list[float]:
    """Seconds of each answer, at `rate` requests a second. Raises RuntimeError for an answer that is no 200."""
    host, _, port = address.rpartition(":")
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    request = "\r\n".join(lines).encode("latin-1")
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def one(due: float) -> float:
        reader, writer = idle.pop() if idle else await asyncio.open_connection(host, int(port))
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"a token request was answered {head[:40].decode('latin-1')}")
        await reader.readexactly(_length(head))
        taken = time.perf_counter() - due
        idle.append((reader, writer))
        return taken

    tasks: list[asyncio.Task[float]] = []
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(one(due)))
    async with asyncio.timeout(_PATIENCE):
        found = await asyncio.gather(*tasks)
    for _, writer in idle:
        writer.close()
    return found


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise RuntimeError("an answer has no Content-Length")
