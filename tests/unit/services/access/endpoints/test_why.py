"""The page that explains a decision to its subject and to project administrators alone."""

from __future__ import annotations

import html
from typing import Any

import pytest

from berth.api.sharing import SharingLevel, SubjectKind
from berth.authz.model import ProjectPolicy, RepositoryPolicy, Rule
from tests.kit.access.world import HOST, PASSWORDS, ClientResponse, World, basic, rules

BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


async def ask(world: World, who: str | None, query: str, *, accept: str = "*/*", password: str = "") -> ClientResponse:
    headers = {"accept": accept}
    if who is not None:
        headers["authorization"] = basic(who, password or PASSWORDS[who])
    return await world.call("GET", f"/why?{query}", headers)


async def test_a_program_gets_the_whole_chain_as_json(world: World) -> None:
    response = await ask(world, "dora", "action=push&image=registry.example.org/genomics/aligner:v2")
    assert response.status == 200
    document: dict[str, Any] = response.document
    assert (document["who"], document["action"], document["name"]) == ("dora", "push", "genomics/aligner")
    assert (document["allowed"], document["reason"]) == (False, "NotCertified")
    assert document["standing"] == {"level": "Edit", "subject": "User dora", "source": "Sharing"}
    assert [check["passed"] for check in document["checks"]] == [True] * 9 + [False]
    assert document["checks"][-1]["detail"] == document["sentence"]


async def test_a_browser_gets_a_page_that_loads_nothing_and_runs_nothing(world: World) -> None:
    response = await ask(world, "dora", "push=genomics/aligner", accept=BROWSER)
    assert response.status == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    page = response.body.decode()
    assert "dora may edit genomics/aligner but is not certified to push" in page
    assert "<script" not in page
    assert "://" not in page
    assert response.headers["cache-control"] == "no-store"


async def test_an_allowed_decision_names_its_rule(world: World) -> None:
    page = (await ask(world, "ann", "action=push&image=genomics/aligner", accept=BROWSER)).body.decode()
    assert "Allowed." in page
    assert "User ann has EditAndDelete by Sharing" in page


@pytest.mark.parametrize("accept", ["*/*", BROWSER])
async def test_what_is_absent_and_what_is_not_shared_read_the_same(world: World, accept: str) -> None:
    hidden = await ask(world, "eve", "action=pull&image=genomics/aligner", accept=accept)
    absent = await ask(world, "eve", "action=pull&image=missing1/aligner", accept=accept)
    assert (hidden.status, absent.status) == (200, 200)
    assert {**hidden.headers} == {**absent.headers}
    assert hidden.body.replace(b"genomics", b"missing1") == absent.body
    others = [
        await ask(world, "eve", f"action=pull&image={name}/aligner&as=bob", accept=accept)
        for name in ("genomics", "missing1")
    ]
    assert [response.status for response in others] == [404, 404]
    assert others[0].body.replace(b"genomics", b"missing1") == others[1].body


async def test_without_a_login_nothing_is_explained(world: World) -> None:
    for response in (
        await ask(world, None, "action=pull&image=genomics/aligner"),
        await ask(world, "ann", "action=pull&image=genomics/aligner", password="wrong"),
    ):
        assert response.status == 401
        assert response.headers["www-authenticate"] == 'Basic realm="registry.example.org",charset="UTF-8"'
        assert "genomics" not in response.sentence


async def test_a_disabled_user_gets_that_reason_alone(world: World) -> None:
    world.change_user("bob", disabled=True)
    response = await ask(world, "bob", "action=pull&image=genomics/aligner")
    assert response.status == 401
    assert response.sentence == "The user bob is disabled; ask your registry administrators to enable it."


@pytest.fixture
def administered(world: World) -> World:
    """bob administers `mine`, where dora may edit and `mine/own` is dora's alone."""
    shared = (
        *rules(("bob", SharingLevel.ADMINISTER), ("dora", SharingLevel.EDIT)),
        Rule(SubjectKind.GROUP, "idp:lab", SharingLevel.VIEW),
    )
    own = RepositoryPolicy("own", rules=rules(("dora", SharingLevel.VIEW)))
    mine = ProjectPolicy("mine", shared, repositories={"own": own, "x": RepositoryPolicy("x")})
    world.change("other", rules=())
    world.snapshot = type(world.snapshot)(
        world.snapshot.generation + 1,
        {**world.snapshot.projects, "mine": mine},
        world.snapshot.users,
        certifications=world.snapshot.certifications,
    )
    return world


@pytest.mark.parametrize(
    ("query", "who", "reason"),
    [
        ("action=push&image=mine/x&as=dora", "dora", "NotCertified"),
        ("action=pull&image=mine/own&as=dora", "dora", "LevelTooLow"),
        ("action=pull&image=mine/x&as=group:idp:lab", "", "LevelTooLow"),
        ("action=pull&image=mine/x&as=serviceaccount:a/b", "a/b", "NotFound"),
        ("action=pull&image=mine/x&as=Public", "", "NotAuthenticated"),
    ],
)
async def test_an_administrator_of_a_project_may_ask_about_others(
    administered: World, query: str, who: str, reason: str
) -> None:
    document = (await ask(administered, "bob", query)).document
    assert (document["who"], document["allowed"], document["reason"]) == (who, False, reason)


async def test_a_user_who_does_not_administer_may_ask_about_themselves_alone(administered: World) -> None:
    response = await ask(administered, "dora", "action=pull&image=mine/x&as=bob")
    assert response.status == 403
    assert response.document == {
        "error": "Only someone with Administer on project mine may ask about others; leave out as= to ask for yourself."
    }
    assert (await ask(administered, "dora", "action=pull&image=mine/x")).document["allowed"] is True


async def test_an_administrator_of_one_project_has_no_rights_in_another(administered: World) -> None:
    response = await ask(administered, "bob", "action=pull&image=other/x&as=dora")
    assert response.status == 404
    assert "does not exist or is not shared with bob" in response.document["error"]


async def test_an_unknown_subject_is_refused_with_what_to_write(administered: World) -> None:
    response = await ask(administered, "bob", "action=pull&image=mine/x&as=unknown")
    assert response.status == 400
    assert response.document["error"].startswith("There is no RegistryUser unknown; check the name")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "action=push",
        "image=a/b",
        "action=fetch&image=a/b",
        "push=a/b&pull=a/b",
        "push=a/b&image=c/d",
        "push=a&push=b",
        "&".join(f"x{number}=1" for number in range(9)),
    ],
)
async def test_a_malformed_question_is_refused_with_how_to_ask(world: World, query: str) -> None:
    response = await ask(world, "ann", query)
    assert response.status == 400
    assert "/why?action=push&image=project/repository" in response.document["error"]


async def test_the_query_is_in_the_page_as_text(world: World) -> None:
    evil = "<script>alert(1)</script>"
    page = (await ask(world, "ann", f"action=pull&image={evil}&as={evil}", accept=BROWSER)).body.decode()
    assert "<script" not in page
    assert html.escape(evil) in page


async def test_only_reading_is_served(world: World) -> None:
    assert (await world.call("POST", "/why?push=genomics/aligner")).status == 405
    assert (await world.call("HEAD", "/why?push=genomics/aligner")).status == 401


async def test_every_question_is_in_the_audit_log_under_the_name_of_the_requester(administered: World) -> None:
    await ask(administered, "bob", "action=push&image=mine/x&as=dora")
    line = administered.audit[-1]
    assert (line["endpoint"], line["who"], line["action"], line["repository"]) == ("why", "bob", "push", "mine/x")
    assert (line["allowed"], line["reason"]) == (False, "NotCertified")


async def test_the_address_in_a_refusal_opens_the_page_that_explains_it(world: World) -> None:
    token = await world.token("dora", "repository:genomics/aligner:pull,push")
    refusal = (await world.ask("POST", "/v2/genomics/aligner/blobs/uploads/", token)).sentence
    address = refusal.partition(" See https://registry.example.org/why?")[2]
    document = (await ask(world, "dora", address)).document
    assert (document["action"], document["name"], document["reason"]) == ("push", "genomics/aligner", "NotCertified")
    assert refusal.startswith(document["sentence"])


async def test_no_sentence_grows_beyond_its_limit_for_its_address(world: World) -> None:
    for length in range(1, 120):
        name = "a" * length
        token = await world.token("dora", f"repository:genomics/{name}:pull,push")
        sentence = (await world.ask("POST", f"/v2/genomics/{name}/blobs/uploads/", token)).sentence
        assert len(sentence) <= 200
        assert ("/why?" in sentence) is (f"/why?push=genomics/{name}" in sentence)


@pytest.mark.parametrize("name", ["msfragger/philosopher", "pipelines/nf-core/rnaseq", "a" * 60])
async def test_names_as_they_are_in_life_leave_room_for_the_address(world: World, name: str) -> None:
    token = await world.token("dora", f"repository:genomics/{name}:pull,push")
    refusal = (await world.ask("POST", f"/v2/genomics/{name}/blobs/uploads/", token)).sentence
    assert refusal.endswith(f" See https://{HOST}/why?push=genomics/{name}")
    assert refusal.startswith("dora ")
    assert "; ask your registry administrators" in refusal


async def test_where_the_page_can_say_no_more_the_sentence_has_no_address(world: World) -> None:
    hidden = await world.ask("GET", "/v2/genomics/aligner/manifests/1", await world.token("eve", "repository:a/b:pull"))
    anonymous = await world.ask(
        "GET", "/v2/genomics/aligner/manifests/1", await world.token(None, "repository:a/b:pull")
    )
    assert "/why?" not in hidden.sentence + anonymous.sentence
