"""A refused request is answered with what access said, to the letter."""

from __future__ import annotations

import pytest

from tests.kit.gateway.stage import Stage
from tests.kit.gateway.stub import Answer, Respond

BODY = '{"errors":[{"code":"DENIED","message":"Push needs \\"Edit\\" on genomics; ask $host \\u00e9."}]}'
CHALLENGE = 'Bearer realm="https://localhost/token",service="berth",scope="repository:genomics/aligner:pull"'


def refusing(status: int, **headers: str) -> Respond:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Answer(status, {"Berth-Body": BODY, **named}, b"not this")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [400, 403, 404, 413])
def test_a_refusal_has_the_status_and_body_that_access_chose(stage: Stage, method: str, status: int) -> None:
    stage.access.respond = refusing(403, Berth_Status=str(status))
    reply = stage.gateway.request(method, "/v2/genomics/aligner/manifests/v1", body=b"{}" if method == "PUT" else None)
    assert reply.status == status
    assert reply.body == (b"" if method == "HEAD" else BODY.encode())
    assert reply.headers.get_all("Content-Type") == ["application/json"]
    assert reply.headers.get_all("Docker-Distribution-Api-Version") == ["registry/2.0"]
    assert reply.headers["Content-Length"] == str(len(BODY))
    assert reply.headers["WWW-Authenticate"] is None
    assert reply.headers["Warning"] is None
    assert stage.registry.seen == []


@pytest.mark.parametrize("answered", [401, 403])
def test_a_challenge_reaches_the_client_once(stage: Stage, answered: int) -> None:
    stage.access.respond = refusing(answered, Berth_Status="401", WWW_Authenticate=CHALLENGE)
    reply = stage.gateway.request("GET", "/v2/")
    assert reply.status == 401
    assert reply.headers.get_all("WWW-Authenticate") == [CHALLENGE]
    assert reply.body == BODY.encode()


def test_a_warning_of_a_refusal_reaches_the_client(stage: Stage) -> None:
    warning = '299 - "Push needs \\"Edit\\" on genomics"'
    stage.access.respond = refusing(403, Berth_Status="403", Berth_Warning=warning)
    reply = stage.gateway.request("HEAD", "/v2/genomics/aligner/manifests/v1")
    assert reply.headers.get_all("Warning") == [warning]
    assert reply.headers["Berth-Warning"] is None


def test_a_long_refusal_is_not_cut(stage: Stage) -> None:
    body = '{"errors":[{"code":"DENIED","message":"' + "x" * 8000 + '"}]}'
    stage.access.respond = lambda _: Answer(403, {"Berth-Status": "403", "Berth-Body": body})
    assert stage.gateway.request("GET", "/v2/genomics/aligner/tags/list").body == body.encode()


def test_a_refused_upload_is_answered_though_its_body_is_not_read(stage: Stage) -> None:
    stage.access.respond = refusing(403, Berth_Status="403")
    blocks = (b"x" * 65536 for _ in range(320))
    reply = stage.gateway.request("PATCH", "/v2/genomics/aligner/blobs/uploads/1", body=blocks)
    assert (reply.status, reply.body) == (403, BODY.encode())
    assert stage.registry.seen == []
    assert stage.judged[0].body_size == 0


def test_a_refused_client_that_waits_for_100_continue_gets_the_refusal_at_once(stage: Stage) -> None:
    stage.access.respond = refusing(403, Berth_Status="403")
    reply = stage.gateway.raw(
        b"PUT /v2/g/a/blobs/uploads/1 HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
    )
    assert (reply.status, reply.body) == (403, BODY.encode())


def test_access_receives_method_address_credentials_and_client(stage: Stage) -> None:
    stage.gateway.request(
        "DELETE",
        "/v2/genomics/a%2Fb/manifests/v1?x=%2e%2e",
        {"Authorization": "Bearer abc", "Berth-Gateway-Token": "forged", "Berth-Original-URI": "/v2/", "Cookie": "c"},
    )
    (subrequest,) = stage.judged
    assert subrequest.method == "GET"
    assert subrequest.headers["Berth-Original-Method"] == "DELETE"
    assert subrequest.headers.get_all("Berth-Original-URI") == ["/v2/genomics/a%2Fb/manifests/v1?x=%2e%2e"]
    assert subrequest.headers.get_all("Authorization") == ["Bearer abc"]
    assert subrequest.headers.get_all("Berth-Gateway-Token") == ["gateway-service-account.token.value"]
    assert subrequest.headers["X-Forwarded-For"] == "127.0.0.1"
    assert subrequest.headers["Cookie"] is None


def test_access_receives_the_request_id_that_the_gateway_logs_and_no_other(stage: Stage) -> None:
    stage.gateway.request("GET", "/v2/genomics/aligner/manifests/v1", {"X-Request-Id": "the-clients-own"})
    stage.gateway.request("GET", "/token", {"X-Request-Id": "the-clients-own"})
    ids = [seen.headers.get_all("X-Request-Id") for seen in stage.access.seen]
    assert ids == [[line["requestId"]] for line in stage.gateway.settled(2)]
    assert len({line["requestId"] for line in stage.gateway.settled(2)}) == 2


def test_a_response_of_access_without_a_reason_is_reported_as_a_fault(stage: Stage) -> None:
    stage.access.respond = lambda _: Answer(403)
    reply = stage.gateway.request("GET", "/v2/genomics/aligner/tags/list")
    assert reply.status == 500
    assert "gave no reason" in reply.error()["message"]
