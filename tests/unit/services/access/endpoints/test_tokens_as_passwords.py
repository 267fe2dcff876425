"""The password is first tried as a token, whatever the user name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel, SubjectKind
from berth.api.token import TokenScope
from berth.authz.messages import MessageFacts, sentence
from berth.authz.model import AccessTokenRecord, Rule, Subject, User
from berth.authz.token_format import token_sha256
from tests.kit.access.token_logins import EVERYTHING, LAPTOP, change, give_token, pod_token
from tests.kit.access.world import ClientResponse, World, claims, sentence_of

PULL_PUSH = "repository:genomics/aligner:pull,push"
MANIFEST = "/v2/genomics/aligner/manifests/1"


async def grant_of(world: World, password: str, user: str = "whatever") -> tuple[Mapping[str, Any], list[str]]:
    """The claims of the registry token, and the actions that it grants."""
    found = claims(await world.token(user, PULL_PUSH, password=password))
    return found, [action for entry in found["access"] for action in entry["actions"]]


async def denied(world: World, password: str, method: str = "GET") -> ClientResponse:
    """The refusal at the gateway for the registry token of this password."""
    return await world.ask(method, MANIFEST, await world.token("x", PULL_PUSH, password=password))


@pytest.mark.parametrize("user", ["ann", "bob", "unknown", "", "00000000-0000-0000-0000-000000000000"])
async def test_an_access_token_logs_its_owner_in_under_any_user_name(world: World, user: str) -> None:
    give_token(world)
    found, actions = await grant_of(world, LAPTOP, user)
    assert (found["sub"], found["berth"]["cred"], found["berth"]["token"]) == ("ann", "AccessToken", "ann-laptop")
    assert actions == ["pull", "push"]
    assert (await world.ask_token(user, password=LAPTOP)).status == 200
    assert world.tokens_used == ["ann-laptop", "ann-laptop"]


async def test_an_access_token_costs_no_verification_of_a_password(world: World) -> None:
    give_token(world)
    world.passwords.close()
    assert (await world.ask_token("x", password=LAPTOP)).status == 200


async def test_an_access_token_gives_no_more_than_its_scopes(world: World) -> None:
    give_token(world, frozenset({TokenScope.VIEW, TokenScope.DOWNLOAD}))
    _, actions = await grant_of(world, LAPTOP)
    assert actions == ["pull"]
    refused = await denied(world, LAPTOP, "PUT")
    assert (refused.status, "lacks the scope modify" in refused.sentence) == (403, True)


async def test_a_deleted_access_token_is_refused_at_once_with_tokens_that_it_gave_before(world: World) -> None:
    give_token(world)
    before = await world.token("x", PULL_PUSH, password=LAPTOP)
    change(world, tokens={})
    assert (await world.ask("GET", MANIFEST, before)).sentence == sentence_of(Reason.TOKEN_REVOKED, "ann")
    assert (await denied(world, LAPTOP)).sentence == sentence_of(Reason.TOKEN_REVOKED)
    login = await world.ask_token("x", password=LAPTOP)
    assert (login.status, login.sentence) == (401, sentence_of(Reason.TOKEN_REVOKED))
    assert len(world.tokens_used) == 1


async def test_an_access_token_holds_until_the_second_that_it_says(world: World) -> None:
    give_token(world, expires_at=datetime.fromtimestamp(world.time + 100, UTC))
    before = await world.token("x", PULL_PUSH, password=LAPTOP)
    world.time += 99
    assert (await world.ask("GET", MANIFEST, before)).status == 200
    world.time += 1
    assert (await world.ask("GET", MANIFEST, before)).sentence == sentence_of(Reason.TOKEN_EXPIRED, "ann")
    assert (await world.ask_token("x", password=LAPTOP)).sentence == sentence_of(Reason.TOKEN_EXPIRED, "ann")


async def test_a_token_of_a_disabled_user_is_refused_at_once(world: World) -> None:
    give_token(world)
    before = await world.token("x", PULL_PUSH, password=LAPTOP)
    world.change_user("ann", disabled=True)
    assert (await world.ask("GET", MANIFEST, before)).sentence == sentence_of(Reason.USER_DISABLED, "ann")
    assert (await world.ask_token("x", password=LAPTOP)).sentence == sentence_of(Reason.USER_DISABLED, "ann")


async def test_what_only_looks_like_a_token_is_a_password(world: World) -> None:
    almost = LAPTOP[:-1] + ("0" if LAPTOP[-1] != "0" else "1")
    assert (await world.ask_token("ann", password=almost)).sentence == sentence_of(Reason.BAD_CREDENTIALS)


async def test_the_oauth2_password_grant_takes_tokens_too(world: World) -> None:
    give_token(world)
    form = f"grant_type=password&username=x&password={LAPTOP}&scope={PULL_PUSH}".encode()
    response = await world.call("POST", "/token", {"content-type": "application/x-www-form-urlencoded"}, form)
    assert claims(response.document["access_token"])["sub"] == "ann"


async def test_a_pod_logs_in_with_its_service_account_token(world: World) -> None:
    world.change("genomics", rules=(Rule(SubjectKind.SERVICE_ACCOUNT, "builders/ci", SharingLevel.EDIT),))
    found, actions = await grant_of(world, pod_token(world))
    assert (found["sub"], found["berth"]["cred"], found["berth"]["kind"]) == (
        "builders/ci",
        "ServiceAccount",
        "ServiceAccount",
    )
    assert actions == ["pull"]
    change(world, certifications={Subject(SubjectKind.SERVICE_ACCOUNT, "builders/ci"): None})
    assert (await grant_of(world, pod_token(world)))[1] == ["pull", "push"]


async def test_a_pod_acts_as_the_user_that_lists_its_service_account(world: World) -> None:
    change(world, aliases={Subject(SubjectKind.SERVICE_ACCOUNT, "builders/ci"): frozenset({"ann"})})
    assert (await grant_of(world, pod_token(world)))[1] == ["pull", "push"]


async def test_an_expired_service_account_token_is_reported_and_refused_at_the_gateway_too(world: World) -> None:
    world.change("genomics", rules=(Rule(SubjectKind.SERVICE_ACCOUNT, "builders/ci", SharingLevel.EDIT),))
    presented = pod_token(world, exp=world.time + 100)
    before = await world.token("x", PULL_PUSH, password=presented)
    assert (await world.ask("GET", MANIFEST, before)).status == 200
    world.time += 200
    expired = sentence_of(Reason.TOKEN_EXPIRED, "builders/ci")
    assert (await world.ask("GET", MANIFEST, before)).sentence == expired
    assert (await world.ask_token("x", password=presented)).sentence == expired
    assert (await denied(world, presented)).sentence == expired


@pytest.mark.parametrize(
    "twist",
    [
        {"audience": "kubernetes.default.svc"},
        {"audience": "berth-access"},
        {"audience": "berth-catalog"},
        {"iss": "https://elsewhere"},
        {"sub": "system:serviceaccount:builders"},
        {"sub": "ann"},
        {"nbf": 9e9},
        {"exp": "soon"},
    ],
)
async def test_any_other_token_of_the_cluster_is_refused(world: World, twist: dict[str, Any]) -> None:
    world.change("genomics", rules=(Rule(SubjectKind.AUTHENTICATED_USERS, "", SharingLevel.EDIT),))
    response = await world.ask_token("x", password=pod_token(world, **twist))
    assert (response.status, response.sentence) == (401, sentence_of(Reason.BAD_CREDENTIALS))


async def test_the_expiry_of_a_forged_service_account_token_is_not_reported(world: World) -> None:
    head, _, tail = pod_token(world, exp=world.time - 600).split(".")
    _, body, _ = pod_token(world, name="berth-system:berth-operator", exp=world.time - 600).split(".")
    assert (await world.ask_token("x", password=f"{head}.{body}.{tail}")).sentence == sentence_of(
        Reason.BAD_CREDENTIALS
    )


async def test_the_expired_token_of_an_own_process_is_reported(world: World) -> None:
    presented = world.service_account("berth-operator")
    world.time += 7200
    assert "has expired" in (await world.ask_token("x", password=presented)).sentence


async def test_two_tokens_of_one_owner_differ_in_the_audit_log(world: World) -> None:
    give_token(world)
    await world.token("x", PULL_PUSH, password=LAPTOP)
    await world.token("ann", PULL_PUSH)
    assert [(line["who"], line["credential"], line["token"]) for line in world.audit] == [
        ("ann", "AccessToken", "ann-laptop"),
        ("ann", "Password", ""),
    ]
    assert LAPTOP not in world.log.getvalue()


async def test_a_token_belongs_to_the_kind_of_owner_that_it_names(world: World) -> None:
    robot = AccessTokenRecord("bot", Subject(SubjectKind.ROBOT, "ann"), EVERYTHING)
    change(world, tokens={token_sha256(LAPTOP): robot})
    assert (await world.ask_token("x", password=LAPTOP)).sentence == sentence_of(Reason.TOKEN_REVOKED, "ann")
    change(world, users={**world.snapshot.users, "ann": User("ann", robot=True)})
    assert (await world.ask_token("x", password=LAPTOP)).status == 200


async def test_pushes_stop_when_the_policy_is_too_old_and_pulls_go_on(world: World) -> None:
    token = await world.token("ann", PULL_PUSH)
    change(world, fresh_until=datetime.fromtimestamp(world.time, UTC) + timedelta(seconds=1))
    assert (await world.ask("PUT", MANIFEST, token)).status == 200
    world.time += 1
    refused = await world.ask("PUT", MANIFEST, token)
    assert (refused.status, refused.code) == (403, "DENIED")
    assert refused.sentence == sentence(Reason.POLICY_STALE, MessageFacts(project="genomics", repository="aligner"))
    assert (await world.ask("GET", MANIFEST, token)).status == 200
