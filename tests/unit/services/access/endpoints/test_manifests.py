"""Pushing and deleting manifests: recorded before it is answered, or refused."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, MutableMapping
from typing import Any

import pytest

from berth.api.policy import Action, PolicyState
from berth.api.reasons import Reason
from berth.services.access.http.messages import Response
from berth.services.access.upstream.ports import RegistryUnreachableError, WriteIntent
from tests.kit.access.world import OCI_MANIFEST, World, manifest, sentence_of, sentence_with_page

PULL_PUSH = "repository:genomics/aligner:pull,push"
DELETE = "repository:genomics/aligner:delete"
TARGET = "/v2/genomics/aligner/manifests/v1"
BODY = manifest()
DIGEST = "sha256:" + hashlib.sha256(BODY).hexdigest()


async def test_a_push_is_recorded_with_who_and_what_and_answered_as_the_registry_did(world: World) -> None:
    token = await world.token("ann", PULL_PUSH)
    response = await world.put(
        TARGET,
        token,
        BODY,
        **{"berth-gateway-token": world.service_account("berth-gateway"), "x-forwarded-for": "198.51.100.7"},
    )
    assert response.status == 201
    assert response.headers["docker-content-digest"] == DIGEST
    assert response.headers["location"] == f"{TARGET}@{DIGEST}"
    assert world.registries.manifests == {("genomics", TARGET): BODY}
    assert world.registries.tokens == [f"Bearer {token}"]
    intent = WriteIntent("push", "genomics", "aligner", "v1", DIGEST, OCI_MANIFEST, "ann", "198.51.100.7")
    assert world.catalog.writes == {"w1": {"intent": intent, "state": "committed", "manifest": BODY}}


async def test_an_address_that_no_gateway_vouches_for_is_not_recorded(world: World) -> None:
    await world.put(TARGET, await world.token("ann", PULL_PUSH), BODY, **{"x-forwarded-for": "1.2.3.4"})
    assert world.catalog.writes["w1"]["intent"].client == ""


async def test_a_push_without_the_right_touches_neither_registry_nor_catalog(world: World) -> None:
    response = await world.put(TARGET, await world.token("dora", PULL_PUSH), BODY)
    assert (response.status, response.code) == (403, "DENIED")
    assert response.sentence == sentence_with_page(Reason.NOT_CERTIFIED, "dora", Action.PUSH)
    assert (world.registries.manifests, world.catalog.writes) == ({}, {})


async def test_a_push_is_decided_on_the_present_policy(world: World) -> None:
    token = await world.token("ann", PULL_PUSH)
    world.change("genomics", state=PolicyState.TRASHED)
    assert (await world.put(TARGET, token, BODY)).sentence == sentence_with_page(
        Reason.PROJECT_TRASHED, "ann", Action.PUSH
    )
    assert world.catalog.writes == {}


async def test_a_token_without_the_grant_is_challenged(world: World) -> None:
    response = await world.put(TARGET, await world.token("ann", "repository:genomics/aligner:pull"), BODY)
    assert response.status == 401
    assert 'scope="repository:genomics/aligner:pull,push"' in response.headers["www-authenticate"]
    assert world.catalog.writes == {}


async def test_a_layer_above_the_limit_is_refused_with_its_size(world: World) -> None:
    response = await world.put(TARGET, await world.token("ann", PULL_PUSH), manifest(layer_size=1001))
    assert (response.status, response.code) == (403, "DENIED")
    assert "1001 bytes" in response.sentence
    assert "1000 bytes" in response.sentence
    assert world.catalog.writes == {}
    assert world.audit[-1]["reason"] == "LayerTooLarge"


async def test_a_manifest_above_the_limit_is_refused_with_the_limit(world: World) -> None:
    response = await world.put(TARGET, await world.token("ann", PULL_PUSH), b" " * (5 * 1024 * 1024))
    assert (response.status, response.code) == (403, "DENIED")
    assert response.sentence.startswith("The manifest is larger than 4 MiB")
    assert world.registries.manifests == {}


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"\xff", b"{}", b'{"schemaVersion":1}', b"[" * 100_000])
async def test_an_invalid_manifest_is_refused_with_a_sentence(world: World, body: bytes) -> None:
    response = await world.put(TARGET, await world.token("ann", PULL_PUSH), body)
    assert (response.status, response.code) == (400, "MANIFEST_INVALID")
    assert response.sentence.startswith("The manifest")
    assert world.catalog.writes == {}


async def test_while_the_catalog_is_away_nothing_is_pushed(world: World) -> None:
    world.catalog.away = True
    response = await world.put(TARGET, await world.token("ann", PULL_PUSH), BODY)
    assert (response.status, response.code) == (403, "DENIED")
    assert response.sentence == sentence_of(Reason.CATALOG_UNAVAILABLE, "ann")
    assert (world.registries.manifests, world.catalog.writes) == ({}, {})
    assert world.audit[-1]["reason"] == "CatalogUnavailable"


async def test_a_push_that_cannot_be_committed_is_refused_and_left_for_the_catalog_to_settle(world: World) -> None:
    world.catalog.away_for_commits = True
    response = await world.put(TARGET, await world.token("ann", PULL_PUSH), BODY)
    assert (response.status, response.sentence) == (403, sentence_of(Reason.CATALOG_UNAVAILABLE, "ann"))
    assert world.catalog.states == ["open"]


async def test_a_write_that_the_registry_refuses_is_abandoned_and_gets_its_response(world: World) -> None:
    said = b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}'
    world.registries.response = Response(404, (("content-type", "application/json"),), said)
    response = await world.put(TARGET, await world.token("ann", PULL_PUSH), BODY)
    assert (response.status, response.body) == (404, said)
    assert world.catalog.states == ["abandoned"]


@pytest.mark.parametrize(("untouched", "state"), [(True, "abandoned"), (False, "open")])
async def test_without_an_answer_of_the_registry_the_write_is_abandoned_only_if_it_saw_nothing(
    world: World, untouched: bool, state: str
) -> None:
    world.registries.away = RegistryUnreachableError(untouched=untouched)
    response = await world.put(TARGET, await world.token("ann", PULL_PUSH), BODY)
    assert (response.status, response.code) == (503, "UNAVAILABLE")
    assert "The registry of project genomics does not answer" in response.sentence
    assert world.catalog.states == [state]


async def test_a_failure_inside_the_registry_is_left_for_the_catalog_to_settle(world: World) -> None:
    world.registries.response = Response(500, (), b"{}")
    assert (await world.put(TARGET, await world.token("ann", PULL_PUSH), BODY)).status == 500
    assert world.catalog.states == ["open"]


async def test_a_manifest_with_a_subject_is_answered_with_it(world: World) -> None:
    subject = {"mediaType": OCI_MANIFEST, "digest": "sha256:" + "3" * 64, "size": 5}
    response = await world.put(TARGET, await world.token("ann", PULL_PUSH), manifest(subject=subject))
    assert response.headers["oci-subject"] == subject["digest"]


async def test_a_manifest_pushed_by_digest_is_recorded_by_digest(world: World) -> None:
    target = f"/v2/genomics/aligner/manifests/{DIGEST}"
    await world.put(target, await world.token("ann", PULL_PUSH), BODY)
    intent = world.catalog.writes["w1"]["intent"]
    assert (intent.reference, intent.digest) == (DIGEST, DIGEST)


@pytest.mark.parametrize(("reference", "digest"), [(DIGEST, DIGEST), ("v1", None)])
async def test_a_delete_is_recorded(world: World, reference: str, digest: str | None) -> None:
    token = await world.token("ann", DELETE)
    target = f"/v2/genomics/aligner/manifests/{reference}"
    world.registries.manifests["genomics", target] = BODY
    response = await world.call("DELETE", target, {"authorization": f"Bearer {token}"})
    assert response.status == 202
    assert world.registries.manifests == {}
    write = world.catalog.writes["w1"]
    assert (write["state"], write["manifest"]) == ("committed", None)
    assert write["intent"] == WriteIntent("delete", "genomics", "aligner", reference, digest, "", "ann", "")


async def test_a_delete_needs_its_level(world: World) -> None:
    token = await world.token("dora", "repository:genomics/aligner:pull,push,delete")
    response = await world.call("DELETE", TARGET, {"authorization": f"Bearer {token}"})
    assert (response.status, response.code) == (403, "DENIED")
    assert world.audit[-1]["reason"] == "LevelTooLow"
    assert world.catalog.writes == {}


async def test_a_client_that_goes_away_in_the_middle_leaves_no_write_undone(world: World) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()
    forward = world.registries.forward

    async def slowly(
        project: str, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response:
        arrived.set()
        await go_on.wait()
        return await forward(project, method, target, headers, body)

    world.registries.forward = slowly  # type: ignore[method-assign]
    token = await world.token("ann", PULL_PUSH)
    request = asyncio.create_task(world.put(TARGET, token, BODY))
    await arrived.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    running = set(world.deps.running_writes)
    go_on.set()
    await asyncio.wait(running)
    assert world.catalog.states == ["committed"]
    assert world.deps.running_writes == set()


async def test_a_body_that_ends_early_is_no_push(world: World) -> None:
    token = await world.token("ann", PULL_PUSH)
    parts: list[dict[str, Any]] = [
        {"type": "http.request", "body": BODY[:10], "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return parts.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {token}".encode()), (b"content-type", OCI_MANIFEST.encode())]
    scope = {"type": "http", "method": "PUT", "path": TARGET, "query_string": b"", "headers": headers}
    await world.app(scope, receive, send)
    assert sent == []
    assert world.catalog.writes == {}
