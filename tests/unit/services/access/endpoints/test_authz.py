"""The response to the gateway for each request, and what clients see of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from berth.api.policy import Action, PolicyState
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel
from berth.authz.model import RepositoryPolicy
from tests.kit.access.world import HOST, World, rules, sentence_of, sentence_with_page, write_keys
from tests.kit.pki import Authority

DIGEST = "sha256:" + "a" * 64
PULL = "repository:genomics/aligner:pull"
PULL_PUSH = "repository:genomics/aligner:pull,push"
MANIFEST = "/v2/genomics/aligner/manifests/1"
BLOB = f"/v2/genomics/aligner/blobs/{DIGEST}"
BY_DIGEST = f"/v2/genomics/aligner/manifests/{DIGEST}"
UPLOADS = "/v2/genomics/aligner/blobs/uploads/"


async def test_only_the_gateway_may_call(world: World) -> None:
    for headers in ({}, {"berth-gateway-token": "x"}, {"berth-gateway-token": world.service_account("intruder")}):
        response = await world.call("GET", "/authz", {**headers, "berth-original-method": "GET"})
        assert response.status == 401
        assert "berth-upstream" not in response.headers
        assert response.sentence.endswith(".")


async def test_without_a_token_the_client_is_challenged(world: World) -> None:
    response = await world.ask("GET", MANIFEST)
    assert (response.status, response.code) == (401, "UNAUTHORIZED")
    assert response.headers["www-authenticate"] == (
        f'Bearer realm="https://{HOST}/token",service="{HOST}",scope="{PULL}"'
    )


@pytest.mark.parametrize(
    ("method", "target", "scope"),
    [
        ("GET", "/v2/", ""),
        ("GET", "/v2/_catalog", ',scope="registry:catalog:*"'),
        ("GET", "/v2/genomics/tools/viewer/tags/list", ',scope="repository:genomics/tools/viewer:pull"'),
        ("POST", UPLOADS, f',scope="{PULL_PUSH}"'),
        ("PUT", MANIFEST, f',scope="{PULL_PUSH}"'),
        ("DELETE", BY_DIGEST, ',scope="repository:genomics/aligner:delete"'),
        ("DELETE", f"{UPLOADS}abc", f',scope="{PULL_PUSH}"'),
        (
            "POST",
            f"{UPLOADS}?mount={DIGEST}&from=genomics/private",
            f',scope="{PULL_PUSH} repository:genomics/private:pull"',
        ),
        ("POST", f"{UPLOADS}?mount={DIGEST}&from=other/x", f',scope="{PULL_PUSH}"'),
    ],
)
async def test_the_challenge_names_what_the_request_needs(world: World, method: str, target: str, scope: str) -> None:
    response = await world.ask(method, target)
    assert response.headers["www-authenticate"] == f'Bearer realm="https://{HOST}/token",service="{HOST}"{scope}'


@pytest.mark.parametrize(
    ("method", "target", "upstream"),
    [
        ("GET", MANIFEST, "http://registry.genomics:5000"),
        ("HEAD", BLOB, "http://registry.genomics:5000"),
        ("GET", "/v2/genomics/aligner/tags/list?n=3&last=v%2B1", "http://registry.genomics:5000"),
        ("POST", UPLOADS, "http://registry.genomics:5000"),
        ("PUT", f"{UPLOADS}abc?_state=x-_%3D&digest={DIGEST}", "http://registry.genomics:5000"),
        ("PUT", MANIFEST, "http://access"),
        ("DELETE", BY_DIGEST, "http://access"),
        ("DELETE", f"{UPLOADS}abc?_state=x-_%3D", "http://access"),
        ("GET", "/v2/", "http://access"),
        ("GET", "/v2/_catalog?n=5", "http://access"),
        ("GET", f"/v2/genomics/aligner/referrers/{DIGEST}?artifactType=a%2Fb", "http://access"),
    ],
)
async def test_an_allowed_request_is_forwarded_byte_for_byte(
    world: World, method: str, target: str, upstream: str
) -> None:
    token = await world.token("ann", "repository:genomics/aligner:pull,push,delete")
    response = await world.ask(method, target, token)
    assert (response.status, response.headers["berth-upstream"]) == (200, upstream + target)


async def test_a_refused_pull_is_a_403_with_one_error_and_no_detail(world: World) -> None:
    token = await world.token("eve", PULL)
    response = await world.ask("GET", MANIFEST, token)
    assert (response.status, response.code) == (403, "DENIED")
    assert response.sentence == sentence_of(Reason.NOT_FOUND, "eve")
    assert response.headers["warning"] == ""
    assert b"\n" not in response.body


async def test_absent_and_not_yours_are_the_same_to_the_letter(world: World) -> None:
    def disguised(text: str, name: str) -> str:
        return text.replace(f"{name}/", "P/").replace(f"project {name}", "project P")

    responses = []
    for project, repository in (("genomics", "aligner"), ("absent", "aligner"), ("other", "x")):
        token = await world.token("eve", f"repository:{project}/{repository}:pull,push")
        for method, path in (("GET", "manifests/1"), ("HEAD", "manifests/1"), ("POST", "blobs/uploads/")):
            raw = await world.authz(method, f"/v2/{project}/{repository}/{path}", token)
            body = disguised(raw.body.decode(), project).replace("P/x ", "P/aligner ")
            headers = {
                name: disguised(value, project).replace("P/x ", "P/aligner ")
                for name, value in raw.headers.items()
                if name != "content-length"
            }
            responses.append((method, raw.status, body, tuple(sorted(headers.items()))))
    assert len(set(responses)) == 3


async def test_an_anonymous_client_has_to_log_in(world: World) -> None:
    response = await world.ask("GET", MANIFEST, await world.token(None, PULL))
    assert response.status == 403
    assert response.sentence == sentence_of(Reason.NOT_AUTHENTICATED)


@pytest.mark.parametrize(
    ("method", "target", "status", "warned"),
    [
        ("GET", MANIFEST, 403, False),
        ("HEAD", MANIFEST, 403, True),
        ("GET", BY_DIGEST, 403, False),
        ("HEAD", BY_DIGEST, 403, True),
        ("GET", BLOB, 403, False),
        ("HEAD", BLOB, 404, False),
        ("GET", "/v2/genomics/aligner/tags/list", 403, False),
        ("POST", UPLOADS, 403, False),
        ("PUT", MANIFEST, 403, False),
        ("DELETE", MANIFEST, 403, False),
        ("GET", f"/v2/genomics/aligner/referrers/{DIGEST}", 403, False),
    ],
)
async def test_the_status_of_a_refusal_for_a_token_requested_for_pull(
    world: World, method: str, target: str, status: int, warned: bool
) -> None:
    response = await world.ask(method, target, await world.token("eve", PULL))
    assert (response.status, response.code) == (status, "DENIED")
    assert response.headers["warning"] == (f'299 - "{response.sentence}"' if warned else "")


async def test_the_head_of_a_manifest_by_digest_is_a_404_for_a_token_requested_for_push(world: World) -> None:
    token = await world.token("eve", PULL_PUSH)
    assert (await world.ask("HEAD", BY_DIGEST, token)).status == 404
    assert (await world.ask("GET", BY_DIGEST, token)).status == 403
    assert (await world.ask("HEAD", MANIFEST, token)).status == 403


async def test_a_push_requested_for_another_repository_does_not_count(world: World) -> None:
    token = await world.token("eve", PULL, "repository:genomics/other:pull,push")
    assert (await world.ask("HEAD", BY_DIGEST, token)).status == 403


async def test_a_token_that_grants_nothing_is_good_for_the_base(world: World) -> None:
    for token in (await world.token("eve", PULL), await world.token("ann", PULL, password="wrong")):
        assert (await world.ask("GET", "/v2/", token)).status == 200


async def test_an_uncertified_editor_may_pull_and_gets_the_reason_for_a_refused_push(world: World) -> None:
    token = await world.token("dora", PULL_PUSH)
    assert (await world.ask("GET", MANIFEST, token)).status == 200
    response = await world.ask("POST", UPLOADS, token)
    assert (response.status, response.sentence) == (403, sentence_with_page(Reason.NOT_CERTIFIED, "dora", Action.PUSH))


async def test_a_withdrawn_certification_counts_at_once_for_tokens_already_issued(world: World) -> None:
    token = await world.token("ann", PULL_PUSH)
    assert (await world.ask("POST", UPLOADS, token)).status == 200
    world.certify({})
    response = await world.ask("POST", UPLOADS, token)
    assert response.status == 403
    assert response.sentence == sentence_with_page(Reason.NOT_CERTIFIED, "ann", Action.PUSH)


async def test_a_certification_ends_by_itself_for_tokens_already_issued(world: World) -> None:
    world.certify({"ann": datetime.fromtimestamp(world.time, UTC) + timedelta(seconds=60)})
    token = await world.token("ann", PULL_PUSH)
    assert (await world.ask("POST", UPLOADS, token)).status == 200
    world.time += 61
    response = await world.ask("POST", UPLOADS, token)
    assert response.status == 403
    assert world.audit[-1]["reason"] == "CertificationExpired"


async def test_the_trash_refuses_tokens_already_issued_and_gives_back_what_was(world: World) -> None:
    token = await world.token("ann", PULL_PUSH)
    world.change("genomics", state=PolicyState.TRASHED)
    refused = (("GET", MANIFEST, Action.PULL), ("POST", UPLOADS, Action.PUSH), ("DELETE", BY_DIGEST, Action.DELETE))
    for method, target, action in refused:
        response = await world.ask(method, target, token)
        assert (response.status, response.sentence) == (403, sentence_with_page(Reason.PROJECT_TRASHED, "ann", action))
    world.change("genomics", state=PolicyState.ACTIVE)
    assert (await world.ask("GET", MANIFEST, token)).status == 200


async def test_the_trash_of_one_repository_leaves_the_others(world: World) -> None:
    token = await world.token("ann", PULL, "repository:genomics/tools/viewer:pull")
    repositories = world.snapshot.projects["genomics"].repositories
    trashed = replace(repositories["aligner"], state=PolicyState.TRASHED)
    world.change("genomics", repositories={**repositories, "aligner": trashed})
    assert (await world.ask("GET", MANIFEST, token)).sentence == sentence_with_page(Reason.REPOSITORY_TRASHED, "ann")
    assert (await world.ask("GET", "/v2/genomics/tools/viewer/manifests/1", token)).status == 200


async def test_a_new_level_challenges_for_a_new_token(world: World) -> None:
    token = await world.token("bob", PULL_PUSH)
    world.certify({"bob": None})
    world.change("genomics", rules=rules(("bob", SharingLevel.EDIT)))
    response = await world.ask("POST", UPLOADS, token)
    assert response.status == 401
    assert response.headers["www-authenticate"].endswith(f'scope="{PULL_PUSH}"')
    assert (await world.ask("POST", UPLOADS, await world.token("bob", PULL_PUSH))).status == 200


async def test_an_expired_token_is_challenged_as_invalid(world: World) -> None:
    token = await world.token("ann", PULL)
    assert (await world.ask("GET", MANIFEST, token)).status == 200
    world.time += 300
    response = await world.ask("GET", MANIFEST, token)
    assert response.status == 401
    assert response.headers["www-authenticate"].endswith(f'scope="{PULL}",error="invalid_token"')


async def test_tokens_of_others_are_challenged_as_invalid(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    foreign = World(tmp_path_factory.mktemp("foreign"))
    authority = Authority.create("berth token CA")
    write_keys(foreign.signing_dir, authority.issue("berth token signing"), authority)
    stranger = await foreign.token("ann", PULL)
    foreign.passwords.close()
    own = await world.token("ann", PULL)
    tampered = own[:-8] + ("AAAAAAAA" if not own.endswith("AAAAAAAA") else "BBBBBBBB")
    unsigned = jwt.encode(jwt.decode(own, options={"verify_signature": False}), "", algorithm="none")
    for token in (stranger, tampered, unsigned, "x", "a.b.c", own + own, world.service_account("berth-operator")):
        response = await world.ask("GET", MANIFEST, token)
        assert response.status == 401
        assert 'error="invalid_token"' in response.headers["www-authenticate"]


async def test_a_removed_user_is_refused_with_tokens_already_issued(world: World) -> None:
    token = await world.token("ann", PULL)
    world.snapshot = replace(world.snapshot, users={})
    assert (await world.ask("GET", MANIFEST, token)).sentence == sentence_of(Reason.TOKEN_REVOKED, "ann")


async def test_a_mount_is_kept_within_a_project_from_what_may_be_pulled(world: World) -> None:
    target = f"{UPLOADS}?mount={DIGEST}&from=genomics/tools/viewer"
    token = await world.token("ann", PULL_PUSH, "repository:genomics/tools/viewer:pull")
    assert (await world.ask("POST", target, token)).headers["berth-upstream"].endswith(target)


@pytest.mark.parametrize(
    ("source", "scope"),
    [
        ("genomics/tools/viewer", "repository:genomics/tools/viewer:push"),  # no grant to pull it
        ("other/x", "repository:other/x:pull"),  # another registry
        ("NOT-A-NAME", "repository:genomics/tools/viewer:pull"),
    ],
)
async def test_any_other_mount_becomes_an_ordinary_upload(world: World, source: str, scope: str) -> None:
    token = await world.token("ann", PULL_PUSH, scope)
    response = await world.ask("POST", f"{UPLOADS}?mount={DIGEST}&from={source}", token)
    assert (response.status, response.headers["berth-upstream"]) == (200, f"http://registry.genomics:5000{UPLOADS}")


async def test_a_mount_from_what_may_no_longer_be_pulled_becomes_an_ordinary_upload(world: World) -> None:
    token = await world.token("ann", PULL_PUSH, "repository:genomics/private:pull")
    target = f"{UPLOADS}?mount={DIGEST}&from=genomics/private"
    assert (await world.ask("POST", target, token)).headers["berth-upstream"].endswith(target)
    repositories = world.snapshot.projects["genomics"].repositories
    world.change("genomics", repositories={**repositories, "private": RepositoryPolicy("private", rules=())})
    assert (await world.ask("POST", target, token)).headers["berth-upstream"].endswith(UPLOADS)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "/",
        "/v2",
        "/v2/genomics/../other/x/manifests/1",
        "/v2//genomics/aligner/manifests/1",
        "/v2/genomics%2Faligner/manifests/1",
        "/v2/genomics/aligner/manifests/" + "a" * 200,
        "/v2/Genomics/aligner/manifests/1",
        "/v2/genomics/aligner/manifests/1;x",
        "/v2/genomics/aligner/blobs/sha256:x",
        "/v2/_catalog?n=x",
        "/v2/\x00\x1f\xff",
        "http://elsewhere/v2/genomics/aligner/manifests/1",
        "/v2/" + "a/" * 5000,
    ],
)
async def test_a_malformed_request_is_refused_with_a_sentence(world: World, target: str) -> None:
    for method in ("GET", "PUT", "BREW", ""):
        raw = await world.authz(method, target, await world.token("ann", PULL))
        assert raw.status == 403
        assert raw.headers["berth-status"] == "400"
        assert raw.headers["berth-body"].isascii()
        assert raw.headers["berth-body"].isprintable()
