"""What the service lists itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from berth.api.policy import PolicyState
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel, SubjectKind
from berth.authz.model import ProjectPolicy, RepositoryPolicy, Rule
from tests.kit.access.world import ClientResponse, World, sentence_of

DIGEST = "sha256:" + "a" * 64
REFERRERS = f"/v2/genomics/aligner/referrers/{DIGEST}"


async def get(world: World, target: str, token: str) -> ClientResponse:
    return await world.call("GET", target, {"authorization": f"Bearer {token}"})


async def names(world: World, user: str, query: str = "") -> list[str]:
    response = await get(world, f"/v2/_catalog{query}", await world.token(user))
    assert response.status == 200
    return list(response.document["repositories"])


async def test_the_base_answers_any_token_and_challenges_none(world: World) -> None:
    answered = await get(world, "/v2/", await world.token("eve"))
    assert (answered.status, answered.headers["docker-distribution-api-version"]) == (200, "registry/2.0")
    assert (await world.call("GET", "/v2/")).status == 401


async def test_each_user_lists_what_they_may_view(world: World) -> None:
    assert await names(world, "ann") == ["genomics/aligner", "genomics/private", "genomics/tools/viewer"]
    assert await names(world, "bob") == ["genomics/aligner", "genomics/tools/viewer"]
    assert await names(world, "eve") == []


async def test_the_list_follows_the_policy_at_once(world: World) -> None:
    assert await names(world, "bob") == ["genomics/aligner", "genomics/tools/viewer"]
    world.change("genomics", state=PolicyState.TRASHED)
    assert await names(world, "bob") == []


async def test_pages_lead_to_one_another_and_end(world: World) -> None:
    token = await world.token("ann")
    seen: list[str] = []
    target = "/v2/_catalog?n=2"
    while target:
        response = await get(world, target, token)
        seen += response.document["repositories"]
        link = response.headers.get("link", "")
        assert not link or link.endswith('>; rel="next"')
        target = link.partition(">")[0].removeprefix("<")
    assert seen == await names(world, "ann")


async def test_a_page_is_bounded_whatever_is_requested(world: World) -> None:
    many = {f"r{number:05}": RepositoryPolicy(f"r{number:05}", has_content=True) for number in range(1500)}
    rules = world.snapshot.projects["genomics"].rules
    world.change("genomics", repositories={})
    world.snapshot.projects["big"] = ProjectPolicy("big", rules=rules, repositories=many)  # type: ignore[index]
    assert len(await names(world, "bob")) == 100
    assert len(await names(world, "bob", "?n=999999999")) == 1000
    assert await names(world, "bob", "?n=0") == []
    assert await names(world, "bob", "?last=big/r01498") == ["big/r01499"]


@pytest.mark.parametrize(
    ("user", "password", "reason"),
    [(None, None, Reason.NOT_AUTHENTICATED), ("ann", "wrong", Reason.BAD_CREDENTIALS)],
)
async def test_an_anonymous_client_is_refused_the_list_with_a_reason(
    world: World, user: str | None, password: str | None, reason: Reason
) -> None:
    token = await world.token(user, "registry:catalog:*", password=password)
    response = await get(world, "/v2/_catalog", token)
    assert (response.status, response.code) == (403, "DENIED")
    assert world.audit[-1]["reason"] == reason.value


async def test_without_a_login_the_list_has_what_is_public(world: World) -> None:
    public = Rule(SubjectKind.PUBLIC, "", SharingLevel.VIEW)
    shared = world.snapshot.projects["genomics"].rules
    world.change("genomics", rules=(*shared, public))
    anonymous = await world.token(None, "registry:catalog:*")
    assert (await get(world, "/v2/_catalog", anonymous)).status == 403  # the installation does not allow Public
    world.snapshot = replace(world.snapshot, generation=world.snapshot.generation + 1, public_allowed=True)
    answered = await world.ask("GET", "/v2/_catalog", anonymous)
    assert (answered.status, answered.headers["berth-upstream"]) == (200, "http://access/v2/_catalog")
    listed = await get(world, "/v2/_catalog", anonymous)
    assert (listed.status, listed.document["repositories"]) == (200, ["genomics/aligner", "genomics/tools/viewer"])


async def test_without_a_login_and_with_nothing_public_the_list_is_refused_with_the_next_step(world: World) -> None:
    world.snapshot = replace(world.snapshot, public_allowed=True)
    response = await get(world, "/v2/_catalog", await world.token(None, "registry:catalog:*"))
    assert (response.status, response.code) == (403, "DENIED")
    assert response.sentence == (
        "You are not logged in, and the list of repositories is not public; log in (docker login) and try again."
    )
    assert world.audit[-1]["reason"] == Reason.NOT_AUTHENTICATED.value


async def test_referrers_are_an_index_from_the_catalog(world: World) -> None:
    signature = {"digest": "sha256:" + "1" * 64, "artifactType": "a/signature", "size": 1, "mediaType": "m/m"}
    sbom = {"digest": "sha256:" + "2" * 64, "artifactType": "a/sbom+json", "size": 2, "mediaType": "m/m"}
    subject = ("genomics", "aligner", DIGEST)
    world.catalog.attached = [{**signature, "subject": subject}, {**sbom, "subject": subject}]
    token = await world.token("bob", "repository:genomics/aligner:pull")
    response = await get(world, REFERRERS, token)
    assert response.headers["content-type"] == "application/vnd.oci.image.index.v1+json"
    assert [entry["digest"] for entry in response.document["manifests"]] == [signature["digest"], sbom["digest"]]
    assert "oci-filters-applied" not in response.headers
    filtered = await get(world, f"{REFERRERS}?artifactType=a%2Fsbom%2Bjson", token)
    assert [entry["digest"] for entry in filtered.document["manifests"]] == [sbom["digest"]]
    assert filtered.headers["oci-filters-applied"] == "artifactType"


async def test_a_manifest_without_referrers_has_an_empty_index(world: World) -> None:
    token = await world.token("bob", "repository:genomics/aligner:pull")
    response = await get(world, REFERRERS, token)
    assert (response.status, response.document["manifests"]) == (200, [])


async def test_referrers_need_the_right_to_pull_and_the_catalog(world: World) -> None:
    refused = await get(world, REFERRERS, await world.token("eve", "repository:genomics/aligner:pull"))
    assert (refused.status, refused.sentence) == (403, sentence_of(Reason.NOT_FOUND, "eve"))
    world.catalog.away = True
    away = await get(world, REFERRERS, await world.token("bob", "repository:genomics/aligner:pull"))
    assert (away.status, away.sentence) == (403, sentence_of(Reason.CATALOG_UNAVAILABLE, "bob"))


async def test_reads_of_a_registry_are_not_answered_here(world: World) -> None:
    token = await world.token("bob", "repository:genomics/aligner:pull")
    assert (await get(world, "/v2/genomics/aligner/manifests/1", token)).status == 404
    assert (await get(world, "/", token)).status == 404


async def test_the_probes_report_whether_every_part_is_ready(world: World) -> None:
    assert (await world.call("GET", "/healthz")).status == 200
    assert (await world.call("GET", "/readyz")).status == 200
    world.ready["policy"] = False
    response = await world.call("GET", "/readyz")
    assert (response.status, response.document) == (503, {"policy": False})
    assert (await world.call("POST", "/readyz")).status == 405
