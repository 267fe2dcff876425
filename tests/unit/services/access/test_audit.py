"""The audit log: everything that a decision was made of, on one line, and nothing that is secret."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import jwt

from berth.api.sharing import SubjectKind
from berth.api.token import TokenScope
from berth.authz.model import AccessTokenRecord, Subject
from berth.authz.token_format import make_token, token_sha256
from tests.kit.access.world import CLUSTER_KEY, HASHES, HOST, ISSUER, PASSWORDS, World, basic, manifest

SCOPE = "repository:genomics/aligner:pull,push"
SECRET = make_token(b"s" * 32)
REQUEST_ID = "0af7651916cd43dd8448eb211c80319c"
EVIL = 'x"}\r\n{"message":"decision","who":"root","allowed":true}\n\x00\x1b[2J\u2028'
HEADERS = ("user-agent", "x-forwarded-for", "x-request-id", "referer", "host")


def give(world: World) -> None:
    record = AccessTokenRecord("ann-laptop", Subject(SubjectKind.USER, "ann"), frozenset(TokenScope))
    world.snapshot = replace(world.snapshot, tokens={token_sha256(SECRET): record})


async def test_a_line_says_who_with_what_did_what_from_where_and_why_not(world: World) -> None:
    give(world)
    token = await world.token("x", SCOPE, password=SECRET)
    named = {"user-agent": "docker/29.0", "x-request-id": REQUEST_ID}
    await world.authz("GET", "/v2/genomics/aligner/manifests/1", token, **named)
    line = world.audit[-1]
    assert line.pop("timestamp")
    assert line == {
        "message": "decision",
        "level": "info",
        "process": "access",
        "logger": "berth.audit",
        "endpoint": "authz",
        "who": "ann",
        "credential": "AccessToken",
        "token": "ann-laptop",
        "action": "pull",
        "repository": "genomics/aligner",
        "allowed": True,
        "reason": None,
        "client": "docker/29.0",
        "address": "198.51.100.7",
        "requestId": REQUEST_ID,
        "generation": 1,
    }


async def test_every_field_is_explained_on_its_page(world: World) -> None:
    token = await world.token("ann", SCOPE, password=PASSWORDS["ann"])
    await world.authz("GET", "/v2/genomics/aligner/manifests/1", token)
    page = (Path(__file__).parents[4] / "docs" / "audit-log.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", "".join(rows))) == {field for line in world.audit for field in line}


async def test_a_refused_login_is_recorded_with_its_reason(world: World) -> None:
    give(world)
    world.change_user("ann", disabled=True)
    await world.ask_token("x", password=SECRET)
    await world.ask_token("ann", password="wrong")
    assert [(line["message"], line["who"], line["allowed"], line["reason"]) for line in world.audit] == [
        ("token", "ann", False, "UserDisabled"),
        ("token", "", False, "BadCredentials"),
    ]


async def test_no_name_and_no_header_begins_or_ends_a_line(world: World) -> None:
    give(world)
    gateway = {"berth-gateway-token": world.service_account("berth-gateway")}
    evil = {name: EVIL.encode().decode("latin-1") for name in HEADERS}
    evil["x-request-id"] *= 20
    await world.call(
        "GET", f"/token?scope={SCOPE}%0A&service=%0d%0a", {**gateway, **evil, "authorization": basic("a", "b")}
    )
    await world.call("GET", "/token?account=%0A", {**gateway, **evil, "authorization": basic(EVIL, "b")})
    await world.call("GET", "/token?scope=" + "%0d%0a%7b".join(SCOPE), {**gateway, **evil})
    token = await world.token("x", SCOPE, password=SECRET)
    for target in (
        "/v2/genomics/aligner/manifests/1",
        "/v2/x%0a/manifests/1",
        f"/v2/{EVIL}/manifests/1".encode().decode("latin-1"),
    ):
        await world.authz("GET", target, token, **evil)
    text = world.log.getvalue()
    assert text.isascii()
    lines = text.splitlines()
    assert len(lines) == 7
    assert all(json.loads(line)["process"] == "access" for line in lines)
    assert not any(json.loads(line)["who"] == "root" for line in lines)
    assert max(len(json.loads(line)["client"]) for line in lines) <= 200
    assert max(len(json.loads(line)["requestId"]) for line in lines) == 64


async def test_only_the_gateway_gives_a_request_its_id(world: World) -> None:
    headers = {"authorization": basic("ann", PASSWORDS["ann"]), "x-request-id": REQUEST_ID}
    await world.call("GET", f"/token?scope={SCOPE}", headers)
    assert world.audit[-1]["requestId"] == ""


async def test_a_cached_response_is_recorded_under_the_id_of_each_request(world: World) -> None:
    give(world)
    headers = {"berth-gateway-token": world.service_account("berth-gateway"), "authorization": basic("x", SECRET)}
    for number in range(3):
        await world.call("GET", f"/token?scope={SCOPE}", {**headers, "x-request-id": f"request-{number}"})
    assert [line["requestId"] for line in world.audit] == ["request-0", "request-1", "request-2"]


async def test_no_secret_of_200_operations_is_in_the_log_or_in_a_response(world: World) -> None:
    give(world)
    pod = jwt.encode(
        {"iss": ISSUER, "aud": [HOST], "sub": "system:serviceaccount:a:b", "exp": world.time + 600},
        CLUSTER_KEY,
        algorithm="RS256",
        headers={"kid": "cluster"},
    )
    secrets = [SECRET, pod, *PASSWORDS.values(), "canary-guess"]
    received = ""
    for number in range(50):
        secret = secrets[number % len(secrets)]
        user = ("ann", "bob", "unknown", "canary-guess")[number % 4]
        source = f"198.51.{number}.1"
        await world.ask_token(user, SCOPE, password=secret, source=source)
        received += (await world.ask_token(user, password=secret + "x", source=source)).body.decode()
        token = await world.token(user, SCOPE, password=secret)
        response = await world.authz("GET", "/v2/genomics/private/manifests/1", token, **{"user-agent": "curl"})
        received += str(response.headers) + response.body.decode()
        written = await world.put("/v2/genomics/aligner/manifests/1", token, manifest())
        received += str(written.headers) + written.body.decode()
        secrets.append(token)
    sinks = world.log.getvalue() + received
    assert len(world.audit) >= 200
    for secret in (*secrets, *HASHES.values(), token_sha256(SECRET), "eyJ", "PRIVATE KEY"):
        assert secret not in sinks
