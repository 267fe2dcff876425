"""A gateway with a stub for access and a stub for a registry behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.gateway.running import Gateway, gateway_settings, run_gateway, write_certificate
from tests.kit.gateway.stub import Answer, Respond, Seen, Stub, serve


@dataclass
class Stage:
    """Everything of one test."""

    gateway: Gateway
    access: Stub
    registry: Stub

    @property
    def judged(self) -> list[Seen]:
        """What access was asked to judge."""
        return [seen for seen in self.access.seen if seen.target == "/authz"]


def to_registry(port: int) -> Respond:
    """Access that allows everything and forwards the request line as it is."""

    def respond(seen: Seen) -> Answer:
        if seen.target != "/authz":
            return Answer(200, {"Content-Type": "application/json"}, b'{"from":"access"}')
        return Answer(200, {"Berth-Upstream": f"http://127.0.0.1:{port}{seen.headers['Berth-Original-URI']}"})

    return respond


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with serve() as access, serve() as registry:
        access.respond = to_registry(registry.port)
        write_certificate(tmp_path / "tls")
        with run_gateway(gateway_settings(tmp_path, access.port)) as gateway:
            yield Stage(gateway, access, registry)
