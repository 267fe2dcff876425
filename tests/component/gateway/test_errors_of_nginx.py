"""No bare page of nginx reaches a client: every error is an `errors` body with one sentence."""

from __future__ import annotations

import http.client

import pytest

from tests.kit.gateway.stage import Stage
from tests.kit.gateway.stub import Answer

LINE = b"Host: localhost\r\n\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status", "said"),
    [
        (b"GET /v2/ HTTP/1.1\r\n\r\n", 400, "not valid HTTP"),
        (b"GET /v2/a b HTTP/1.1\r\n" + LINE, 400, "not valid HTTP"),
        (b"GET /v2/\x01 HTTP/1.1\r\n" + LINE, 400, "not valid HTTP"),
        (b"GET /v2/%zz HTTP/1.1\r\n" + LINE, 400, "not valid HTTP"),
        (b"GET /../etc HTTP/1.1\r\n" + LINE, 400, "not valid HTTP"),
        (b"nonsense\r\n\r\n", 400, "not valid HTTP"),
        (b"PUT /v2/a HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n" + LINE, 400, "not valid HTTP"),
        (b"PUT /v2/a HTTP/1.1\r\nContent-Length: three\r\n" + LINE, 400, "not valid HTTP"),
        (b"TRACE /v2/ HTTP/1.1\r\n" + LINE, 405, "method is not supported"),
        (b"GET /v2/" + b"a" * 20000 + b" HTTP/1.1\r\n" + LINE, 414, "too long"),
        (b"GET /v2/ HTTP/1.1\r\nAuthorization: " + b"a" * 20000 + b"\r\n" + LINE, 431, "headers are too large"),
        (b"PUT /v2/a HTTP/1.1\r\nTransfer-Encoding: gzip\r\n" + LINE, 501, "transfer encoding"),
        (b"GET /v2/ HTTP/3.7\r\n" + LINE, 505, "version of HTTP"),
        (b"POST /token HTTP/1.1\r\nContent-Length: 100000\r\n" + LINE, 413, "too large"),
        (b"GET /nothing HTTP/1.1\r\n" + LINE, 404, "image names are"),
        (b"GET /authz HTTP/1.1\r\n" + LINE, 404, "image names are"),
        (b"GET /v2x HTTP/1.1\r\n" + LINE, 404, "image names are"),
        (b"POST /nothing HTTP/1.1\r\nContent-Length: 3\r\nHost: localhost\r\n\r\nabc", 404, "image names are"),
    ],
)
def test_a_request_that_nginx_itself_refuses_gets_the_reason(
    stage: Stage, request_bytes: bytes, status: int, said: str
) -> None:
    reply = stage.gateway.raw(request_bytes)
    assert reply.status == status
    assert said in reply.error()["message"]
    assert stage.judged == []


def test_plain_http_on_the_tls_port_gets_the_https_address(stage: Stage) -> None:
    reply = stage.gateway.raw(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n", tls=False)
    assert reply.status == 400
    assert f"use https://{stage.gateway.address}" in reply.error()["message"]


@pytest.mark.parametrize("target", ["/v2/", "/v2/genomics/aligner/manifests/v1"])
@pytest.mark.parametrize("fault", [500, 502, 404])
def test_without_a_usable_answer_of_access_nothing_is_allowed(stage: Stage, target: str, fault: int) -> None:
    stage.access.respond = lambda _: Answer(fault, {}, b"broken")
    reply = stage.gateway.request("GET", target)
    assert reply.status == 503
    assert reply.error()["code"] == "UNAVAILABLE"
    assert reply.error()["message"].startswith("Berth cannot check permissions at the moment: try again in a minute")
    assert stage.registry.seen == []


def test_an_answer_of_access_without_an_upstream_allows_nothing(stage: Stage) -> None:
    stage.access.respond = lambda _: Answer(200)
    assert stage.gateway.request("GET", "/v2/genomics/aligner/manifests/v1").status == 503


def test_a_registry_that_does_not_listen_is_named(stage: Stage) -> None:
    stage.access.respond = lambda _: Answer(200, {"Berth-Upstream": "http://127.0.0.1:1/v2/genomics/a/manifests/v1"})
    reply = stage.gateway.request("GET", "/v2/genomics/a/manifests/v1")
    assert reply.status == 502
    assert reply.error()["message"] == (
        "The registry of project genomics does not answer: try again in a minute, "
        "then report it to the registry administrators."
    )


@pytest.mark.parametrize(
    ("permitted", "status", "said"),
    [
        (Answer(200, {"Berth-Upstream": "http://127.0.0.1:1/v2/genomics/a/blobs/uploads/1"}), 502, "The registry of"),
        (Answer(500), 503, "Berth cannot check permissions"),
    ],
    ids=["registry away", "access away"],
)
def test_a_large_upload_without_an_upstream_is_not_reported_as_too_large(
    stage: Stage, permitted: Answer, status: int, said: str
) -> None:
    stage.access.respond = lambda _: permitted
    reply = stage.gateway.request("PUT", "/v2/genomics/a/blobs/uploads/1", body=b"x" * 1_000_000)
    assert reply.status == status
    assert reply.error()["message"].startswith(said)


def test_a_registry_whose_name_dns_does_not_know_is_named(stage: Stage) -> None:
    stage.access.respond = lambda _: Answer(200, {"Berth-Upstream": "http://registry.absent:5000/v2/genomics/a"})
    reply = stage.gateway.request("GET", "/v2/genomics/a/tags/list")
    assert reply.status == 502
    assert "The registry of project genomics" in reply.error()["message"]


def test_an_error_of_the_registry_itself_is_passed_on_as_it_is(stage: Stage) -> None:
    stage.registry.respond = lambda _: Answer(500, {"Content-Type": "application/json"}, b'{"errors":[]}')
    reply = stage.gateway.request("GET", "/v2/genomics/a/manifests/v1")
    assert (reply.status, reply.body) == (500, b'{"errors":[]}')


def test_the_first_page_says_what_this_is(stage: Stage) -> None:
    reply = stage.gateway.request("GET", "/")
    assert reply.status == 200
    assert f"docker login {stage.gateway.address}" in reply.body.decode()


def test_the_health_port_answers_without_tls_and_says_so_for_anything_else(stage: Stage) -> None:
    health = http.client.HTTPConnection("localhost", stage.gateway.settings.health_port, timeout=10)
    health.request("GET", "/healthz")
    answer = health.getresponse()
    assert (answer.status, answer.read()) == (200, b"ok\n")
    health.request("GET", "/v2/")
    assert health.getresponse().status == 404
    health.close()
