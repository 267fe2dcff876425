"""What tokens cost: a fresh one against the raw signature, a warm one against nginx with a constant.

And how long robots wait for theirs while others hammer with wrong passwords.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import subprocess
import time
from dataclasses import dataclass
from itertools import count
from typing import Final
from urllib.parse import urlencode

from bench import wrk
from bench.installation import IMAGE, Installation, constant
from bench.machine import on, processor_seconds
from bench.openloop import latencies
from bench.table import Row, at_least, at_most, info

SECONDS: Final = 3  # of each measurement
ROUNDS: Final = 5
CONNECTIONS: Final = 32
FRESH_LIMIT: Final = 4.0  # raw signatures
WARM_LIMIT: Final = 0.25  # of nginx
ROBOT_RATE: Final = 50.0  # token requests a second, whatever happens to the answers
ROBOT_SECONDS: Final = 12.0
HAMMER_CONNECTIONS: Final = 60  # fewer than passwords may wait, so that each is really hashed


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one request: processor time in microseconds, and how many were answered in a second."""

    microseconds: float
    rate: float


def target() -> str:
    """What a client asks for before it pulls."""
    return "/token?" + urlencode({"service": "localhost", "scope": f"repository:{IMAGE}:pull"})


def token_rows(berth: Installation) -> list[Row]:
    """Fresh and warm tokens, in turns with the raw signature and with nginx."""
    body = berth.ask(target(), berth.robot)
    folder = berth.directory / "constant"
    numbers = count(1)
    signature: list[float] = []
    costs: dict[str, list[Cost]] = {"fresh": [], "warm": [], "nginx": []}
    with on(berth.cores.server):
        running = constant(folder, body, berth.gateway.settings)
        nginx = running.__enter__()
    try:
        for _ in range(ROUNDS):
            signature.append(_signature_microseconds(berth))
            costs["fresh"].append(_fresh(berth, next(numbers)))
            costs["warm"].append(_requests(berth, berth.access_url + target(), [berth.access.pid]))
            costs["nginx"].append(_requests(berth, f"http://127.0.0.1:{nginx.settings.port}/", nginx.workers()))
    finally:
        running.__exit__(None, None, None)
    return _token_rows(signature, costs, len(body))


def _token_rows(signature: list[float], costs: dict[str, list[Cost]], size: int) -> list[Row]:
    raw = statistics.median(signature)
    fresh, warm, nginx = (statistics.median(cost.microseconds for cost in costs[kind]) for kind in costs)
    rates = {kind: statistics.median(cost.rate for cost in found) for kind, found in costs.items()}
    shares = [nginx.microseconds / warm.microseconds for warm, nginx in zip(costs["warm"], costs["nginx"], strict=True)]
    return [
        at_most(
            "fresh token, processor time against a raw ES256 signature",
            FRESH_LIMIT,
            statistics.median(cost.microseconds / raw for cost, raw in zip(costs["fresh"], signature, strict=True)),
            figures=f"{fresh:.1f} µs against {raw:.1f} µs (openssl speed ecdsap256); {rates['fresh']:,.0f}/s",
        ),
        at_least(
            "warm token, requests for each second of processor time against nginx with a constant",
            WARM_LIMIT,
            statistics.median(shares),
            figures=f"{warm:.1f} µs against {nginx:.1f} µs, {size} bytes each; by the clock {rates['warm']:,.0f}/s "
            f"against {rates['nginx']:,.0f}/s ({rates['warm'] / rates['nginx']:.2f}x)",
        ),
    ]


def _signature_microseconds(berth: Installation) -> float:
    """Processor time of one raw signature, as openssl measures it."""
    with on(berth.cores.server):
        command = ["openssl", "speed", "-seconds", "1", "ecdsap256"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"\(nistp256\)\s+\S+\s+\S+\s+([0-9.]+)\s+[0-9.]+", printed)
    if found is None:
        raise RuntimeError(f"openssl speed printed no figure for nistp256: {printed[-200:]}")
    return 1e6 / float(found[1])


def _fresh(berth: Installation, number: int) -> Cost:
    first = number * 10_000_000  # no two rounds have a request in common
    url = berth.access_url + target()
    return _requests(berth, url, [berth.access.pid], script="fresh.lua", arguments=(target(), str(first)))


def _requests(
    berth: Installation, url: str, pids: list[int], *, script: str = "report.lua", arguments: tuple[str, ...] = ()
) -> Cost:
    before = processor_seconds(pids)
    with on(berth.cores.load):
        process = wrk.start(
            url,
            seconds=SECONDS,
            connections=CONNECTIONS,
            headers=berth.through_gateway(berth.robot),
            script=script,
            arguments=arguments,
        )
    done = wrk.finished(process)
    spent = processor_seconds(pids) - before
    if done.failed or not done.requests:
        raise RuntimeError(f"{done.failed} of {done.requests} requests to {url} failed")
    return Cost(spent / done.requests * 1e6, done.requests / done.seconds)


def hammer_rows(berth: Installation) -> list[Row]:
    """Request tokens at a steady rate, first alone, then while wrong passwords keep every hashing thread busy."""
    alone = _robots(berth)
    with on(berth.cores.load):
        hammer = wrk.start(
            berth.access_url + "/token?service=localhost",
            seconds=round(ROBOT_SECONDS) + 3,
            connections=HAMMER_CONNECTIONS,
            headers=berth.through_gateway(""),
            script="hammer.lua",
        )
    time.sleep(1)  # until every connection has a password under way
    hammered = _robots(berth)
    tried = wrk.finished(hammer)
    figures = (
        f"p50 {_quantile(alone, 50):.1f} and {_quantile(hammered, 50):.1f} ms, worst {max(alone) * 1e3:.0f} and "
        f"{max(hammered) * 1e3:.0f} ms; {ROBOT_RATE:g} requests/s (open loop) on one core with the hashing threads; "
        f"{tried.failed / tried.seconds:.0f} wrong passwords/s over {HAMMER_CONNECTIONS} connections"
    )
    first, second = _quantile(alone, 99), _quantile(hammered, 99)
    measured = f"{first:.1f} ms without, {second:.1f} ms with ({second / first:.1f}x)"
    return [info("robot's token, p99 while wrong passwords hammer", measured, figures)]


def _robots(berth: Installation) -> list[float]:
    address = berth.access_url.removeprefix("http://")
    headers = berth.through_gateway(berth.robot)
    with on(berth.cores.load):
        return asyncio.run(latencies(address, target(), headers, rate=ROBOT_RATE, seconds=ROBOT_SECONDS))


def _quantile(seconds: list[float], percent: int) -> float:
    """In milliseconds."""
    return statistics.quantiles(seconds, n=100)[percent - 1] * 1e3
