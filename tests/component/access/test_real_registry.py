"""The service in front of a real registry: what it signs is accepted, what it forwards arrives."""

from __future__ import annotations

import asyncio

from tests.kit.access.images import NAME, SCOPE, digest_of, image, push_blob, push_image
from tests.kit.access.served import Served
from tests.kit.access.world import OCI_MANIFEST, World, claims


async def test_an_image_goes_in_recorded_and_comes_out_by_tag_and_digest(service: Served) -> None:
    token = await service.world.token("ann", SCOPE)
    body = await push_image(service, token)
    assert [write["manifest"] for write in service.world.catalog.writes.values()] == [body]
    reader = await service.world.token("bob", "repository:genomics/aligner:pull")
    for reference in ("v1", digest_of(body)):
        found = await service.through_gateway("GET", f"{NAME}/manifests/{reference}", reader)
        assert (found.status, found.body) == (200, body)
    tags = await service.through_gateway("GET", f"{NAME}/tags/list", reader)
    assert tags.document == {"name": "genomics/aligner", "tags": ["v1"]}


async def test_the_registry_accepts_no_token_of_another_projects_audience(service: Served) -> None:
    token = await service.world.token("ann", "repository:other/x:pull")
    assert claims(token)["aud"] == ["berth-registry/other"]
    for url in ("/v2/", "/v2/other/x/manifests/1", f"{NAME}/manifests/1"):
        response = await service.ask("GET", service.registry.url + url, {"authorization": f"Bearer {token}"})
        assert response.status == 401


async def test_the_registry_itself_refuses_what_the_token_does_not_grant(service: Served) -> None:
    token = await service.world.token("bob", SCOPE)
    url = f"{service.registry.url}{NAME}/blobs/uploads/"
    assert (await service.ask("POST", url, {"authorization": f"Bearer {token}"})).status == 401


async def test_a_mount_within_the_project_takes_no_bytes(service: Served) -> None:
    token = await service.world.token("ann", SCOPE)
    await push_blob(service, token, b"layer")
    both = await service.world.token("ann", SCOPE, "repository:genomics/tools/viewer:pull,push")
    query = f"?mount={digest_of(b'layer')}&from=genomics/aligner"
    mounted = await service.through_gateway("POST", f"/v2/genomics/tools/viewer/blobs/uploads/{query}", both)
    assert (mounted.status, mounted.headers["docker-content-digest"]) == (201, digest_of(b"layer"))
    alone = await service.world.token("ann", "repository:genomics/tools/viewer:pull,push")
    upload = await service.through_gateway("POST", f"/v2/genomics/tools/viewer/blobs/uploads/{query}", alone)
    assert upload.status == 202


async def test_a_client_that_may_push_cancels_an_upload_and_then_it_is_gone(service: Served) -> None:
    token = await service.world.token("ann", SCOPE)
    begun = await service.through_gateway("POST", f"{NAME}/blobs/uploads/", token)
    session = begun.headers["location"]
    assert (await service.through_gateway("GET", session, token)).status == 204
    assert (await service.through_gateway("DELETE", session, token)).status == 204
    assert (await service.through_gateway("GET", session, token)).status == 404
    assert (await service.through_gateway("DELETE", session, token)).status == 404
    uploads = service.registry.data / "docker/registry/v2/repositories/genomics/aligner/_uploads"
    assert list(uploads.glob("*/data")) == []


async def test_readers_cannot_cancel_an_upload(service: Served) -> None:
    begun = await service.through_gateway("POST", f"{NAME}/blobs/uploads/", await service.world.token("ann", SCOPE))
    session = begun.headers["location"]
    assert (await service.through_gateway("DELETE", session, await service.world.token("bob", SCOPE))).status == 403
    token = await service.world.token("ann", SCOPE)
    assert (await service.through_gateway("GET", session, token)).status == 204


async def test_a_manifest_whose_blobs_are_missing_is_refused_by_the_registry_and_abandoned(service: Served) -> None:
    token = await service.world.token("ann", SCOPE)
    target = f"{NAME}/manifests/v1"
    refused = await service.through_gateway("PUT", target, token, image(b"{}", b"absent"), OCI_MANIFEST)
    assert refused.status == 400
    assert {error["code"] for error in refused.document["errors"]} == {"MANIFEST_BLOB_UNKNOWN"}
    assert service.world.catalog.states == ["abandoned"]


async def test_deleting_a_tag_keeps_the_manifest_and_deleting_the_digest_takes_it(service: Served) -> None:
    token = await service.world.token("ann", "repository:genomics/aligner:pull,push,delete")
    body = await push_image(service, token)
    assert (await service.through_gateway("DELETE", f"{NAME}/manifests/v1", token)).status == 202
    assert (await service.through_gateway("GET", f"{NAME}/manifests/v1", token)).status == 404
    by_digest = f"{NAME}/manifests/{digest_of(body)}"
    assert (await service.through_gateway("GET", by_digest, token)).status == 200
    assert (await service.through_gateway("DELETE", by_digest, token)).status == 202
    assert (await service.through_gateway("GET", by_digest, token)).status == 404
    again = await service.through_gateway("DELETE", by_digest, token)
    assert again.status == 404
    assert service.world.catalog.states == ["committed", "committed", "committed", "abandoned"]


async def test_a_registry_that_is_away_is_named_and_nothing_is_recorded(service: Served) -> None:
    token = await service.world.token("ann", SCOPE)
    service.registry.stop()
    response = await service.through_gateway("PUT", f"{NAME}/manifests/v1", token, image(b"", b""), OCI_MANIFEST)
    assert (response.status, response.code) == (503, "UNAVAILABLE")
    assert "project genomics" in response.sentence
    assert service.world.catalog.states == ["abandoned"]


async def test_the_server_hands_over_what_came_byte_for_byte(service: Served) -> None:
    token = await service.world.token("ann", SCOPE)
    for target in ("/v2/genomics%2Faligner/manifests/v1", "/v2//genomics/aligner/manifests/v1", "/v2/genomics/./x/y"):
        response = await service.ask("PUT", service.url + target, {"authorization": f"Bearer {token}"}, b"{}")
        assert response.status == 400
    assert service.world.catalog.writes == {}


async def test_a_push_whose_client_hangs_up_is_still_recorded(service: Served) -> None:
    token = await service.world.token("ann", SCOPE)
    for blob in (b"{}", b"layer"):
        await push_blob(service, token, blob)
    announced, go_on = asyncio.Event(), asyncio.Event()
    commit = service.world.catalog.commit

    async def slowly(write_id: str, manifest: bytes | None) -> None:
        announced.set()
        await go_on.wait()
        await commit(write_id, manifest)

    service.world.catalog.commit = slowly  # type: ignore[method-assign]
    push = asyncio.create_task(
        service.through_gateway("PUT", f"{NAME}/manifests/v1", token, image(b"{}", b"layer"), OCI_MANIFEST)
    )
    await announced.wait()
    push.cancel()
    writes = set(service.world.deps.running_writes)
    go_on.set()
    await asyncio.wait(writes)
    assert service.world.catalog.states == ["committed"]


async def test_requests_over_the_wire_get_the_same_answers(service: Served) -> None:
    world: World = service.world
    health = await service.ask("HEAD", f"{service.url}/healthz")
    assert (health.status, health.body) == (200, b"")
    assert (await service.ask("GET", f"{service.url}/token?service=x")).status == 200
    assert (await service.ask("GET", f"{service.url}/authz")).status == 401
    base = await service.through_gateway("GET", "/v2/", await world.token("eve"))
    assert (base.status, base.body) == (200, b"{}")
