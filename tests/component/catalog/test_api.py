"""The catalog's API over HTTP: responses of each endpoint, and who may call it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from berth.catalog.db.database import Database
from berth.oci import manifest as manifests
from tests.kit.catalog.api import Api, running_api, token
from tests.kit.catalog.contents import digest, image

REPOSITORY = "/v1/projects/genomics/repositories/tools/aligner"


@pytest.fixture
async def api(sqlite: Database) -> AsyncIterator[Api]:
    async with running_api(sqlite) as running:
        yield running


async def test_a_push_is_announced_committed_and_read_back(api: Api) -> None:
    body = image(size=5000)
    await api.push(body)

    tag = {
        "name": "v1",
        "digest": digest(body),
        "mediaType": manifests.OCI_MANIFEST,
        "artifactType": "application/vnd.oci.image.config.v1+json",
        "size": len(body) + 5010,
        "pushedAt": "2026-11-24T12:00:00Z",
        "pushedBy": "curator",
    }
    assert await api.call("GET", f"{REPOSITORY}/tags") == (200, {"tags": [tag]})
    move = {
        "id": 1,
        "tag": "v1",
        "at": "2026-11-24T12:00:00Z",
        "by": "curator",
        "client": "10.0.0.7",
        "from": None,
        "to": digest(body),
        "cause": "push",
    }
    assert await api.call("GET", f"{REPOSITORY}/history") == (200, {"history": [move]})
    assert await api.call("GET", f"{REPOSITORY}/history?tag=v2") == (200, {"history": []})


async def test_a_push_by_the_service_account_with_the_longest_name_is_recorded(api: Api) -> None:
    account = f"{'n' * 63}/{'a' * 253}"
    await api.push(image(), by=account)
    _, listed = await api.call("GET", f"{REPOSITORY}/tags")
    assert [tag["pushedBy"] for tag in listed["tags"]] == [account]


async def test_referrers_are_descriptors_as_an_index_lists_them(api: Api) -> None:
    base = image()
    subject = {"mediaType": manifests.OCI_MANIFEST, "digest": digest(base), "size": len(base)}
    sbom = image(salt="s", subject=subject, artifactType="application/x-sbom", annotations={"tool": "t"})
    await api.push(base)
    await api.push(sbom, reference=digest(sbom))

    descriptor = {
        "mediaType": manifests.OCI_MANIFEST,
        "digest": digest(sbom),
        "size": len(sbom),
        "artifactType": "application/x-sbom",
        "annotations": {"tool": "t"},
    }
    found = f"{REPOSITORY}/referrers/{digest(base)}"
    assert await api.call("GET", found) == (200, {"referrers": [descriptor]})
    assert await api.call("GET", f"{found}?artifactType=application/other") == (200, {"referrers": []})
    assert await api.call("GET", f"{REPOSITORY}/referrers/{digest(sbom)}") == (200, {"referrers": []})


async def test_repositories_are_listed_page_by_page(api: Api) -> None:
    for path in ("a", "b", "c/d"):
        await api.push(image(), repository=path)

    listing = "/v1/projects/genomics/repositories"
    assert await api.call("GET", f"{listing}?limit=2") == (200, {"repositories": ["a", "b"], "next": "b"})
    assert await api.call("GET", f"{listing}?limit=2&after=b") == (200, {"repositories": ["c/d"]})
    assert await api.call("GET", "/v1/projects/unknown/repositories") == (200, {"repositories": []})


async def test_a_delete_by_tag_needs_no_digest(api: Api) -> None:
    await api.push(image())
    _, announced = await api.announce(image(), kind="delete", digest=None, mediaType="")
    assert await api.call("POST", f"/v1/writes/{announced['id']}/commit", {}) == (200, {})
    assert await api.call("GET", f"{REPOSITORY}/tags") == (200, {"tags": []})


async def test_an_abandoned_write_leaves_nothing(api: Api) -> None:
    _, announced = await api.announce(image())
    assert await api.call("POST", f"/v1/writes/{announced['id']}/abandon", {}) == (200, {})
    status, answer = await api.call("GET", f"{REPOSITORY}/tags")
    assert (status, answer) == (404, {"error": "Nothing was ever pushed to genomics/tools/aligner."})


async def test_an_unknown_write_and_an_unannounced_manifest_are_refused(api: Api) -> None:
    status, answer = await api.call("POST", "/v1/writes/nothing/commit", {})
    assert (status, answer["error"]) == (404, "There is no write nothing; announce it again before you push.")

    _, announced = await api.announce(image())
    other = base64.b64encode(image(salt="other")).decode()
    status, answer = await api.call("POST", f"/v1/writes/{announced['id']}/commit", {"manifest": other})
    assert status == 409
    assert "is not the announced sha256:" in answer["error"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"project": "Genomics"}, "The field project is wrong"),
        ({"repository": "../etc"}, "The field repository is wrong"),
        ({"reference": "-"}, "The field reference is wrong"),
        ({"reference": "v1\n"}, "The field reference is wrong"),
        ({"digest": "sha256:0"}, "The field digest is wrong"),
        ({"digest": None}, "The field digest is missing"),
        ({"kind": "move"}, "The field kind is wrong"),
        ({"by": "x" * 321}, "The field by is wrong"),
        ({"by": ...}, "The field by is wrong"),
        ({"surprise": 1}, "The field surprise is wrong"),
    ],
)
async def test_an_announcement_that_means_nothing_is_refused_in_one_sentence(
    api: Api, changed: dict[str, Any], said: str
) -> None:
    status, answer = await api.announce(image(), **changed)
    assert status == 400
    assert answer["error"].startswith(said)
    assert answer["error"].endswith(".")


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff", b"x" * (8 * 1024 * 1024 + 1)])
async def test_a_body_that_is_no_call_is_refused(api: Api, data: bytes) -> None:
    status, answer = await api.call("POST", "/v1/writes", data=data)
    assert status == 400
    assert set(answer) == {"error"}


async def test_a_manifest_that_is_no_base64_is_refused(api: Api) -> None:
    _, announced = await api.announce(image())
    status, answer = await api.call("POST", f"/v1/writes/{announced['id']}/commit", {"manifest": "%%%"})
    assert (status, answer["error"]) == (400, "The field manifest is wrong: is not base64.")


@pytest.mark.parametrize(
    ("bearer", "said"),
    [
        (None, "needs a ServiceAccount token"),
        ("nonsense", "needs a ServiceAccount token"),
        (token(account="berth-gateway"), "berth-system/berth-gateway may not call the catalog"),
        (token(audience="berth-access"), "not meant for the audience berth-catalog"),
        (
            token(key=rsa.generate_private_key(public_exponent=65537, key_size=2048)),
            "not one that this cluster issued",
        ),
    ],
)
async def test_only_access_may_call(api: Api, bearer: str | None, said: str) -> None:
    for method, path in (
        ("POST", "/v1/writes"),
        ("POST", "/v1/writes/x/commit"),
        ("POST", "/v1/writes/x/abandon"),
        ("GET", "/v1/projects/genomics/repositories"),
        ("GET", f"{REPOSITORY}/content"),
        ("GET", f"{REPOSITORY}/tags"),
        ("GET", f"{REPOSITORY}/history"),
        ("GET", f"{REPOSITORY}/referrers/{digest(b'')}"),
    ):
        status, answer = await api.call(method, path, {} if method == "POST" else None, bearer=bearer)
        assert status == 401, path
        assert said in answer["error"], path


async def test_a_repository_has_content_from_the_commit_of_its_first_push(api: Api) -> None:
    body = image()
    status, _ = await api.announce(body)
    assert status == 201
    assert await api.call("GET", f"{REPOSITORY}/content") == (200, {"content": False})
    await api.push(body)
    assert await api.call("GET", f"{REPOSITORY}/content") == (200, {"content": True})
    assert await api.call("GET", f"{REPOSITORY}/x/content") == (200, {"content": False})
    assert await api.call("GET", "/v1/projects/other/repositories/aligner/content") == (200, {"content": False})


async def test_an_unknown_endpoint_is_reported_in_one_sentence(api: Api) -> None:
    status, answer = await api.call("GET", "/v1/elsewhere")
    assert status == 404
    assert set(answer) == {"error"}
    status, _ = await api.call("DELETE", "/v1/writes")
    assert status == 405


async def test_probes_need_no_token_and_report_what_is_missing(api: Api) -> None:
    assert (await api.call("GET", "/healthz", bearer=None))[0] == 200
    assert (await api.call("GET", "/readyz", bearer=None))[0] == 200

    api.ended = {"publisher": "KeyError"}
    api.migrated = False
    assert await api.call("GET", "/healthz", bearer=None) == (
        503,
        "A background task has ended (publisher: KeyError).\n",
    )
    assert await api.call("GET", "/readyz", bearer=None) == (503, "Not ready: the database is not migrated yet.\n")


async def test_a_failing_database_is_reported_without_details(api: Api) -> None:
    async with api.catalog.database.engine.begin() as connection:
        await connection.exec_driver_sql("DROP TABLE writes")
    status, answer = await api.announce(image())
    assert (status, answer["error"]) == (503, "The catalog's database is unavailable at the moment; try again.")


async def test_calls_are_counted_by_endpoint_and_status(api: Api) -> None:
    await api.push(image())
    await api.call("GET", f"{REPOSITORY}/tags", bearer="nonsense")
    counted = api.metrics.registry.get_sample_value
    assert counted("berth_catalog_requests_total", {"endpoint": "commit", "status": "200"}) == 1
    assert counted("berth_catalog_requests_total", {"endpoint": "tags", "status": "401"}) == 1
