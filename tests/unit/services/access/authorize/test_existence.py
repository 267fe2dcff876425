"""Names without an object in the policy: absent, hidden, or pushed a moment ago."""

from __future__ import annotations

from dataclasses import replace

import pytest

from berth.api.policy import PolicyState
from berth.api.project import RepositoryCreation
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel, SubjectKind
from berth.authz.model import RepositoryPolicy, Rule
from tests.kit.access.world import HOST, ClientResponse, World, claims, manifest, rules, sentence_of

DIGEST = "sha256:" + "a" * 64
HIDDEN, ABSENT = "private", "missing"  # equally long, so that no length differs
REQUESTS = (
    ("HEAD", "manifests/1"),
    ("HEAD", f"manifests/{DIGEST}"),
    ("GET", "manifests/1"),
    ("GET", f"manifests/{DIGEST}"),
    ("HEAD", f"blobs/{DIGEST}"),
    ("GET", f"blobs/{DIGEST}"),
    ("GET", "tags/list"),
    ("GET", f"referrers/{DIGEST}"),
    ("POST", "blobs/uploads/"),
    ("PATCH", "blobs/uploads/abc"),
    ("DELETE", "blobs/uploads/abc"),
    ("PUT", "manifests/1"),
    ("DELETE", "manifests/1"),
)
STATES: tuple[dict[str, object], ...] = (
    {},
    {"creation": RepositoryCreation.DECLARED},
    {"state": PolicyState.TRASHED},
    {"state": PolicyState.SUSPENDED},
)


def seen(response: ClientResponse) -> tuple[object, ...]:
    """All of a response, with either name replaced."""
    headers = sorted((name, disguised(value)) for name, value in response.headers.items())
    return response.status, tuple(headers), disguised(response.body.decode())


def disguised(text: str) -> str:
    return text.replace(HIDDEN, "NAME").replace(ABSENT, "NAME")


@pytest.mark.parametrize("user", ["bob", "dora", "eve", None])
@pytest.mark.parametrize("state", STATES, ids=str)
async def test_a_hidden_repository_answers_every_request_as_an_absent_one(
    world: World, user: str | None, state: dict[str, object]
) -> None:
    world.snapshot = replace(world.snapshot, public_allowed=True)
    shared = world.snapshot.projects["genomics"].rules
    world.change("genomics", rules=(*shared, Rule(SubjectKind.PUBLIC, "", SharingLevel.DOWNLOAD)), **state)
    for actions in ("pull", "pull,push,delete"):
        responses = []
        for name in (HIDDEN, ABSENT):
            token = await world.token(user, f"repository:genomics/{name}:{actions}")
            assert claims(token)["access"] == []
            responses.append([seen(await world.authz(*_to(name, request), token)) for request in REQUESTS])
        assert responses[0] == responses[1]


def _to(name: str, request: tuple[str, str]) -> tuple[str, str]:
    return request[0], f"/v2/genomics/{name}/{request[1]}"


@pytest.mark.parametrize("name", [HIDDEN, ABSENT])
async def test_the_catalog_is_queried_about_a_hidden_name_as_about_an_absent_one(world: World, name: str) -> None:
    token = await world.token("bob", f"repository:genomics/{name}:pull")
    await world.ask("GET", f"/v2/genomics/{name}/manifests/1", token)
    assert world.catalog.queried == [f"genomics/{name}"] * 2


async def test_a_pull_of_a_repository_without_a_push_reports_that_it_does_not_exist(world: World) -> None:
    token = await world.token("bob", "repository:genomics/missing:pull")
    response = await world.ask("GET", "/v2/genomics/missing/manifests/1", token)
    assert (response.status, response.code) == (403, "DENIED")
    assert response.sentence.startswith("genomics/missing does not exist or is not shared with bob;")


async def test_what_was_pushed_a_moment_ago_can_be_pulled_before_its_object_is_known(world: World) -> None:
    target = "/v2/genomics/fresh/manifests/1"
    editor = await world.token("ann", "repository:genomics/fresh:pull,push")
    assert (await world.put(target, editor, manifest())).status == 201
    world.catalog.pushed.add(("genomics", "fresh"))
    assert "fresh" not in world.snapshot.projects["genomics"].repositories
    token = await world.token("bob", "repository:genomics/fresh:pull")
    assert (await world.ask("GET", target, token)).status == 200


async def test_a_token_for_a_name_that_was_absent_is_replaced_once_something_was_pushed(world: World) -> None:
    early = await world.token("bob", "repository:genomics/fresh:pull")
    world.catalog.pushed.add(("genomics", "fresh"))
    response = await world.ask("GET", "/v2/genomics/fresh/manifests/1", early)
    assert response.status == 401
    assert f'realm="https://{HOST}/token"' in response.headers["www-authenticate"]


async def test_a_grant_that_depended_on_the_catalog_is_not_cached(world: World) -> None:
    shared = world.snapshot.projects["genomics"].rules
    world.change("genomics", rules=(*shared, Rule(SubjectKind.PUBLIC, "", SharingLevel.DOWNLOAD)))
    world.snapshot = replace(world.snapshot, public_allowed=True)
    granted = []
    for pushed in ((), {("genomics", "fresh")}):
        world.catalog.pushed.update(pushed)
        granted.append(claims(await world.token(None, "repository:genomics/fresh:pull"))["access"])
    assert granted == [[], [{"type": "repository", "name": "genomics/fresh", "actions": ["pull"]}]]


async def test_reads_of_a_first_push_do_not_wait_for_the_catalog(world: World) -> None:
    world.catalog.away = True
    token = await world.token("ann", "repository:genomics/fresh:pull,push")
    for method, path in REQUESTS[:7]:
        assert (await world.ask(method, f"/v2/genomics/fresh/{path}", token)).status == 200
    assert world.catalog.queried == []


async def test_while_the_catalog_is_away_what_no_object_shows_counts_as_absent_and_the_rest_is_pulled(
    world: World,
) -> None:
    world.catalog.away = True
    token = await world.token("bob", "repository:genomics/fresh:pull", "repository:genomics/aligner:pull")
    assert (await world.ask("GET", "/v2/genomics/fresh/manifests/1", token)).status == 403
    assert (await world.ask("GET", "/v2/genomics/aligner/manifests/1", token)).status == 200


async def test_the_catalog_is_not_queried_about_foreign_projects(world: World) -> None:
    token = await world.token("eve", "repository:genomics/missing:pull", "repository:absent/x:pull")
    await world.ask("GET", "/v2/genomics/missing/manifests/1", token)
    assert world.catalog.queried == []


async def test_a_push_to_a_hidden_name_is_refused_like_a_pull_of_it(world: World) -> None:
    world.change("genomics", rules=rules(("ann", SharingLevel.EDIT)), repositories={})
    token = await world.token("ann", "repository:genomics/private:pull,push")
    assert (await world.ask("POST", "/v2/genomics/private/blobs/uploads/", token)).status == 200
    world.change("genomics", repositories={"private": RepositoryPolicy("private", rules=())})
    for method, path in (("POST", "blobs/uploads/"), ("GET", "manifests/1")):
        refused = await world.ask(method, f"/v2/genomics/private/{path}", token)
        assert (refused.status, refused.sentence) == (403, _not_found("ann"))


def _not_found(who: str) -> str:
    return sentence_of(Reason.NOT_FOUND, who).replace("aligner", "private")
