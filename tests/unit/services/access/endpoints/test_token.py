"""The grants and refusals of `/token`."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from berth.api.base import rfc3339
from berth.api.policy import PolicyState
from berth.api.reasons import Reason
from tests.kit.access.world import HASHER, HOST, PASSWORDS, World, basic, claims, sentence_of

PULL_PUSH = "repository:genomics/aligner:pull,push"
WRONG = sentence_of(Reason.BAD_CREDENTIALS)
FORM = {"content-type": "application/x-www-form-urlencoded"}


async def test_an_editor_gets_what_was_requested(world: World) -> None:
    found = claims(await world.token("ann", PULL_PUSH))
    assert found["access"] == [{"type": "repository", "name": "genomics/aligner", "actions": ["pull", "push"]}]
    assert found["aud"] == ["berth-registry/genomics"]
    assert found["sub"] == "ann"
    assert found["iss"] == "berth"
    assert found["exp"] - found["iat"] == 300
    assert found["berth"] == {
        "cred": "Password",
        "kind": "User",
        "scopes": ["download", "modify", "view"],
        "denied": {},
        "failure": None,
    }


async def test_a_token_carries_its_leaf_certificate_and_verifies_against_it(world: World) -> None:
    token = await world.token("ann", PULL_PUSH)
    header = jwt.get_unverified_header(token)
    assert header["alg"] == "ES256"
    assert header["typ"] == "JWT"
    leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert jwt.decode(token, key, algorithms=["ES256"], audience="berth-registry/genomics")["sub"] == "ann"


async def test_a_partial_grant_is_no_error(world: World) -> None:
    found = claims(await world.token("bob", PULL_PUSH))
    assert found["access"] == [{"type": "repository", "name": "genomics/aligner", "actions": ["pull"]}]


async def test_scopes_of_two_projects_name_both_registries(world: World) -> None:
    found = claims(await world.token("ann", PULL_PUSH, "repository:other/x:pull"))
    assert found["aud"] == ["berth-registry/genomics", "berth-registry/other"]


async def test_an_unknown_project_and_a_foreign_one_give_the_same_empty_grant(world: World) -> None:
    for name in ("genomics/aligner", "absent/aligner"):
        found = claims(await world.token("eve", f"repository:{name}:pull"))
        assert (found["access"], found["aud"]) == ([], ["berth"])


@pytest.mark.parametrize("user", ["ann", "unknown", ""])
async def test_wrong_credentials_with_a_scope_still_get_a_token_that_carries_the_refusal(
    world: World, user: str
) -> None:
    response = await world.ask_token(user, PULL_PUSH, password="wrong")
    assert response.status == 200
    found = claims(response.document["token"])
    assert (found["access"], found["aud"], found["sub"]) == ([], ["berth"], "")
    assert (found["berth"]["cred"], found["berth"]["failure"]) == ("Failed", "BadCredentials")
    refused = await world.ask("GET", "/v2/genomics/aligner/manifests/1", response.document["token"])
    assert (refused.status, refused.code, refused.sentence) == (403, "DENIED", WRONG)


async def test_a_login_with_wrong_credentials_is_refused_at_once(world: World) -> None:
    response = await world.ask_token("ann", password="wrong")
    assert (response.status, response.code, response.sentence) == (401, "UNAUTHORIZED", WRONG)


async def test_a_login_with_right_credentials_gets_a_token_good_for_the_base(world: World) -> None:
    token = await world.token("ann")
    assert claims(token)["aud"] == ["berth"]
    assert (await world.ask("GET", "/v2/", token)).status == 200


async def test_a_disabled_user_cannot_log_in_and_gets_the_reason(world: World) -> None:
    world.change_user("ann", disabled=True)
    response = await world.ask_token("ann")
    assert response.status == 401
    assert response.sentence == sentence_of(Reason.USER_DISABLED, "ann")


async def test_a_wrong_password_does_not_disclose_a_disabled_user(world: World) -> None:
    world.change_user("ann", disabled=True)
    assert (await world.ask_token("ann", password="wrong")).sentence == WRONG


async def test_no_credentials_get_a_token_that_grants_nothing(world: World) -> None:
    found = claims(await world.token(None, PULL_PUSH))
    assert (found["access"], found["berth"]["cred"], found["berth"]["failure"]) == ([], "None", None)


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic " + base64.b64encode(b"no-colon").decode(),
        "Basic " + base64.b64encode(b"ann:\xff\xfe").decode(),
        "Basic " + base64.b64encode(b"ann:line\nbreak").decode(),
        "Basic " + "QUFB" * 5000,
        "Bearer something",
        "Digest username=ann",
        "\xff\xfe",
        basic("ann", "x") + ", " + basic("bob", "x"),
    ],
)
async def test_malformed_credentials_are_bad_credentials(world: World, header: str) -> None:
    login = await world.call("GET", f"/token?service={HOST}", {"authorization": header})
    assert login.status == 401
    assert login.sentence == "The Authorization header is not valid HTTP Basic: send base64 of user:password in UTF-8."
    response = await world.call("GET", f"/token?scope={quote(PULL_PUSH)}", {"authorization": header})
    assert response.status == 200
    assert claims(response.document["token"])["berth"]["failure"] == "BadCredentials"


async def test_a_password_with_colons_and_other_letters_is_read_whole(world: World) -> None:
    world.change_user("ann", password_hash=HASHER.hash("päss:wörd: "))
    assert (await world.ask_token("ann", password="päss:wörd: ")).status == 200


@pytest.mark.parametrize(
    "scope", ["", " ", "x", "repository", "repository:genomics/aligner", "repository:../x:pull", "%00", "a" * 5000]
)
async def test_a_malformed_scope_grants_nothing_and_is_no_error(world: World, scope: str) -> None:
    query = urlencode([("scope", scope), ("scope", "repository:genomics/aligner:pull")])
    response = await world.call("GET", f"/token?{query}", {"authorization": basic("bob", PASSWORDS["bob"])})
    assert response.status == 200
    assert [entry["name"] for entry in claims(response.document["token"])["access"]] == ["genomics/aligner"]


async def test_scopes_that_are_too_long_together_are_left_out_and_are_no_error(world: World) -> None:
    others = [f"repository:other/{letter * 240}:pull" for letter in "abcdef"]
    query = urlencode([("scope", scope) for scope in ("repository:genomics/aligner:pull", *others)])
    response = await world.call("GET", f"/token?{query}", {"authorization": basic("bob", PASSWORDS["bob"])})
    assert response.status == 200
    assert [entry["name"] for entry in claims(response.document["token"])["access"]] == ["genomics/aligner"]


async def test_the_oauth2_password_grant_gives_the_same_token(world: World) -> None:
    fields = {
        "grant_type": "password",
        "service": HOST,
        "client_id": "containerd-client",
        "access_type": "offline",
        "scope": "repository:genomics/aligner:pull repository:genomics/tools/viewer:push,pull",
        "username": "ann",
        "password": PASSWORDS["ann"],
    }
    response = await world.call("POST", "/token", FORM, urlencode(fields).encode())
    found = claims(response.document["access_token"])
    assert response.status == 200
    assert {entry["name"]: entry["actions"] for entry in found["access"]} == {
        "genomics/aligner": ["pull"],
        "genomics/tools/viewer": ["push", "pull"],
    }


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (FORM["content-type"], b"grant_type=refresh_token&refresh_token=x&scope=repository:genomics/aligner:pull"),
        (FORM["content-type"], b""),
        (FORM["content-type"], b"\xff\xff"),
        (FORM["content-type"], b"a=1&" * 500),
        (FORM["content-type"], b"x" * 70_000),
        ("application/json", b"{}"),
        ("", b""),
    ],
)
async def test_any_other_form_is_a_400_after_which_clients_use_get(
    world: World, content_type: str, body: bytes
) -> None:
    response = await world.call("POST", "/token", {"content-type": content_type}, body)
    assert response.status == 400
    assert response.sentence.endswith((".", "instead."))


async def test_other_methods_are_not_served(world: World) -> None:
    response = await world.call("DELETE", "/token")
    assert (response.status, response.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize(("process", "granted"), [("berth-operator", ["pull", "push"]), ("berth-catalog", ["pull"])])
async def test_each_of_berths_own_processes_gets_what_it_needs_and_no_more_even_in_the_trash(
    world: World, process: str, granted: list[str]
) -> None:
    world.change("genomics", state=PolicyState.TRASHED)
    account = world.service_account(process)
    scopes = ("registry:catalog:*", "repository:genomics/aligner:pull,push,delete")
    token = await world.token("anything", *scopes, password=account)
    found = claims(token)
    access = {(entry["type"], entry["name"]): entry["actions"] for entry in found["access"]}
    assert access == {("registry", "catalog"): ["*"], ("repository", "genomics/aligner"): granted}
    assert found["berth"]["cred"] == "Service"
    assert (await world.ask("GET", "/v2/genomics/aligner/manifests/1", token)).status == 200
    for method, path in (("POST", "blobs/uploads/"), ("DELETE", "manifests/v1")):
        response = await world.ask(method, f"/v2/genomics/aligner/{path}", token)
        assert (response.status == 200) is (method == "POST" and "push" in granted), (process, method)


@pytest.mark.parametrize(("account", "audience"), [("intruder", "berth-access"), ("berth-operator", "berth-catalog")])
async def test_no_other_service_account_is_served(world: World, account: str, audience: str) -> None:
    response = await world.ask_token("ann", password=world.service_account(account, audience))
    assert response.status == 401


async def test_a_changed_password_counts_at_once(world: World) -> None:
    assert (await world.ask_token("ann")).status == 200
    world.change_user("ann", password_hash=HASHER.hash("another"))
    assert (await world.ask_token("ann")).status == 401
    world.change_user("ann", password_hash=None)
    assert (await world.ask_token("ann", password="another")).status == 401


async def test_the_answer_has_the_fields_that_clients_read(world: World) -> None:
    response = await world.ask_token("ann", PULL_PUSH)
    document = response.document
    assert document["token"] == document["access_token"]
    assert document["expires_in"] == 300
    assert document["issued_at"] == rfc3339(datetime.fromtimestamp(world.time, UTC))
    assert response.headers["cache-control"] == "no-store"
