"""What is allowed is forwarded exactly as it was judged, and streamed."""

from __future__ import annotations

import re

import pytest

from tests.kit.gateway.running import TOKEN
from tests.kit.gateway.stage import Stage
from tests.kit.gateway.stub import Answer, Respond, Seen

NASTY = [
    "/v2/",
    "/v2",
    "/v2//",
    "/v2/a//b/manifests/v1",
    "//v2/a/manifests/v1",
    "/v2/a/./b/manifests/v1",
    "/v2/a/../b/manifests/v1",
    "/v2/a/%2e%2e/b/manifests/v1",
    "/v2/a/%2E%2E%2Fb/manifests/v1",
    "/v2/a%2fb/manifests/v1",
    "/v2/a%2Fb/manifests/v1",
    "/v2/a%252Fb/manifests/v1",
    "/%76%32/a/manifests/v1",
    "/x/../v2/a/manifests/v1",
    "/v2/x/../../v2/a/manifests/v1",
    "/v2/a/manifests/%00",
    "/v2/a/manifests/v1%00.txt",
    "/v2/a/manifests/v1%0d%0aX-Injected:%20yes",
    "/v2/a/manifests/v1%0aGET%20/v2/b%20HTTP/1.1",
    "/v2/a\\..\\b/manifests/v1",
    "/v2/a/manifests/v1?x=%0d%0a&y=../..",
    "/v2/a/manifests/v1?",
    "/v2/a/manifests/v1??a#b",
    "/v2/a/manifests/v1#fragment",
    "/v2/a;b=c/manifests/v1",
    "/v2/a/manifests/$request_uri",
    "/v2/a/manifests/{v1}|^`'\"<>",
    "/v2/A/MANIFESTS/V1",
    "/v2/a+b/manifests/v%31",
    "/v2/caf\u00e9/manifests/v1",
    "/v2/%c3%a9%ff%fe/manifests/v1",
    "/v2/a/blobs/uploads/1?_state=" + "A" * 4000,
    "/v2/" + "a/" * 4000 + "manifests/v1",
]


@pytest.mark.parametrize("target", NASTY, ids=lambda target: ascii(target)[:48])
def test_the_registry_gets_the_very_bytes_that_access_decided_on(stage: Stage, target: str) -> None:
    sent = target.encode("latin-1")
    reply = stage.gateway.raw(b"GET " + sent + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    judged = [seen.headers["Berth-Original-URI"] for seen in stage.judged]
    forwarded = [seen.target for seen in stage.registry.seen]
    if reply.status == 200:
        assert judged == forwarded
        assert [one.encode("latin-1") for one in judged] == [sent]
    else:
        assert forwarded == []
        assert reply.status in {400, 404, 414}
        assert reply.error()["message"]


def test_most_of_the_nasty_addresses_do_reach_access(stage: Stage) -> None:
    for target in NASTY:
        stage.gateway.raw(b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert len(stage.judged) >= len(NASTY) - 4


def test_access_may_forward_to_another_address_than_the_requested_one(stage: Stage) -> None:
    target = f"http://127.0.0.1:{stage.registry.port}/v2/a/blobs/uploads/"
    stage.access.respond = lambda _: Answer(200, {"Berth-Upstream": target})
    stage.gateway.request("POST", "/v2/a/blobs/uploads/?mount=sha256:1&from=b/c")
    assert [seen.target for seen in stage.registry.seen] == ["/v2/a/blobs/uploads/"]


def test_a_registry_never_sees_the_token_of_the_gateway(stage: Stage) -> None:
    stage.gateway.request("GET", "/v2/a/manifests/v1", {"Berth-Gateway-Token": "forged"})
    (seen,) = stage.registry.seen
    assert seen.headers["Berth-Gateway-Token"] is None
    assert TOKEN not in str(seen.headers)


def test_access_sees_the_token_of_the_gateway_on_what_is_forwarded_to_it(stage: Stage) -> None:
    stage.access.respond = _to("http://localhost/v2/a/manifests/v1")
    reply = stage.gateway.request("PUT", "/v2/a/manifests/v1", {"Berth-Gateway-Token": "forged"}, b"{}")
    assert reply.status == 200
    put = stage.access.seen[-1]
    assert (put.method, put.target, put.body_size) == ("PUT", "/v2/a/manifests/v1", 2)
    assert put.headers.get_all("Berth-Gateway-Token") == [TOKEN]


@pytest.mark.parametrize(
    "upstream", ["http://localhost.evil/v2/a", "http://evil/http://localhost/", "http://localhost:1/"]
)
def test_an_address_that_only_resembles_access_gets_no_token(stage: Stage, upstream: str) -> None:
    config = (stage.gateway.settings.output_dir / "nginx.conf").read_text()
    (pattern,) = re.findall(r'"~(\^http://\S+)" \$berth_gateway_token', config)
    assert re.match(pattern, "http://localhost/v2/")
    assert not re.match(pattern, upstream)


def _to(upstream: str) -> Respond:
    def respond(seen: Seen) -> Answer:
        return Answer(200, {"Berth-Upstream": upstream} if seen.target == "/authz" else {})

    return respond


def test_two_credentials_in_one_request_are_refused_before_either_is_verified(stage: Stage) -> None:
    reply = stage.gateway.raw(
        b"GET /v2/a/manifests/v1 HTTP/1.1\r\nHost: localhost\r\n"
        b"Authorization: Bearer one\r\nAuthorization: Bearer two\r\n\r\n"
    )
    assert reply.status == 400
    assert reply.error()["code"] == "UNSUPPORTED"
    assert stage.access.seen == []
    assert stage.registry.seen == []


def test_a_relative_location_becomes_absolute_with_the_host_of_the_client(stage: Stage) -> None:
    stage.registry.respond = lambda _: Answer(202, {"Location": "/v2/a/blobs/uploads/1?_state=x%2Fy"})
    reply = stage.gateway.request("POST", "/v2/a/blobs/uploads/", {"Host": "registry.example.org:8443"})
    assert reply.headers["Location"] == "https://registry.example.org:8443/v2/a/blobs/uploads/1?_state=x%2Fy"


def test_the_registry_gets_host_and_scheme_that_the_client_used(stage: Stage) -> None:
    stage.gateway.request("GET", "/v2/a/manifests/v1", {"Host": "registry.example.org", "X-Forwarded-Proto": "http"})
    (seen,) = stage.registry.seen
    assert seen.headers.get_all("Host") == ["registry.example.org"]
    assert seen.headers.get_all("X-Forwarded-Proto") == ["https"]
    assert seen.headers.get_all("X-Forwarded-Host") == ["registry.example.org"]


def test_an_answer_of_the_registry_says_its_version_once(stage: Stage) -> None:
    stage.registry.respond = lambda _: Answer(200, {"Docker-Distribution-Api-Version": "registry/2.0"})
    reply = stage.gateway.request("GET", "/v2/a/manifests/v1")
    assert reply.headers.get_all("Docker-Distribution-Api-Version") == ["registry/2.0"]


def test_a_question_why_goes_to_access_with_its_query_and_what_the_browser_accepts(stage: Stage) -> None:
    page = Answer(200, {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": "default-src 'none'"})
    stage.access.respond = lambda _: page
    sent = {"Authorization": "Basic abc", "Accept": "text/html"}
    reply = stage.gateway.request("GET", "/why?push=genomics/aligner&as=robot%3Ab", sent)
    (seen,) = stage.access.seen
    assert seen.target == "/why?push=genomics/aligner&as=robot%3Ab"
    assert (seen.headers["Authorization"], seen.headers["Accept"]) == ("Basic abc", "text/html")
    assert seen.headers["Berth-Gateway-Token"] == TOKEN
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert reply.headers["Content-Security-Policy"] == "default-src 'none'"


def test_a_token_request_goes_to_access_with_its_query_its_form_and_the_gateways_token(stage: Stage) -> None:
    stage.gateway.request("GET", "/token?service=berth&scope=repository%3Aa%2Fb%3Apull", {"Authorization": "Basic abc"})
    stage.gateway.request(
        "POST", "/token", {"Content-Type": "application/x-www-form-urlencoded"}, b"grant_type=password"
    )
    got, posted = stage.access.seen
    assert got.target == "/token?service=berth&scope=repository%3Aa%2Fb%3Apull"
    assert got.headers["Authorization"] == "Basic abc"
    assert (posted.method, posted.target, posted.body_size) == ("POST", "/token", len("grant_type=password"))
    for seen in (got, posted):
        assert seen.headers.get_all("Berth-Gateway-Token") == [TOKEN]
        assert seen.headers["X-Forwarded-For"] == "127.0.0.1"


def test_logs_hold_no_secret_and_no_query(stage: Stage) -> None:
    stage.gateway.request(
        "GET", "/token?service=berth&account=curator&password=hunter2", {"Authorization": "Basic c2VjcmV0"}
    )
    stage.gateway.request("GET", "/v2/a/manifests/v1?_state=secretstate", {"Authorization": "Bearer c2VjcmV0"})
    lines = stage.gateway.settled(2)
    assert [line["path"] for line in lines] == ["/token", "/v2/a/manifests/v1"]
    assert [line["status"] for line in lines] == ["200", "200"]
    text = "\n".join(stage.gateway.access_log + stage.gateway.error_log)
    for secret in ("hunter2", "c2VjcmV0", "secretstate", TOKEN):
        assert secret not in text


@pytest.mark.parametrize(
    "form",
    ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8", "multipart/form-data"],
)
def test_a_form_that_could_hide_a_mount_from_access_reaches_no_registry_as_a_form(stage: Stage, form: str) -> None:
    stage.gateway.request(
        "POST", "/v2/genomics/aligner/blobs/uploads/", {"Content-Type": form}, b"mount=sha256:0&from=genomics/secret"
    )
    assert stage.registry.seen[-1].headers["Content-Type"] == "application/octet-stream"


def test_any_other_content_type_reaches_the_registry_as_it_was_sent(stage: Stage) -> None:
    media_type = "application/vnd.oci.image.manifest.v1+json"
    stage.gateway.request("PUT", "/v2/genomics/aligner/blobs/uploads/1", {"Content-Type": media_type}, b"x")
    assert stage.registry.seen[-1].headers["Content-Type"] == media_type
