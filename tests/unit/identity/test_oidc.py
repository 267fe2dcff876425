"""Logins with tokens of identity providers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pydantic import ValidationError

from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel, SubjectKind
from berth.authz.model import Rule
from berth.identity.jwks import FETCH_INTERVAL, MAX_WAITERS
from berth.identity.oidc import KEY_MAX_AGE, discovered_keys
from berth.settings import AccessSettings, OidcIssuer
from tests.kit.access.world import CLUSTER_KEY, HOST, ISSUER, World, claims, public_jwk, sentence_of

IDP, SPARE = "https://idp.example.org", "https://spare.example.org/realm"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
KEYS: dict[str, Any] = {"rsa": RSA_KEY, "ec": EC_KEY, "ed": ED_KEY}
PULL_PUSH = "repository:genomics/aligner:pull,push"
MANIFEST = "/v2/genomics/aligner/manifests/1"
ISSUERS = (
    OidcIssuer(
        issuer=IDP,
        audience=HOST,
        username_claim="preferred_username",
        username_prefix="idp:",
        groups_prefix="idp:",
        scopes_prefix="registry:",
    ),
    OidcIssuer(issuer=SPARE, audience="berth", username_claim="email", scopes_claim=""),
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An installation with two identity providers, both of which answer."""
    made = World(tmp_path, oidc_issuers=ISSUERS)
    made.issuers = {IDP: dict(KEYS), SPARE: {"rsa": RSA_KEY}}
    made.change(
        "genomics",
        rules=(
            Rule(SubjectKind.USER, "idp:zoe", SharingLevel.EDIT),
            Rule(SubjectKind.GROUP, "idp:lab-42", SharingLevel.DOWNLOAD),
            Rule(SubjectKind.USER, "ann", SharingLevel.EDIT),
        ),
    )
    yield made
    made.passwords.close()


def token(world: World, kid: str | None = "rsa", algorithm: str = "RS256", key: Any = None, **more: Any) -> str:
    present = {
        "iss": IDP,
        "aud": HOST,
        "sub": "4711",
        "preferred_username": "zoe",
        "iat": world.time,
        "exp": world.time + 600,
    }
    made = {name: value for name, value in {**present, **more}.items() if value is not None}
    headers = {"kid": kid} if kid is not None else {}
    signing: Any = None if algorithm == "none" else key or KEYS[kid or "rsa"]
    return jwt.encode(made, signing, algorithm=algorithm, headers=headers)


async def refusal(world: World, presented: str) -> str:
    answer = await world.ask_token("x", password=presented)
    assert answer.status == 401
    return answer.sentence


@pytest.mark.parametrize(("kid", "algorithm"), [("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256"), ("ed", "EdDSA")])
async def test_a_token_of_each_accepted_algorithm_logs_in(world: World, kid: str, algorithm: str) -> None:
    found = claims(await world.token("any name", PULL_PUSH, password=token(world, kid, algorithm)))
    assert (found["sub"], found["berth"]["cred"], found["berth"]["kind"]) == ("idp:zoe", "OIDC", "User")
    assert [entry["actions"] for entry in found["access"]] == [["pull"]]


async def test_groups_count_as_the_prefix_names_them(world: World) -> None:
    presented = token(world, preferred_username="someone", groups=["lab-42", "other"])
    registry_token = await world.token("x", PULL_PUSH, password=presented)
    assert claims(registry_token)["berth"]["groups"] == ["idp:lab-42", "idp:other"]
    assert (await world.ask("GET", MANIFEST, registry_token)).status == 200
    world.change("genomics", rules=())
    assert (await world.ask("GET", MANIFEST, registry_token)).status == 403


async def test_one_group_may_be_a_plain_string_and_anything_else_is_none(world: World) -> None:
    for groups, status in (("lab-42", 200), (["x", 7, None, "lab-42"], 200), ({"lab-42": 1}, 403), (7, 403)):
        presented = token(world, preferred_username="someone", groups=groups)
        registry_token = await world.token("x", PULL_PUSH, password=presented)
        assert (await world.ask("GET", MANIFEST, registry_token)).status == status, groups


async def test_more_groups_than_a_token_can_carry_are_left_out_and_the_login_still_works(world: World) -> None:
    groups = ["lab-42", *(f"group-{number:04}" for number in range(5000))]
    registry_token = await world.token(
        "x", PULL_PUSH, password=token(world, preferred_username="z", groups=groups[:600])
    )
    assert len(registry_token) < 16_000
    assert (await world.ask("GET", MANIFEST, registry_token)).status == 200


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        (None, ["pull"]),
        ("openid registry:download", ["pull"]),
        ("openid profile", []),
        ("download", []),
        (["registry:download", "registry:modify"], ["pull"]),
        (7, []),
    ],
)
async def test_scopes_of_the_token_bound_what_it_may_be_used_for(world: World, scope: Any, granted: list[str]) -> None:
    found = claims(await world.token("x", PULL_PUSH, password=token(world, scope=scope)))
    assert [action for entry in found["access"] for action in entry["actions"]] == granted


async def test_a_certified_outside_user_pushes(world: World) -> None:
    world.certify({"idp:zoe": None})
    found = claims(await world.token("x", PULL_PUSH, password=token(world)))
    assert found["access"][0]["actions"] == ["pull", "push"]


async def test_a_login_whose_name_is_a_users_is_that_user_as_far_as_it_is_verified(world: World) -> None:
    whole: dict[str, Any] = {"iss": SPARE, "aud": ["berth", "other"], "email": "ann"}
    found = claims(await world.token("x", PULL_PUSH, password=token(world, **whole)))
    assert (found["sub"], found["access"][0]["actions"]) == ("ann", ["pull", "push"])
    assert await refusal(world, token(world, **whole, email_verified=False)) == sentence_of(Reason.BAD_CREDENTIALS)
    world.change_user("ann", disabled=True)
    assert await refusal(world, token(world, **whole)) == sentence_of(Reason.USER_DISABLED, "ann")


async def test_an_expired_token_is_reported_and_its_registry_tokens_end_with_it(world: World) -> None:
    presented = token(world, exp=world.time + 100)
    before = await world.token("x", PULL_PUSH, password=presented)
    world.time += 129
    assert (await world.ask("GET", MANIFEST, before)).status == 200
    world.time += 1
    assert (await world.ask("GET", MANIFEST, before)).sentence == sentence_of(Reason.TOKEN_EXPIRED, "idp:zoe")
    assert await refusal(world, presented) == sentence_of(Reason.TOKEN_EXPIRED, "idp:zoe")


@pytest.mark.parametrize(
    "twist",
    [
        {"aud": "other"},
        {"aud": None},
        {"aud": []},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1e300},
        {"nbf": 9e9},
        {"iss": SPARE},
        {"preferred_username": None},
        {"preferred_username": ""},
        {"preferred_username": ["zoe"]},
        {"preferred_username": "zoe\nann"},
        {"preferred_username": "z" * 300},
        {"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)},
        {"kid": "unknown", "key": RSA_KEY},
        {"kid": None},
        {"kid": "ec", "key": RSA_KEY},
        {"algorithm": "HS256", "key": "s" * 32},
        {"algorithm": "RS512"},
        {"algorithm": "none"},
    ],
)
async def test_any_other_token_is_refused(world: World, twist: dict[str, Any]) -> None:
    assert await refusal(world, token(world, **twist)) == sentence_of(Reason.BAD_CREDENTIALS)


async def test_a_login_with_a_new_key_waits_for_the_next_fetch(world: World) -> None:
    await world.token("x", password=token(world))
    fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    world.issuers[IDP] = {"fresh": fresh}
    before = world.time
    assert (await world.ask_token("x", password=token(world, "fresh", key=fresh))).status == 200
    assert world.time == before + FETCH_INTERVAL
    assert await refusal(world, token(world)) == sentence_of(Reason.BAD_CREDENTIALS)


async def test_an_issuer_without_key_ids_can_replace_its_only_key(world: World) -> None:
    whole: dict[str, Any] = {"iss": SPARE, "aud": "berth", "email": "ann"}
    assert (await world.ask_token("x", password=token(world, None, **whole))).status == 200
    fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = token(world, None, key=rsa.generate_private_key(public_exponent=65537, key_size=2048), **whole)
    assert await refusal(world, forged) == sentence_of(Reason.BAD_CREDENTIALS)
    world.issuers[SPARE] = {"fresh": fresh}
    assert (await world.ask_token("x", password=token(world, None, key=fresh, **whole))).status == 200
    assert await refusal(world, token(world, None, **whole)) == sentence_of(Reason.BAD_CREDENTIALS)
    assert world.issuer_reads == [SPARE] * 4
    del world.issuers[SPARE]
    world.time += FETCH_INTERVAL
    assert await refusal(world, forged) == sentence_of(Reason.ISSUER_UNAVAILABLE, "spare.example.org")
    assert (await world.ask_token("x", password=token(world, None, key=fresh, **whole))).status == 200


async def test_forged_tokens_cause_no_more_fetches_and_delay_no_known_key(world: World) -> None:
    await world.token("x", password=token(world))
    before, forged = (
        world.time,
        [token(world, f"unknown-{number}", key=EC_KEY, algorithm="ES256") for number in range(200)],
    )
    answers = await asyncio.gather(*(world.ask_token("x", password=each) for each in forged))
    waited, sent_away = ([each for each in answers if each.status == status] for status in (401, 429))
    assert len(waited) == MAX_WAITERS
    assert {each.sentence for each in waited} == {sentence_of(Reason.BAD_CREDENTIALS)}
    assert {(each.sentence, each.headers["retry-after"]) for each in sent_away} == {
        (sentence_of(Reason.TOO_MANY_ATTEMPTS), str(round(FETCH_INTERVAL)))
    }
    assert len(waited) + len(sent_away) == 200
    assert (world.issuer_reads, world.time) == ([IDP] * 2, before + FETCH_INTERVAL)
    assert (await world.ask_token("x", password=token(world))).status == 200


async def test_an_unavailable_issuer_only_affects_its_own_logins_and_is_named(world: World) -> None:
    del world.issuers[IDP]
    sentence = await refusal(world, token(world))
    assert sentence == sentence_of(Reason.ISSUER_UNAVAILABLE, "idp.example.org")
    assert "idp.example.org does not answer" in sentence
    registry_token = await world.token("x", PULL_PUSH, password=token(world))
    assert (await world.ask("GET", MANIFEST, registry_token)).sentence == sentence
    assert (await world.ask_token("ann")).status == 200
    assert (await world.ask_token("x", password=token(world, iss=SPARE, aud="berth", email="ann"))).status == 200


@pytest.mark.parametrize("audience", ["another", ["another", "and-another"], None, 7])
async def test_a_token_that_is_not_meant_for_the_registry_is_refused_without_a_key_of_its_issuer(
    world: World, audience: Any
) -> None:
    world.issuers.clear()
    assert "cannot be checked" in await refusal(world, token(world))
    assert await refusal(world, token(world, aud=audience)) == sentence_of(Reason.BAD_CREDENTIALS)


async def test_known_keys_of_an_unavailable_issuer_are_valid_for_a_day(world: World) -> None:
    await world.token("x", password=token(world))
    del world.issuers[IDP]
    world.time += KEY_MAX_AGE - 1
    assert (await world.ask_token("x", password=token(world))).status == 200
    world.time += 1
    assert await refusal(world, token(world)) == sentence_of(Reason.ISSUER_UNAVAILABLE, "idp.example.org")


async def test_the_cluster_may_be_an_issuer_as_well_for_tokens_that_are_meant_for_another_audience(
    tmp_path: Path,
) -> None:
    made = World(tmp_path, oidc_issuers=(OidcIssuer(issuer=ISSUER, audience="ci", username_prefix="cluster:"),))
    made.issuers = {ISSUER: {"cluster": CLUSTER_KEY}}

    async def who(audience: str, **twist: Any) -> tuple[str, str, str | None]:
        whole = {"iss": ISSUER, "aud": [audience], "sub": "system:serviceaccount:builders:ci", **twist}
        presented = token(made, "cluster", key=CLUSTER_KEY, **whole)
        found = claims(await made.token("x", PULL_PUSH, password=presented))
        return found["sub"], found["berth"]["cred"], found["berth"].get("failure")

    account = "cluster:system:serviceaccount:builders:ci"
    assert await who("ci") == (account, "OIDC", None)
    assert await who(HOST) == ("builders/ci", "ServiceAccount", None)
    assert (await who("other"))[1:] == ("Failed", Reason.BAD_CREDENTIALS)
    over = token(made, "cluster", key=CLUSTER_KEY, iss=ISSUER, aud="ci", sub="x", exp=made.time - 60)
    assert await refusal(made, over) == sentence_of(Reason.TOKEN_EXPIRED, "cluster:x")
    made.passwords.close()


async def test_a_token_of_an_issuer_that_is_not_configured_is_no_more_than_a_password(world: World) -> None:
    assert await refusal(world, token(world, iss="https://elsewhere")) == sentence_of(Reason.BAD_CREDENTIALS)
    assert world.issuer_reads == []


async def test_discovery_must_be_the_issuers_own_and_its_keys_under_tls() -> None:
    documents: dict[str, Any] = {
        f"{IDP}/.well-known/openid-configuration": {"issuer": IDP, "jwks_uri": f"{IDP}/keys"},
        f"{IDP}/keys": {"keys": [public_jwk("rsa", RSA_KEY)]},
    }

    async def get_json(url: str) -> Any:
        return documents[url]

    fetch = discovered_keys(ISSUERS[0], get_json)
    assert (await fetch())["keys"] == [public_jwk("rsa", RSA_KEY)]
    for wrong in ({"issuer": SPARE}, {"jwks_uri": "http://idp.example.org/keys"}):
        documents[f"{IDP}/.well-known/openid-configuration"] = {"issuer": IDP, "jwks_uri": f"{IDP}/keys", **wrong}
        with pytest.raises(ValueError):
            await fetch()


def test_issuers_are_read_from_json_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_HOST", HOST)
    monkeypatch.setenv(
        "BERTH_OIDC_ISSUERS",
        '[{"issuer":"https://idp.example.org","audience":"a","caFile":"/ca.crt","usernameClaim":"email",'
        '"usernamePrefix":"idp:","groupsClaim":"roles","groupsPrefix":"idp:","scopesClaim":"scp","scopesPrefix":"b.",'
        '"discoveryURL":"https://inside.example.org/.well-known/openid-configuration"}]',
    )
    (issuer,) = AccessSettings.model_validate({}).oidc_issuers
    assert (issuer.ca_file, issuer.groups_claim, issuer.discovery_url) == (
        Path("/ca.crt"),
        "roles",
        "https://inside.example.org/.well-known/openid-configuration",
    )
    for address in ("http://idp.example.org", "ftp://x", "https://u:p@idp.example.org", "idp"):
        with pytest.raises(ValidationError):
            OidcIssuer(issuer=address, audience="a")
