"""The service between a real registry and the real catalog: what one says the other understands."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest

from berth.catalog.db.database import open_database
from berth.services.access.upstream.catalog_client import CatalogClient
from tests.kit.access.images import NAME, SCOPE, digest_of, image, push_blob, push_image
from tests.kit.access.served import Served
from tests.kit.access.world import OCI_MANIFEST
from tests.kit.catalog.api import Api, running_api, token

TAGS = "/v1/projects/genomics/repositories/aligner/tags"


@dataclass
class Both:
    """The service and the catalog."""

    service: Served
    catalog: Api

    async def tags(self) -> dict[str, tuple[str, str]]:
        """Digest and person by tag, as the catalog has them."""
        status, document = await self.catalog.call("GET", TAGS)
        return {tag["name"]: (tag["digest"], tag["pushedBy"]) for tag in document["tags"]} if status == 200 else {}


@pytest.fixture
async def both(service: Served, tmp_path: Path) -> AsyncIterator[Both]:
    """The service with a client of the real catalog on an empty SQLite database."""
    async with (
        open_database(f"sqlite+aiosqlite:///{tmp_path}/catalog.db") as database,
        aiohttp.ClientSession() as session,
    ):
        await database.migrate()
        async with running_api(database) as catalog:
            client = CatalogClient(session, base_url=catalog.url, read_token=token, patience=8.0)
            service.world.rebuild(replace(service.world.deps, catalog=client))
            yield Both(service, catalog)
            await session.close()


async def test_a_push_is_in_the_catalog_before_its_response_and_a_delete_removes_it(both: Both) -> None:
    editor = await both.service.world.token("ann", "repository:genomics/aligner:pull,push,delete")
    body = await push_image(both.service, editor, "v1")
    await both.service.through_gateway("PUT", f"{NAME}/manifests/v2", editor, body, OCI_MANIFEST)
    assert await both.tags() == {"v1": (digest_of(body), "ann"), "v2": (digest_of(body), "ann")}
    assert (await both.service.through_gateway("DELETE", f"{NAME}/manifests/v1", editor)).status == 202
    assert await both.tags() == {"v2": (digest_of(body), "ann")}
    by_digest = f"{NAME}/manifests/{digest_of(body)}"
    assert (await both.service.through_gateway("DELETE", by_digest, editor)).status == 202
    assert await both.tags() == {}


async def test_a_moved_tag_shows_its_new_digest_at_once(both: Both) -> None:
    editor = await both.service.world.token("ann", SCOPE)
    await push_image(both.service, editor, "v1")
    await push_blob(both.service, editor, b"another layer")
    moved = image(b"{}", b"another layer")
    assert (
        await both.service.through_gateway("PUT", f"{NAME}/manifests/v1", editor, moved, OCI_MANIFEST)
    ).status == 201
    assert await both.tags() == {"v1": (digest_of(moved), "ann")}


async def test_readers_pull_a_repository_without_an_object_after_its_first_push(
    both: Both,
) -> None:
    world = both.service.world
    world.change("genomics", repositories={})
    early = await world.token("bob", "repository:genomics/aligner:pull")
    assert (await both.service.through_gateway("GET", f"{NAME}/manifests/v1", early)).status == 403
    await push_image(both.service, await world.token("ann", SCOPE), "v1")
    reader = await world.token("bob", "repository:genomics/aligner:pull")
    assert (await both.service.through_gateway("GET", f"{NAME}/manifests/v1", reader)).status == 200


async def test_what_the_registry_refuses_is_not_recorded(both: Both) -> None:
    editor = await both.service.world.token("ann", SCOPE)
    absent = image(b"{}", b"absent")
    assert (
        await both.service.through_gateway("PUT", f"{NAME}/manifests/v1", editor, absent, OCI_MANIFEST)
    ).status == 400
    assert await both.tags() == {}


async def test_an_attachment_is_listed_with_its_subject(both: Both) -> None:
    editor = await both.service.world.token("ann", SCOPE)
    body = await push_image(both.service, editor)
    subject = {"mediaType": OCI_MANIFEST, "digest": digest_of(body), "size": len(body)}
    attachment = {**json.loads(image(b"{}", b"layer")), "artifactType": "application/x-sbom", "subject": subject}
    data = json.dumps(attachment).encode()
    target = f"{NAME}/manifests/{digest_of(data)}"
    pushed = await both.service.through_gateway("PUT", target, editor, data, OCI_MANIFEST)
    assert (pushed.status, pushed.headers["oci-subject"]) == (201, digest_of(body))
    listed = await both.service.through_gateway("GET", f"{NAME}/referrers/{digest_of(body)}", editor)
    assert [(entry["digest"], entry["artifactType"], entry["size"]) for entry in listed.document["manifests"]] == [
        (digest_of(data), "application/x-sbom", len(data))
    ]
