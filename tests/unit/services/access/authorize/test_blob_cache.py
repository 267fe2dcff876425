"""Blobs read one after the other with one token: decided once, recorded each time, no revocation delayed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from berth.api.policy import PolicyState
from berth.api.reasons import Reason
from tests.kit.access.token_logins import LAPTOP, change, give_token
from tests.kit.access.world import ClientResponse, World, write_keys
from tests.kit.pki import Authority

PULL = "repository:genomics/aligner:pull"
FIRST, SECOND = (f"/v2/genomics/aligner/blobs/sha256:{digit * 64}" for digit in "ab")


async def ask(world: World, method: str, target: str, token: str | None = None) -> ClientResponse:
    """A client's request, from a gateway that access knows already: what passes is not judged then."""
    await world.authz("GET", "/v2/")
    return await world.ask(method, target, token)


async def reader(world: World, user: str = "ann", password: str | None = None) -> str:
    """The token of a client that has just read the first blob."""
    token = await world.token(user, PULL, password=password)
    assert (await ask(world, "GET", FIRST, token)).status == 200
    return token


async def test_the_next_blob_is_forwarded_and_recorded_like_the_first(world: World) -> None:
    token = await reader(world)
    responses = [await world.authz(method, SECOND, token) for method in ("GET", "HEAD")]
    assert [response.headers["berth-upstream"] for response in responses] == [
        f"http://registry.genomics:5000{SECOND}"
    ] * 2
    first, *others = ({**line, "timestamp": ""} for line in world.audit[-3:])
    assert (first["who"], first["action"], first["repository"], first["allowed"]) == (
        "ann",
        "pull",
        "genomics/aligner",
        True,
    )
    assert others == [first, first]


async def test_other_requests_than_blob_reads_of_that_repository_are_decided(world: World) -> None:
    token = await reader(world)
    digest = SECOND.rpartition("/")[2]
    for method, target, status in (
        ("POST", "/v2/genomics/aligner/blobs/uploads/", 401),  # not requested for this token
        ("DELETE", SECOND, 400),
        ("PUT", SECOND, 400),
        ("GET", f"/v2/genomics/other/blobs/{digest}", 401),
        ("GET", f"/v2/absent/aligner/blobs/{digest}", 403),
        ("GET", f"{SECOND}/../../manifests/v1", 400),
        ("GET", f"{SECOND}%2f", 400),
        ("GET", f"{SECOND}a", 400),
        ("GET", SECOND.upper(), 400),
        ("GET", SECOND[:-1], 400),
        ("GET", SECOND.replace("sha256:", "sha512:"), 400),
        ("GET", SECOND + "\n", 400),
    ):
        assert (await ask(world, method, target, token)).status == status, (method, target)
    assert (await ask(world, "GET", SECOND)).status == 401
    assert (await ask(world, "GET", SECOND, token + "a")).status == 401


async def test_a_withdrawn_level_and_the_trash_count_for_the_next_blob(world: World) -> None:
    token = await reader(world)
    world.change("genomics", state=PolicyState.TRASHED)
    assert (await ask(world, "GET", SECOND, token)).status == 403
    world.change("genomics", state=PolicyState.ACTIVE)
    assert (await ask(world, "GET", SECOND, token)).status == 200
    world.change("genomics", rules=())
    assert (await ask(world, "GET", SECOND, token)).status == 403
    assert world.audit[-1]["allowed"] is False


async def test_the_end_of_the_registry_token_counts_at_its_second(world: World) -> None:
    token = await reader(world)
    world.time += 299
    assert (await ask(world, "GET", SECOND, token)).status == 200
    world.time += 1
    assert (await ask(world, "GET", SECOND, token)).status == 401


async def test_the_end_of_the_credential_counts_at_its_second(world: World) -> None:
    give_token(world, expires_at=datetime.fromtimestamp(world.time, UTC) + timedelta(seconds=5))
    token = await reader(world, "x", LAPTOP)
    for seconds, status in ((0, 200), (4, 200), (1, 403)):
        world.time += seconds
        assert (await ask(world, "GET", SECOND, token)).status == status
    assert world.audit[-1]["reason"] == Reason.TOKEN_EXPIRED


async def test_a_deleted_access_token_counts_for_the_next_blob(world: World) -> None:
    give_token(world)
    token = await reader(world, "x", LAPTOP)
    change(world, tokens={})
    assert (await ask(world, "GET", SECOND, token)).status == 403


@pytest.mark.parametrize("seen_by", ["a readiness probe", "a token request"])
async def test_a_token_of_an_authority_that_is_not_trusted_any_more_is_refused(world: World, seen_by: str) -> None:
    token = await reader(world)
    other = Authority.create("another authority")
    write_keys(world.signing_dir, other.issue("another leaf"), other)
    world.time += 3
    if seen_by == "a readiness probe":
        assert world.deps.tokens.ready
    else:
        await world.token("ann", PULL)
    assert (await ask(world, "GET", SECOND, token)).status == 401
