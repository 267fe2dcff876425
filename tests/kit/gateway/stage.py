"""A gateway between a stub of the access service and a stub of a registry."""

from __future__ import annotations

from dataclasses import dataclass

from tests.kit.gateway.running import Gateway
from tests.kit.gateway.stub import Answer, Respond, Seen, Stub


@dataclass
class Stage:
    """Everything of one test."""

    gateway: Gateway
    access: Stub
    registry: Stub

    @property
    def judged(self) -> list[Seen]:
        """The requests that access had to decide."""
        return [seen for seen in self.access.seen if seen.target == "/authz"]


def to_registry(port: int) -> Respond:
    """Access that allows everything and forwards the request line as it is."""

    def respond(seen: Seen) -> Answer:
        if seen.target != "/authz":
            return Answer(200, {"Content-Type": "application/json"}, b'{"from":"access"}')
        return Answer(200, {"Berth-Upstream": f"http://127.0.0.1:{port}{seen.headers['Berth-Original-URI']}"})

    return respond
