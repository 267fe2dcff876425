"""The rendered configuration, read by the real registry: what it serves, what it refuses, what outlives a restart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from berth.desired.inputs import ProjectInputs
from berth.desired.installation import keys
from berth.desired.installation.authority import Authority
from tests.kit.desired.registry import PROJECT, RunningRegistry, running, token
from tests.kit.desired.samples import inputs

NOW = datetime.now(UTC)
CA = keys.make_ca("berth token CA", NOW)
LEAF = keys.make_token_leaf(CA, NOW)
INPUTS: ProjectInputs = inputs(
    token_authorities=Authority(CA).token_authorities, http_secret=keys.http_secret(bytes(32), "uid")
)

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running(INPUTS, tmp_path_factory.mktemp("registry")) as registry:
        yield registry


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def push_blob(registry: RunningRegistry, content: bytes) -> None:
    bearer = token(LEAF, "pull", "push")
    begun = registry.ask("POST", f"/v2/{PROJECT}/app/blobs/uploads/", bearer)
    location = begun.headers["location"]
    joined = "&" if "?" in location else "?"
    done = registry.ask("PUT", f"{location}{joined}digest={digest(content)}", bearer, content)
    assert done.status == 201, done.body


def push_manifest(registry: RunningRegistry, reference: str) -> str:
    config = b"{}"
    push_blob(registry, config)
    descriptor = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(config), "size": len(config)}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": [descriptor]}
    body = json.dumps(manifest).encode()
    done = registry.ask(
        "PUT",
        f"/v2/{PROJECT}/app/manifests/{reference}",
        token(LEAF, "pull", "push"),
        body,
        {"Content-Type": MANIFEST},
    )
    assert done.status == 201, done.body
    return digest(body)


def test_the_probe_path_answers_without_a_token(registry: RunningRegistry) -> None:
    assert registry.ask("GET", "/").status == 200


def test_without_a_token_the_challenge_names_the_one_address(registry: RunningRegistry) -> None:
    answer = registry.ask("GET", f"/v2/{PROJECT}/app/tags/list")
    assert answer.status == 401
    challenge = answer.headers["www-authenticate"]
    assert 'realm="https://images.example.org/token"' in challenge
    assert 'service="berth-registry/alpha"' in challenge
    assert f'scope="repository:{PROJECT}/app:pull"' in challenge


def test_a_forged_host_never_reaches_the_realm(registry: RunningRegistry) -> None:
    forged = {"Host": "evil.example.net", "X-Forwarded-Host": "evil.example.net", "X-Forwarded-Proto": "http"}
    answer = registry.ask("GET", "/v2/", headers=forged)
    assert answer.status == 401
    assert "evil" not in answer.headers["www-authenticate"]


def test_a_token_lets_push_and_pull_what_it_grants(registry: RunningRegistry) -> None:
    pushed = push_manifest(registry, "v1")
    pulled = registry.ask("GET", f"/v2/{PROJECT}/app/manifests/v1", token(LEAF, "pull"), headers={"Accept": MANIFEST})
    assert pulled.status == 200
    assert pulled.headers["docker-content-digest"] == pushed


def test_a_token_lets_do_nothing_more(registry: RunningRegistry) -> None:
    reader = token(LEAF, "pull")
    assert registry.ask("POST", f"/v2/{PROJECT}/app/blobs/uploads/", reader).status == 401
    assert registry.ask("GET", f"/v2/{PROJECT}/other/tags/list", reader).status == 401
    assert registry.ask("GET", "/v2/_catalog", reader).status == 401


def test_deleting_is_possible(registry: RunningRegistry) -> None:
    pushed = push_manifest(registry, "gone")
    gone = registry.ask("DELETE", f"/v2/{PROJECT}/app/manifests/{pushed}", token(LEAF, "delete"))
    assert gone.status == 202


REFUSED = {
    "of another authority": token(keys.make_token_leaf(keys.make_ca("berth token CA", NOW), NOW), "pull"),
    "that brings another leaf": token(LEAF, "pull", chain=[keys.make_token_leaf(CA, NOW).certificate]),
    "that brings no leaf": token(LEAF, "pull", chain=[]),
    "for another project": token(LEAF, "pull", audience="berth-registry/beta"),
    "for another audience": token(LEAF, "pull", audience="berth"),
    "of another issuer": token(LEAF, "pull", issuer="another"),
    "that ended": token(LEAF, "pull", life=timedelta(seconds=-61)),
    "that is no token": "nonsense",
}


@pytest.mark.parametrize("which", list(REFUSED))
def test_a_token_that_berth_did_not_make_for_this_registry_is_refused(registry: RunningRegistry, which: str) -> None:
    assert registry.ask("GET", f"/v2/{PROJECT}/app/tags/list", REFUSED[which]).status == 401


def test_a_new_signing_key_needs_no_restart(registry: RunningRegistry) -> None:
    fresh = keys.make_token_leaf(CA, datetime.now(UTC))
    assert registry.ask("GET", "/v2/", token(fresh)).status == 200
    assert registry.ask("GET", "/v2/", token(LEAF)).status == 200


def test_locations_are_relative_so_the_gateway_can_complete_them(registry: RunningRegistry) -> None:
    begun = registry.ask("POST", f"/v2/{PROJECT}/app/blobs/uploads/", token(LEAF, "pull", "push"))
    assert begun.status == 202
    assert not urlsplit(begun.headers["location"]).netloc


def test_an_index_of_what_is_not_there_is_refused(registry: RunningRegistry) -> None:
    missing = {"mediaType": MANIFEST, "digest": digest(b"missing"), "size": 7}
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [missing]}).encode()
    path = f"/v2/{PROJECT}/app/manifests/sparse"
    answer = registry.ask("PUT", path, token(LEAF, "pull", "push"), body, {"Content-Type": INDEX})
    assert answer.status == 400, answer.body
    assert "MANIFEST_BLOB_UNKNOWN" in answer.codes()


def test_metrics_are_served_only_on_the_second_port(registry: RunningRegistry) -> None:
    assert b"registry_" in registry.ask("GET", "/metrics", port=registry.debug).body
    assert registry.ask("GET", "/metrics").status == 404
    assert registry.ask("GET", "/debug/health").status == 404


def test_a_bundle_of_two_authorities_trusts_both(tmp_path: Path) -> None:
    successor = keys.make_ca("berth token CA", NOW)
    with running(inputs(token_authorities=Authority(CA, successor).token_authorities), tmp_path) as registry:
        for leaf in (LEAF, keys.make_token_leaf(successor, NOW)):
            assert registry.ask("GET", "/v2/", token(leaf)).status == 200


def test_an_upload_goes_on_after_a_restart_and_the_registry_ends_cleanly(tmp_path: Path) -> None:
    bearer, content = token(LEAF, "pull", "push"), b"half and half"
    with running(INPUTS, tmp_path) as registry:
        begun = registry.ask("POST", f"/v2/{PROJECT}/app/blobs/uploads/", bearer)
        sent = registry.ask("PATCH", begun.headers["location"], bearer, content[:4])
        assert sent.status == 202
    assert registry.process.returncode == 0
    with running(INPUTS, tmp_path) as registry:
        rest = registry.ask("PATCH", sent.headers["location"], bearer, content[4:])
        assert rest.status == 202, rest.body
        location = rest.headers["location"]
        joined = "&" if "?" in location else "?"
        done = registry.ask("PUT", f"{location}{joined}digest={digest(content)}", bearer, b"")
        assert done.status == 201, done.body
        assert registry.ask("GET", f"/v2/{PROJECT}/app/blobs/{digest(content)}", bearer).body == content
