"""Cost of one request in the access service itself, without a server: microseconds for each.

    python -m bench.access_requests [ROUNDS]

The application is the real one, with everything in memory; rounds take turns, and the median is reported.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.table import Row, info
from berth.services.access.audit import AuditLog
from tests.kit.access.world import PASSWORDS, ClientResponse, World, basic, drive

SCOPE = "repository:genomics/aligner:pull,push"
REQUESTS = 2000


async def measure(rounds: int) -> dict[str, float]:
    """Median microseconds by request."""
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory))
        world.rebuild(replace(world.deps, audit=AuditLog(len, now=partial(datetime.now, UTC))))
        token = await world.token("ann", SCOPE)
        headers = {
            "berth-gateway-token": world.service_account("berth-gateway"),
            "berth-original-method": "GET",
            "berth-original-uri": "/v2/genomics/aligner/manifests/1",
            "authorization": f"Bearer {token}",
            "x-forwarded-for": "198.51.100.7",
        }
        login = {"authorization": basic("ann", PASSWORDS["ann"])}
        calls: dict[str, Callable[[], Awaitable[ClientResponse]]] = {
            "nothing (/healthz)": lambda: drive(world.app, "GET", "/healthz", {}),
            "/authz, allowed": lambda: drive(world.app, "GET", "/authz", headers),
            "/authz, refused": lambda: drive(
                world.app, "GET", "/authz", {**headers, "berth-original-uri": "/v2/absent/aligner/manifests/1"}
            ),
            "/token, cached password": lambda: drive(world.app, "GET", f"/token?scope={SCOPE}", login),
        }
        found: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                began = time.perf_counter()
                for _ in range(REQUESTS):
                    await call()
                found[name].append((time.perf_counter() - began) / REQUESTS * 1e6)
        world.passwords.close()
    return {name: statistics.median(times) for name, times in found.items()}


def rows(rounds: int = 3) -> list[Row]:
    """The cost of each request without a server."""
    found = asyncio.run(measure(rounds))
    return [info(f"{name}, without a server", f"{microseconds:.0f} µs") for name, microseconds in found.items()]


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for name, microseconds in asyncio.run(measure(rounds)).items():
        print(f"{name:30} {microseconds:7.1f} µs")


if __name__ == "__main__":
    main()
