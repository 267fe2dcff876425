"""What a client says of itself reaches access, and what access warns of reaches the client."""

from __future__ import annotations

import pytest

from tests.kit.gateway.stage import Stage
from tests.kit.gateway.stub import Answer, Seen

TARGET = "/v2/a/manifests/v1"
WARNING = '299 - "The certification of ann to push ends in 3 days; ask your registry administrators for a new one."'


@pytest.mark.parametrize("agent", ["docker/29.0 go/1.26", 'evil" {\\"a\\":1}', ""])
def test_access_receives_the_user_agent_before_it_decides(stage: Stage, agent: str) -> None:
    stage.gateway.request("GET", TARGET, {"User-Agent": agent} if agent else {})
    assert stage.judged[-1].headers.get("User-Agent", "") == agent


def test_a_warning_of_access_on_an_accepted_push_reaches_the_client(stage: Stage) -> None:
    def respond(seen: Seen) -> Answer:
        if seen.target == "/authz":
            return Answer(200, {"Berth-Upstream": f"http://localhost{TARGET}"})
        return Answer(201, {"Warning": WARNING, "Location": TARGET})

    stage.access.respond = respond
    reply = stage.gateway.request("PUT", TARGET, {}, b"{}")
    assert (reply.status, reply.headers.get_all("Warning")) == (201, [WARNING])


def test_a_login_that_has_to_wait_receives_the_time(stage: Stage) -> None:
    stage.access.respond = lambda _: Answer(429, {"Retry-After": "42", "Content-Type": "application/json"}, b"{}")
    reply = stage.gateway.request("GET", "/token?service=x")
    assert (reply.status, reply.headers.get_all("Retry-After"), reply.body) == (429, ["42"], b"{}")
