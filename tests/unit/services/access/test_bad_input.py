"""Any input: a readable response, never a failure, never a write, never a secret."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.kit.access.world import HASHES, PASSWORDS, World, manifest

PIECES = (
    *("v2", "genomics", "aligner", "manifests", "blobs", "uploads", "tags", "list", "referrers", "_catalog", "token"),
    *("/", "//", "..", ".", "?", "&", "=", "%2F", "%", "%00", ";", "#", " ", "\t", "\x00", "\x7f", "é", "\xff", ":"),
    *(
        "sha256:" + "a" * 64,
        "sha256:",
        "scope=",
        "scope=repository:genomics/aligner:pull,push",
        "n=",
        "mount=",
        "from=",
    ),
    *("grant_type=password", "username=ann", "password=", "Basic ", "Bearer ", "eyJhbGciOiJFUzI1NiJ9.e30.", "a" * 300),
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW")
HEADERS = (
    *("authorization", "content-type", "content-length", "x-forwarded-for", "berth-gateway-token"),
    *("berth-original-method", "berth-original-uri", "host"),
)


def noise(source: random.Random) -> str:
    return "".join(source.choices(PIECES, k=source.randint(0, 8)))


def requests(seed: int) -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    """Requests made of what the grammar has, in an order that it does not."""
    source = random.Random(seed)
    for _ in range(300):
        target = source.choice(("/token?", "/authz", "/v2/", "/v2/genomics/aligner/", "/", "")) + noise(source)
        headers = {name: noise(source) for name in source.sample(HEADERS, source.randint(0, len(HEADERS)))}
        yield source.choice(METHODS), target, headers, noise(source).encode("latin-1", "replace")


@pytest.mark.parametrize("seed", range(4))
async def test_no_request_makes_the_service_fail_or_write(world: World, seed: int) -> None:
    token, gateway = (
        await world.token("ann", "repository:genomics/aligner:pull"),
        world.service_account("berth-gateway"),
    )
    for number, (method, target, headers, body) in enumerate(requests(seed)):
        if number % 2:
            headers |= {"authorization": f"Bearer {token}", "berth-gateway-token": gateway}
        response = await world.call(method, target, headers, body)
        assert response.status < 500, (method, target, headers)
        if response.status >= 400 and response.body:
            assert response.sentence.isascii()
            assert response.sentence.isprintable()
    assert (world.catalog.writes, world.registries.manifests) == ({}, {})


async def test_no_secret_is_in_the_audit_log_or_in_an_error(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    scope = "repository:genomics/aligner:pull,push"
    token = await world.token("ann", scope)
    responses = [
        await world.ask_token("ann", password=PASSWORDS["ann"] + "x"),
        await world.ask_token(PASSWORDS["bob"], scope, password="ann"),
        await world.ask("GET", "/v2/genomics/private/manifests/1", await world.token("bob", scope)),
        await world.ask("GET", "/v2/genomics/aligner/manifests/1", token + "x"),
        await world.put("/v2/genomics/aligner/manifests/1", token, manifest(annotations={"x": "canary-annotation"})),
        await world.call("GET", "/authz", {"berth-gateway-token": world.service_account("intruder")}),
    ]
    received = "".join(str(response.headers) + response.body.decode() for response in responses[2:])
    written = world.log.getvalue() + capsys.readouterr().out + received + responses[0].body.decode()
    assert "ann" in written
    for secret in (*PASSWORDS.values(), *HASHES.values(), token, "eyJ", "canary", "PRIVATE KEY"):
        assert secret not in written


async def test_each_decision_is_recorded_once(world: World) -> None:
    token = await world.token("ann", "repository:genomics/aligner:pull,push")
    await world.authz("GET", "/v2/genomics/aligner/manifests/1", token)
    await world.authz("GET", "/v2/absent/x/manifests/1", token)
    await world.authz("GET", "/v2/canary/../x", token)
    await world.put("/v2/genomics/aligner/manifests/1", token, manifest())
    fields = ("endpoint", "who", "action", "repository", "allowed", "reason", "address")
    seen = [tuple(line[field] for field in fields) for line in world.audit]
    assert seen == [
        ("token", "ann", "token", "repository:genomics/aligner:pull,push", True, None, ""),
        ("authz", "ann", "pull", "genomics/aligner", True, None, "198.51.100.7"),
        ("authz", "ann", "pull", "absent/x", False, "NotFound", "198.51.100.7"),
        ("authz", "", "", "", False, "InvalidRequest", "198.51.100.7"),
        ("manifest", "ann", "push", "genomics/aligner", True, None, ""),
    ]
    assert {line["generation"] for line in world.audit} == {1}
