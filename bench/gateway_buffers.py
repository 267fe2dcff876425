"""Cost of the gateway's buffers: processor time of nginx for blobs, down and up, by buffer size.

    python -m bench.gateway_buffers [ROUNDS]

Variants take turns in each round, and the processor time of the worker is compared, so that other work on the machine
has little effect. The first variant is nginx's own default; the others are relative to it.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench.machine import processor_seconds
from bench.table import Row, at_most
from berth.render.gateway import Buffers, render_nginx, render_token
from berth.services.gateway.files import read_inputs
from tests.kit.gateway.running import Gateway, gateway_settings, run_nginx, write_certificate
from tests.kit.gateway.stub import Answer, serve

VARIANTS = {
    "8 x 4k, body 16k": Buffers(8, 4, 16),
    "16 x 16k, body 64k": Buffers(16, 16, 64),
    "16 x 64k, body 128k": Buffers(16, 64, 128),
    "16 x 128k, body 128k": Buffers(16, 128, 128),
    "16 x 128k, body 512k": Buffers(16, 128, 512),
    "16 x 128k, body 1024k": Buffers(16, 128, 1024),
    "8 x 512k, body 1024k": Buffers(8, 512, 1024),
}
SIZES = {"1 MiB": 1 << 20, "64 MiB": 1 << 26}
BYTES_EACH = 1 << 27  # transferred in each measurement


def down(gateway: Gateway, size: int) -> None:
    connection = gateway.connection()
    for _ in range(BYTES_EACH // size):
        connection.request("GET", f"/v2/p/r/blobs/{size}")
        response = connection.getresponse()
        while response.read(1 << 20):
            pass
    connection.close()


def up(gateway: Gateway, size: int) -> None:
    connection, block = gateway.connection(), b"x" * min(size, 1 << 20)
    for _ in range(BYTES_EACH // size):
        body: Iterator[bytes] = (block for _ in range(size // len(block)))
        connection.request("PUT", "/v2/p/r/blobs/uploads/1", body=body, headers={"Content-Length": str(size)})
        connection.getresponse().read()
    connection.close()


def rows(rounds: int = 3) -> list[Row]:
    """What uploads cost nginx with Berth's buffers, as a share of what they cost with the defaults."""
    default, own = next(iter(VARIANTS)), next(name for name, buffers in VARIANTS.items() if buffers == Buffers())
    found = measured((default, own), rounds)
    return [
        at_most(
            f"{kind}, processor time of nginx against its default buffers",
            1.0,
            statistics.median(mine / its for mine, its in zip(found[own, kind], found[default, kind], strict=True)),
        )
        for kind in dict.fromkeys(kind for _, kind in found)
        if kind.startswith("up")
    ]


def measured(names: Iterable[str], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Processor seconds of these variants, one figure a round for each kind of transfer."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        access, registry = stack.enter_context(serve()), stack.enter_context(serve())
        access.respond = lambda seen: Answer(
            200, {"Berth-Upstream": f"http://127.0.0.1:{registry.port}{seen.headers['Berth-Original-URI']}"}
        )
        bodies = {f"/v2/p/r/blobs/{size}": b"x" * size for size in SIZES.values()}
        registry.respond = lambda seen: Answer(200, {}, bodies.get(seen.target, b""))
        gateways = {}
        for number, name in enumerate(names):
            home = Path(folder) / str(number)
            write_certificate(home / "tls")
            settings = gateway_settings(home, access.port)
            inputs = read_inputs(settings)
            settings.output_dir.mkdir()
            (settings.output_dir / "token.conf").write_text(render_token(inputs.token))
            (settings.output_dir / "nginx.conf").write_text(
                render_nginx(replace(inputs.config, buffers=VARIANTS[name]))
            )
            gateways[name] = stack.enter_context(run_nginx(settings, in_image=name != next(iter(VARIANTS))))
        return measure(gateways, rounds)


def measure(gateways: dict[str, Gateway], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Processor seconds of each variant and kind of transfer, one figure a round."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(rounds):
        for label, size in SIZES.items():
            for direction, transfer in (("down", down), ("up", up)):
                for name, gateway in gateways.items():
                    before = processor_seconds(gateway.workers())
                    transfer(gateway, size)
                    found[name, f"{direction} {label}"].append(processor_seconds(gateway.workers()) - before)
    return found


def report(found: dict[tuple[str, str], list[float]]) -> None:
    kinds = list(dict.fromkeys(kind for _, kind in found))
    print("CPU-s per GiB, median, and share of the first |", " | ".join(kinds))
    base = next(iter(VARIANTS))
    for name in VARIANTS:
        cells = []
        for kind in kinds:
            own, first = (statistics.median(found[one, kind]) for one in (name, base))
            cells.append(f"{own * (1 << 30) / BYTES_EACH:.2f} ({own / first:.2f})")
        print(f"{name} |", " | ".join(cells))


if __name__ == "__main__":
    report(measured(VARIANTS, int(sys.argv[1]) if len(sys.argv) > 1 else 3))
