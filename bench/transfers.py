"""Cost of the gateway in a transfer: whole pulls, and single blobs, against an nginx with its defaults."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from bench import wrk
from bench.content import BLOBS, LAYER_BYTES, LAYERS, TAG, Content
from bench.installation import IMAGE, ROBOT, Installation, docker_config
from bench.machine import on, processor_seconds
from bench.table import Row, Verdict, at_least, at_most
from tests.kit.control_plane import tool
from tests.kit.gateway.running import Gateway

PULL_ROUNDS: Final = 11
PULL_LIMIT: Final = 1.15
BLOB_ROUNDS: Final = 5
BLOB_SECONDS: Final = 3
BLOB_CONNECTIONS: Final = 4
GIB: Final = 1 << 30


def pull_rows(berth: Installation) -> list[Row]:
    """A standard client pulls in turns through the gateway and from the same registry without authorization."""
    home = docker_config(berth.directory / "login", berth.gateway.address, ROBOT, berth.robot_token)
    anonymous = berth.directory / "anonymous"
    anonymous.mkdir()
    seconds: dict[str, list[float]] = {"gateway": [], "open": []}
    tokens: list[int] = []
    for number in range(PULL_ROUNDS + 1):
        before = len(berth.gateway.access_log)
        through = _pull(berth, berth.gateway, home)
        direct = _pull(berth, berth.open_proxy, anonymous)
        if number:  # the first round fills caches
            seconds["gateway"].append(through)
            seconds["open"].append(direct)
            tokens.append(_token_requests(berth.gateway, before))
    ratios = [through / direct for through, direct in zip(seconds["gateway"], seconds["open"], strict=True)]
    gateway, direct = (statistics.median(seconds[name]) * 1e3 for name in ("gateway", "open"))
    exact = set(tokens) == {1}
    return [
        at_most(
            f"pull of {LAYERS} layers of {LAYER_BYTES >> 20} MiB, wall time against no authorization and plain nginx",
            PULL_LIMIT,
            statistics.median(ratios),
            figures=f"{gateway:.0f} ms against {direct:.0f} ms, crane, {PULL_ROUNDS} rounds",
        ),
        Row(
            "token requests of one such pull",
            "1",
            "1" if exact else ", ".join(str(number) for number in sorted(set(tokens))),
            Verdict.OK if exact else Verdict.MISSED,
            f"in each of {len(tokens)} pulls" if exact else "",
        ),
    ]


def _pull(berth: Installation, through: Gateway, home: Path) -> float:
    """Seconds of one pull, from the start of the client to its end."""
    image = f"{through.address}/{IMAGE}:{TAG}"
    target = berth.directory / "pulled.tar"
    environment = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(home), "SSL_CERT_FILE": str(through.ca_file)}
    with on(berth.cores.load):
        began = time.perf_counter()
        done = subprocess.run(
            [str(tool("crane")), "pull", image, str(target)], env=environment, capture_output=True, text=True
        )
        taken = time.perf_counter() - began
    target.unlink(missing_ok=True)
    if done.returncode:
        raise RuntimeError(f"the pull of {image} failed: {done.stderr.strip()[-200:]}")
    return taken


def _token_requests(gateway: Gateway, before: int) -> int:
    """Token requests in the gateway's log since that line; the layers' lines end what belongs to the pull."""
    end = time.monotonic() + 10
    while True:
        paths = [json.loads(line)["path"] for line in gateway.access_log[before:]]
        if sum("/blobs/" in path for path in paths) > LAYERS:  # and the configuration
            return sum(path == "/token" for path in paths)
        if time.monotonic() > end:
            raise TimeoutError("the gateway's log lacks lines of a pull")
        time.sleep(0.01)  # the interval of the poll


@dataclass(frozen=True, slots=True)
class Flow:
    """One measurement: bytes a second by the clock, and processor seconds for each GiB."""

    rate: float
    cost: float


def blob_rows(berth: Installation, content: Content) -> list[Row]:
    """Blobs of one registry, in turns through the gateway and through nginx with its default buffers."""
    rows: list[Row] = []
    for size in BLOBS:
        found: dict[str, list[Flow]] = {"gateway": [], "plain": []}
        for _ in range(BLOB_ROUNDS):
            found["gateway"].append(_flow(berth, berth.gateway, content.blobs[size], [berth.access.pid]))
            found["plain"].append(_flow(berth, berth.plain_proxy, content.blobs[size], []))
        rows += _blob_rows(size, found)
    return rows


def _blob_rows(size: str, found: dict[str, list[Flow]]) -> list[Row]:
    pairs = list(zip(found["gateway"], found["plain"], strict=True))
    rates = {name: statistics.median(flow.rate for flow in flows) / (1 << 20) for name, flows in found.items()}
    costs = {name: statistics.median(flow.cost for flow in flows) for name, flows in found.items()}
    return [
        at_least(
            f"blobs of {size}, throughput against nginx with its default buffers",
            1.0,
            statistics.median(gateway.rate / plain.rate for gateway, plain in pairs),
            figures=f"{rates['gateway']:,.0f} MiB/s against {rates['plain']:,.0f} MiB/s, TLS, "
            f"{BLOB_CONNECTIONS} connections, the registry on the same core",
        ),
        at_least(
            f"blobs of {size}, bytes for each second of processor time against the same",
            1.0,
            statistics.median(plain.cost / gateway.cost for gateway, plain in pairs),
            figures=f"{costs['gateway']:.2f} s/GiB (nginx and access) against {costs['plain']:.2f} s/GiB (nginx)",
        ),
    ]


def _flow(berth: Installation, through: Gateway, digest: str, besides: list[int]) -> Flow:
    pids = [*through.workers(), *besides]
    headers = {"Authorization": f"Bearer {_token(berth)}"}
    before = processor_seconds(pids)
    with on(berth.cores.load):
        process = wrk.start(
            f"https://{through.address}/v2/{IMAGE}/blobs/{digest}",
            seconds=BLOB_SECONDS,
            connections=BLOB_CONNECTIONS,
            headers=headers,
        )
    done = wrk.finished(process)
    spent = processor_seconds(pids) - before
    if done.failed or not done.bytes:
        raise RuntimeError(f"{done.failed} of {done.requests} blobs failed")
    return Flow(done.bytes / done.seconds, spent / done.bytes * GIB)


def _token(berth: Installation) -> str:
    query = urlencode({"service": berth.gateway.address, "scope": f"repository:{IMAGE}:pull"})
    return str(json.loads(berth.ask(f"/token?{query}", berth.robot))["token"])
