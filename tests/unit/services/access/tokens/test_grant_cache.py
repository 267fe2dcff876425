"""Cached token requests: the response comes at once, and no revocation is delayed."""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from berth.api.reasons import Reason
from berth.api.sharing import SubjectKind
from berth.api.token import TokenScope
from berth.authz.model import AccessTokenRecord, Subject
from berth.authz.token_format import make_token, token_sha256
from berth.runtime.bounded_cache import BoundedCache
from berth.services.access.http.messages import Request, Response
from berth.services.access.tokens.grant_cache import RESPONSE_SECONDS
from tests.kit.access.token_logins import LAPTOP, change, give_token, pod_token
from tests.kit.access.world import AUTHORITY as TOKEN_AUTHORITY
from tests.kit.access.world import HOST, World, basic, claims, write_keys

SCOPE = "repository:genomics/aligner:pull,push"


async def unread() -> dict[str, Any]:
    """The body of a request that must not be read."""
    raise AssertionError("a GET reads no body")


def at_once(
    world: World, query: str = "", password: str = LAPTOP, method: str = "GET", **headers: str
) -> Response | None:
    """The response, if nothing has to be waited for."""
    target = "/token?" + (query or urlencode({"service": HOST, "scope": SCOPE}))
    sent = {"authorization": basic("x", password), **headers}
    handled = world.app.handle(Request(method, target, sent, unread))
    if asyncio.iscoroutine(handled):
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # it awaits another
            handled.close()
        return None
    assert isinstance(handled, Response) or callable(handled)
    return handled if isinstance(handled, Response) else handled()


async def ask(world: World, *scopes: str, password: str = LAPTOP) -> dict[str, Any]:
    """The document that a client gets."""
    response = await world.ask_token("x", *(scopes or (SCOPE,)), password=password)
    assert response.status == 200
    return dict(response.document)


def actions(token: str) -> list[str]:
    return [action for entry in claims(token)["access"] for action in entry["actions"]]


async def test_the_same_request_gets_the_same_token_for_a_few_seconds_and_then_a_new_one(world: World) -> None:
    give_token(world)
    first = await ask(world)
    world.time += RESPONSE_SECONDS - 1
    assert await ask(world) == first
    world.time += 1
    later = await ask(world)
    assert later["token"] != first["token"]
    assert later["issued_at"] > first["issued_at"]
    assert claims(later["token"])["exp"] == world.time + 300


async def test_a_cached_request_is_answered_at_once_and_no_other(world: World) -> None:
    give_token(world)
    assert at_once(world) is None
    await ask(world)
    assert at_once(world) is not None
    other = urlencode({"service": HOST, "scope": SCOPE, "client_id": "docker"})
    assert at_once(world, other) is not None
    for query in ("scope=repository:genomics/other:pull", f"sc%6fpe=x&scope={SCOPE}", f"scope={SCOPE}&scope={SCOPE}"):
        assert at_once(world, query) is None
    assert at_once(world, password=make_token(b"2" * 32)) is None
    assert at_once(world, method="POST") is None
    assert at_once(world, **{"berth-gateway-token": "never seen"}) is None


async def test_a_different_request_for_the_same_has_a_token_of_its_own(world: World) -> None:
    give_token(world)
    first = await ask(world)
    again = at_once(world, urlencode({"scope": SCOPE, "client_id": "docker"}))
    assert again is not None
    assert first["token"].encode() not in again.body


async def test_a_change_of_the_policy_counts_for_the_next_request(world: World) -> None:
    give_token(world)
    assert actions((await ask(world))["token"]) == ["pull", "push"]
    world.certify({})
    assert actions((await ask(world))["token"]) == ["pull"]
    change(world, tokens={})
    assert claims((await ask(world))["token"])["berth"]["failure"] == Reason.TOKEN_REVOKED


async def test_the_end_of_a_certification_and_of_a_token_counts_at_its_second(world: World) -> None:
    now = datetime.fromtimestamp(world.time, UTC)
    give_token(world, expires_at=now + timedelta(seconds=4))
    world.certify({"ann": now + timedelta(seconds=2)})
    assert actions((await ask(world))["token"]) == ["pull", "push"]
    world.time += 1.5
    assert actions((await ask(world))["token"]) == ["pull", "push"]
    world.time += 0.5
    assert actions((await ask(world))["token"]) == ["pull"]
    world.time += 2
    assert actions((await ask(world))["token"]) == []


async def test_a_stale_policy_counts_at_its_second_and_so_does_its_confirmation(
    world: World,
) -> None:
    give_token(world)
    until = datetime.fromtimestamp(world.time + 2, UTC)
    world.snapshot = replace(world.snapshot, fresh_until=until)
    assert actions((await ask(world))["token"]) == ["pull", "push"]
    world.time += 2
    assert actions((await ask(world))["token"]) == ["pull"]
    world.snapshot = replace(world.snapshot, fresh_until=until + timedelta(seconds=900))
    assert actions((await ask(world))["token"]) == ["pull", "push"]


async def test_a_new_signing_key_counts_for_the_next_request_that_sees_it(world: World) -> None:
    give_token(world)
    before = (await ask(world))["token"]
    write_keys(world.signing_dir, TOKEN_AUTHORITY.issue("another leaf"))
    world.time += 3
    after = (await ask(world))["token"]
    assert after.split(".")[0] != before.split(".")[0]


async def test_passwords_and_refusals_are_decided_each_time(world: World) -> None:
    for user, password in (("ann", None), ("ann", "wrong"), ("x", make_token(b"9" * 32))):
        tokens = {await world.token(user, SCOPE, password=password) for _ in range(2)}
        assert len(tokens) == 2, user


async def test_a_pod_is_answered_at_once_until_its_token_ends(world: World) -> None:
    pod = pod_token(world, exp=world.time + 3)
    await ask(world, password=pod)
    assert at_once(world, password=pod) is not None
    world.time += 20
    assert claims((await ask(world, password=pod))["token"])["berth"]["failure"] == Reason.TOKEN_EXPIRED


async def test_every_response_is_in_the_audit_log_with_its_client_and_counts_as_a_use(world: World) -> None:
    give_token(world)
    await ask(world)
    gateway = {"berth-gateway-token": world.service_account("berth-gateway")}
    sources = ["198.51.100.7", "203.0.113.9"]
    for source in sources:
        headers = {**gateway, "authorization": basic("x", LAPTOP), "x-forwarded-for": source, "user-agent": 'a"\n'}
        await world.call("GET", "/token?" + urlencode({"service": HOST, "scope": SCOPE}), headers)
    lines = world.audit
    assert [line["address"] for line in lines] == ["", *sources]
    assert [line["client"] for line in lines] == ["", 'a"\n', 'a"\n']
    assert all(line["token"] == "ann-laptop" and line["granted"] == SCOPE and line["allowed"] for line in lines)
    assert world.tokens_used == ["ann-laptop"] * 3


async def test_the_cache_holds_no_secret(world: World) -> None:
    give_token(world)
    await ask(world)
    endpoint = world.app._token
    kept = f"{list(endpoint._cache.grants._entries.items())}{list(endpoint._cache.responses._entries)}"
    assert "ann-laptop" in kept
    assert LAPTOP not in kept
    assert basic("x", LAPTOP) not in kept


def test_the_cache_is_bounded_and_evicts_the_oldest_entry() -> None:
    kept: BoundedCache[bytes, int] = BoundedCache(max_entries=2, max_bytes=1000)
    for number in range(3):
        kept.put(bytes([number]), number)
    assert [kept.get(bytes([number])) for number in range(3)] == [None, 1, 2]


@pytest.mark.parametrize("kind", [SubjectKind.USER, SubjectKind.ROBOT])
async def test_an_owner_of_the_wrong_kind_gets_nothing_however_often_it_asks(world: World, kind: SubjectKind) -> None:
    change(world, tokens={token_sha256(LAPTOP): AccessTokenRecord("t", Subject(kind, "ann"), frozenset(TokenScope))})
    for _ in range(2):
        assert bool(actions((await ask(world))["token"])) is (kind is SubjectKind.USER)


async def test_a_cached_decision_is_renewed_when_policy_or_time_change_it(world: World) -> None:
    now = datetime.fromtimestamp(world.time, UTC)
    world.certify({"ann": now + timedelta(seconds=2)})
    token = await world.token("ann", SCOPE)
    upload = "/v2/genomics/aligner/blobs/uploads/"

    async def may(method: str, target: str) -> list[bool]:
        return [(await world.authz(method, target, token)).status == 200 for _ in range(2)]

    assert await may("POST", upload) == [True, True]
    world.time += 2
    assert await may("POST", upload) == [False, False]
    assert await may("GET", "/v2/genomics/aligner/blobs/sha256:" + "1" * 64) == [True, True]
    world.change("genomics", rules=())
    assert await may("GET", "/v2/genomics/aligner/blobs/sha256:" + "1" * 64) == [False, False]
    assert await may("GET", "/v2/genomics/private/blobs/sha256:" + "1" * 64) == [False, False]
