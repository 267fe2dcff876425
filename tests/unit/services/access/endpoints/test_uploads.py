"""Cancelling an upload: part of a push, done at the registry with a token that the client never sees."""

from __future__ import annotations

from berth.api.policy import Action
from berth.api.reasons import Reason
from berth.services.access.http.messages import Response
from berth.services.access.upstream.ports import RegistryUnreachableError
from tests.kit.access.world import World, claims, sentence_with_page

PULL_PUSH = "repository:genomics/aligner:pull,push"
SESSION = "/v2/genomics/aligner/blobs/uploads/abc?_state=x-_%3D"


async def cancel(world: World, token: str) -> tuple[int, bytes]:
    response = await world.call("DELETE", SESSION, {"authorization": f"Bearer {token}", "user-agent": "test"})
    return response.status, response.body


async def test_a_client_that_may_push_cancels_an_upload_with_a_token_for_this_one_repository(world: World) -> None:
    world.registries.response = Response(204)
    assert await cancel(world, await world.token("ann", PULL_PUSH)) == (204, b"")
    (sent,) = world.registries.tokens
    forwarded = claims(sent.removeprefix("Bearer "))
    assert forwarded["access"] == [{"type": "repository", "name": "genomics/aligner", "actions": ["delete"]}]
    assert forwarded["aud"] == ["berth-registry/genomics"]
    assert forwarded["sub"] == "ann"
    assert forwarded["exp"] - forwarded["iat"] == world.tokens.lifetime
    assert [(line["action"], line["allowed"]) for line in world.audit[-1:]] == [("push", True)]


async def test_the_response_of_the_registry_is_returned(world: World) -> None:
    world.registries.response = Response(404, (("content-type", "application/json"),), b'{"errors":[]}')
    assert await cancel(world, await world.token("ann", PULL_PUSH)) == (404, b'{"errors":[]}')


async def test_without_the_right_to_push_nothing_is_cancelled(world: World) -> None:
    token = await world.token("dora", PULL_PUSH)
    response = await world.ask("DELETE", SESSION, token)
    assert (response.status, response.sentence) == (403, sentence_with_page(Reason.NOT_CERTIFIED, "dora", Action.PUSH))
    assert (await cancel(world, token))[0] == 403
    assert world.registries.tokens == []


async def test_a_token_that_was_not_requested_for_push_is_challenged(world: World) -> None:
    assert (await cancel(world, await world.token("ann", "repository:genomics/aligner:pull")))[0] == 401
    assert world.registries.tokens == []


async def test_a_registry_that_is_away_is_named(world: World) -> None:
    world.registries.away = RegistryUnreachableError(untouched=True)
    status, body = await cancel(world, await world.token("ann", PULL_PUSH))
    assert status == 503
    assert b"project genomics" in body
