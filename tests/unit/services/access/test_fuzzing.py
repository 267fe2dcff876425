"""10,000 requests of every shape: none makes the service fail, and none gets more than the policy allows."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from berth.api.policy import Action
from berth.authz.actor import actor_of
from berth.authz.decide import is_allowed
from berth.authz.model import ANONYMOUS, AccessRequest, CredentialKind, Identity
from tests.kit.access.world import PASSWORDS, World, basic, claims

NAMES = (
    *(
        "genomics",
        "other",
        "absent",
        "aligner",
        "tools/viewer",
        "private",
        "x",
        "Genomics",
        "genomics ",
        "",
        "..",
        "%2e",
    ),
    *(
        "genomics/aligner",
        "genomics/private",
        "other/x",
        "genomics/tools/viewer",
        "a" * 300,
        "*",
        "genomics:5000/aligner",
    ),
    *("génomics", "genomics\u2215aligner", "genomics//aligner", "\x00", "\r\n", "catalog", "genomics/aligner\x00"),
)
ACTIONS = (
    "pull",
    "push",
    "delete",
    "*",
    "pull,push",
    "push,pull,delete",
    "",
    "admin",
    "PULL",
    "pull,,push",
    "pull push",
)
TYPES = ("repository", "registry", "repository(plugin)", "Repository", "", "project", "repository:repository")
USERS = ("ann", "bob", "dora", "eve", "unknown", None)
WANTED = {"pull": Action.PULL, "push": Action.PUSH, "delete": Action.DELETE}


@dataclass(frozen=True)
class Wanted:
    """One token request."""

    user: str | None
    right: bool
    scopes: tuple[str, ...]
    separator: str
    post: bool
    noise: dict[str, str]


def token_requests(seed: int, count: int) -> Iterator[Wanted]:
    source = random.Random(seed)
    for _ in range(count):
        scopes = tuple(
            ":".join(
                source.sample((source.choice(TYPES), source.choice(NAMES), source.choice(ACTIONS)), 3)
                if source.random() < 0.1
                else (source.choice(TYPES[:2]), source.choice(NAMES), source.choice(ACTIONS))
            )
            for _ in range(source.choice((0, 1, 1, 1, 2, 3, 30)))
        )
        noise = {
            name: source.choice(("", "x", "é\xff", "a, b", "0", "1" * 400, "Bearer x", "chunked", "\x7f"))
            for name in source.sample(
                (
                    "x-forwarded-for",
                    "berth-gateway-token",
                    "accept",
                    "user-agent",
                    "x-forwarded-host",
                    "berth-original-uri",
                ),
                2,
            )
        }
        yield Wanted(
            source.choice(USERS),
            source.random() < 0.7,
            scopes,
            source.choice((" ", "&scope=")),
            source.random() < 0.3,
            noise,
        )


async def ask(world: World, wanted: Wanted) -> Any:
    """The response to a token request."""
    password = PASSWORDS.get(wanted.user or "", "none") if wanted.right else "wrong"
    if wanted.post:
        form = urlencode(
            {
                "grant_type": "password",
                "username": wanted.user or "",
                "password": password if wanted.user else "",
                "scope": " ".join(wanted.scopes),
            }
        )
        headers = {**wanted.noise, "content-type": "application/x-www-form-urlencoded"}
        return await world.call("POST", "/token", headers, form.encode())
    headers = dict(wanted.noise)
    if wanted.user is not None:
        headers["authorization"] = basic(wanted.user, password)
    query = wanted.separator.join(quote(scope) for scope in wanted.scopes)
    return await world.call("GET", f"/token?service=x&scope={query.replace(' ', '%20')}", headers)


def identity_of(wanted: Wanted, found: dict[str, Any]) -> Identity:
    """Who may have been proved by what was sent, at most."""
    if wanted.user in PASSWORDS and wanted.right and found["berth"]["cred"] == "Password":
        return Identity(CredentialKind.PASSWORD, wanted.user or "")
    return ANONYMOUS


@pytest.mark.parametrize("seed", range(5))
async def test_no_token_request_gets_more_than_the_policy_gives(world: World, seed: int) -> None:
    now, granted = datetime.fromtimestamp(world.time, UTC), 0
    for number, wanted in enumerate(token_requests(seed, 1000)):
        if number % 20 == 0:
            world.time += 3600  # no login is throttled for too many wrong passwords
        response = await ask(world, wanted)
        assert response.status in (200, 400, 401, 429), wanted
        if response.status != 200:
            continue
        found = claims(response.document["token"])
        identity = identity_of(wanted, found)
        for entry in found["access"]:
            assert entry["type"] == "repository", wanted
            project, _, repository = entry["name"].partition("/")
            for action in entry["actions"]:
                granted += 1
                request = AccessRequest(WANTED[action], project, repository)
                assert is_allowed(world.snapshot, actor_of(world.snapshot, identity, now), request, now), wanted
        projects = {entry["name"].partition("/")[0] for entry in found["access"]}
        assert set(found["aud"]) == ({f"berth-registry/{name}" for name in projects} or {"berth"})
    assert granted > 20


def targets(seed: int, count: int) -> Iterator[tuple[str, str]]:
    source = random.Random(seed)
    tails = (
        *("manifests/v1", "manifests/sha256:" + "a" * 64, "blobs/sha256:" + "b" * 64, "blobs/uploads/", "tags/list"),
        *("referrers/sha256:" + "a" * 64, "manifests/", "manifests/../../private/manifests/v1", "blobs/uploads/../x"),
        *("manifests/v1?x=/v2/genomics/private/manifests/v1", "%6danifests/v1", "manifests/v1/", "manifests/v1#", ""),
        *("blobs/uploads/?mount=sha256:" + "a" * 64 + "&from=genomics/private", "manifests/v1;a=b", "manifests/%76%31"),
    )
    for _ in range(count):
        prefix = source.choice(
            ("/v2/", "/v2//", "/v2/./", "/V2/", "//v2/", "/v2/%2e/", "/v2/genomics/../", "http://h/v2/")
        )
        prefix = source.choice((prefix, "/v2/", "/v2/"))
        name = source.choice((*NAMES, *("genomics/aligner",) * 8))
        target = f"{prefix}{name}/{source.choice(tails)}"
        if source.random() < 0.2:
            place = source.randrange(len(target))
            target = (
                target[:place] + source.choice(("%2F", "%00", "\\", "/../", " ", "?", "//", "\xff")) + target[place:]
            )
        yield source.choice((*("GET",) * 8, "HEAD", "POST", "PUT", "PATCH", "DELETE", "get", "", "CONNECT")), target


@pytest.mark.parametrize("seed", range(5))
async def test_no_path_leads_anybody_to_what_the_policy_does_not_give_them(world: World, seed: int) -> None:
    scope = [f"repository:{name}:pull,push,delete" for name in ("genomics/aligner", "genomics/private", "other/x")]
    tokens = {user: await world.token(user, *scope) for user in ("bob", "eve", None)}
    forwarded = 0
    for number, (method, target) in enumerate(targets(seed, 1000)):
        user = ("bob", "eve", None)[number % 3]
        response = await world.authz(method, target.encode().decode("latin-1"), tokens[user])
        assert response.status in (200, 401, 403), (method, target)
        if response.status == 200:
            upstream = response.headers["berth-upstream"]
            # None of these may see the private repository, and bob alone reads the rest of genomics.
            assert user == "bob" or upstream.partition("?")[0] == "http://access/v2/", (user, method, target)
            assert upstream.startswith(("http://registry.genomics:5000/v2/genomics/", "http://access/v2/")), upstream
            assert method in ("GET", "HEAD")
            assert "/genomics/private" not in upstream.partition("?")[0]
            assert upstream.endswith(target)
            forwarded += 1
    assert forwarded > 5


async def test_no_authorization_header_makes_the_service_fail(world: World) -> None:
    source = random.Random(7)
    pieces = (
        "Basic ",
        "Bearer ",
        "Digest ",
        "eyJ",
        ".",
        "e30",
        "=",
        ",",
        " ",
        "\t",
        "\xff",
        "é",
        "A" * 5000,
        "YW5uOng=",
        "%",
        "null",
    )
    for _ in range(500):
        value = "".join(source.choices(pieces, k=source.randint(0, 6))).encode().decode("latin-1")
        for response in (
            await world.call("GET", "/token", {"authorization": value}),
            await world.call("GET", "/v2/", {"authorization": value}),
            await world.authz("GET", "/v2/genomics/aligner/tags/list", authorization=value),
            await world.call("GET", "/token", {"authorization": "Basic " + base64.b64encode(value.encode()).decode()}),
        ):
            assert response.status < 500
