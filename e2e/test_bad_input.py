"""Bad input: the API server, conditions and the gateway answer in words, never with a bare page."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from e2e.suite.content import MEDIA_MANIFEST
from e2e.suite.crowd import Crowd, Projects
from e2e.suite.http import Answer, Headers, Session, Wire, digest_of, image, without_time
from e2e.suite.world import HOST, SYSTEM, Cluster, Person, certification, eventually, project_object

MIB = 1024 * 1024
RESERVED = ("v2", "token", "authz", "healthz", "metrics", "portal", "berth", "library", "system")
NOT_AN_ID = ("a.b", "a" * 51)
WRONG_PASSWORD = "The user name or password is wrong; log in again with your own user name and password."


@pytest.fixture(scope="module")
def project(projects: Projects, curator: Session) -> str:
    name = projects.make("strict")
    curator.push(f"{name}/real", "v1", b"real").must(201)
    return name


# Objects that the API server refuses, or whose conditions say what is wrong.


@pytest.mark.parametrize("name", RESERVED)
def test_a_reserved_project_id_is_refused_with_the_sentence(cluster: Cluster, name: str) -> None:
    refused = _create(cluster, project_object(name, ()))
    assert "is reserved for Berth's own addresses: choose another project id" in refused


@pytest.mark.parametrize("name", NOT_AN_ID)
def test_a_project_id_that_is_no_path_component_is_refused_with_the_sentence(cluster: Cluster, name: str) -> None:
    assert "is the project id in every image name: use " in _create(cluster, project_object(name, ()))


def _create(cluster: Cluster, manifest: dict[str, Any]) -> str:
    result = cluster.kubectl("create", "--filename=-", stdin=json.dumps(manifest))
    assert not result.ok, result.said
    return result.said


def test_the_younger_of_two_repositories_with_one_path_is_reported_and_harms_nothing(
    cluster: Cluster, project: str, curator: Session
) -> None:
    where = f"berth-{project}"
    younger = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "DockerRepository",
        "metadata": {"name": "twin", "namespace": where},
        "spec": {"repository": "real", "trashed": True, "localSharing": []},
    }
    cluster.apply(younger)
    try:
        eventually(lambda: cluster.condition("dockerrepository", "twin", "Stalled", where), "the twin is stalled")
        assert cluster.condition("dockerrepository", "twin", "Stalled", where)["message"] == (
            "The older DockerRepository real has the path real already: remove one of the two."
        )
        assert cluster.condition("dockerrepository", "real", "Ready", where)["status"] == "True"
        curator.pull(f"{project}/real", "v1").must(200)
    finally:
        cluster.kubectl("delete", "dockerrepository", "twin", f"--namespace={where}", "--timeout=30s").must()


@pytest.mark.parametrize(
    ("content", "reason", "message"),
    [
        (
            None,
            "SecretNotFound",
            "Secret {s} in namespace berth-system does not exist: create it with the password's argon2id or bcrypt "
            "hash under passwordHash.",
        ),
        (
            {"other": "x"},
            "SecretKeyMissing",
            "Secret {s} in namespace berth-system has no key passwordHash: add it with the password's argon2id or "
            "bcrypt hash.",
        ),
        (
            {"passwordHash": ""},
            "SecretEmpty",
            "Key passwordHash of Secret {s} in namespace berth-system is empty: write the password's argon2id or "
            "bcrypt hash.",
        ),
        (
            {"passwordHash": "plain words"},
            "UnknownHashScheme",
            "Key passwordHash of Secret {s} in namespace berth-system is neither an argon2id nor a bcrypt hash: write "
            "one, never the password.",
        ),
    ],
    ids=["missing", "without-key", "empty", "unknown-scheme"],
)
def test_an_unusable_password_secret_is_reported_and_allows_no_login(
    cluster: Cluster,
    wire: Wire,
    person: Callable[..., Person],
    content: dict[str, str] | None,
    reason: str,
    message: str,
) -> None:
    forgetful = person("wire-forgetful")
    secret = f"{forgetful.name}-password"
    cluster.kubectl("delete", "secret", secret, f"--namespace={SYSTEM}").must()
    if content is not None:
        metadata = {"name": secret, "namespace": SYSTEM}
        cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content})

    def is_reported() -> bool:
        return cluster.condition("registryuser", forgetful.name, "Stalled").get("reason") == reason

    eventually(is_reported, f"the user has the reason {reason}")
    assert cluster.condition("registryuser", forgetful.name, "Stalled")["message"] == message.format(s=secret)
    refused = Session(wire, forgetful).token_answer()
    assert refused.refusal == (401, "UNAUTHORIZED", WRONG_PASSWORD)


def test_a_certification_of_an_unknown_person_says_so(cluster: Cluster) -> None:
    cluster.apply(certification("wire-unknown"))
    name = "wire-unknown-certified"
    try:
        eventually(lambda: cluster.condition("certification", name, "Stalled"), "the certification is stalled")
        assert cluster.condition("certification", name, "Stalled")["message"] == (
            "RegistryUser wire-unknown does not exist: create it, or correct spec.subject.name."
        )
    finally:
        cluster.kubectl("delete", "certification", name).must()


# Credentials and token requests.


def test_a_wrong_password_is_refused_at_login_and_at_the_pull(project: str, curator: Session, crowd: Crowd) -> None:
    wrong = replace(curator, person=replace(crowd.curator, password="wrong"))
    assert wrong.token_answer().refusal == (401, "UNAUTHORIZED", WRONG_PASSWORD)
    assert wrong.pull(f"{project}/real", "v1").refusal == (403, "DENIED", WRONG_PASSWORD)


def _encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic %%%",
        f"Basic {_encoded(b'no colon')}",
        f"Basic {_encoded(bytes([0xFF, 0xFE]))}",
        f"Basic {_encoded(b'wire-curator:a' + bytes(1))}",
        f"Basic {_encoded(b'wire-curator:' + b'p' * 8000)}",
        "Bearer what",
        "Digest username=wire-curator",
        "\t",
    ],
)
def test_a_malformed_authorization_header_is_refused_at_login_and_with_a_scope_gets_a_token_that_grants_nothing(
    wire: Wire, project: str, header: str
) -> None:
    login = wire.ask("GET", f"/token?service={HOST}", [("Authorization", header)])
    if header.strip():
        assert login.refusal[:2] == (401, "UNAUTHORIZED")
    scope = f"repository:{project}/real:pull"
    token = wire.ask("GET", f"/token?service={HOST}&scope={scope}", [("Authorization", header)]).must(200).json["token"]
    refused = wire.ask("GET", f"/v2/{project}/real/manifests/v1", [("Authorization", f"Bearer {token}")])
    assert refused.refusal[:2] == (403, "DENIED")


@pytest.mark.parametrize(
    "query",
    [
        "scope=",
        "scope=repository",
        "scope=repository:",
        "scope=repository::pull",
        "scope=repository:{p}/real",
        "scope=repository:{p}/real:",
        "scope=repository:{p}/REAL:pull",
        "scope=repository:{p}/../other:pull",
        "scope=repository:{p}:pull",
        "scope=registry:catalog:delete",
        "scope=nothing:{p}/real:pull",
        "scope=" + "a" * 3000,
        "scope=%00%ff%0d%0a",
        "service=%0d%0aSet-Cookie:x&scope=repository:{p}/real:nothing",
        "service=" + "s" * 3000 + "&scope=repository:{p}/real:nothing",
        "&&&==",
    ],
)
def test_a_scope_or_service_that_means_nothing_grants_nothing(project: str, curator: Session, query: str) -> None:
    answer = curator.wire.ask("GET", f"/token?{query.format(p=project)}", curator.basic).must(200)
    body = answer.json["token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    granted = [entry for entry in claims["access"] if entry["actions"]]
    assert granted == []


def test_an_unknown_project_and_an_invisible_one_get_the_same_response(
    project: str, curator: Session, crowd: Crowd
) -> None:
    outsider = replace(curator, person=crowd.outsider)
    for method, path in (
        ("GET", "manifests/v1"),
        ("HEAD", "manifests/v1"),
        ("PUT", "manifests/v1"),
        ("DELETE", f"manifests/{digest_of(b'')}"),
        ("GET", "tags/list"),
        ("GET", f"blobs/{digest_of(b'')}"),
        ("HEAD", f"blobs/{digest_of(b'')}"),
        ("POST", "blobs/uploads/"),
        ("GET", f"referrers/{digest_of(b'')}"),
    ):
        invisible = _as_seen(outsider, method, project, path)
        absent = _as_seen(outsider, method, f"{project[:-1]}_"[: len(project)].replace("_", "z"), path)
        assert invisible == absent, (method, path)


def _as_seen(session: Session, method: str, project: str, path: str) -> tuple[int, Any, str]:
    """An answer without time and without the name of the project."""
    held = session.hold(f"{project}/real", "pull,push,delete")
    status, headers, body = without_time(held.ask(method, f"/v2/{project}/real/{path}"))
    hidden = {name: value.replace(project, "P") for name, value in headers.items()}
    return status, hidden, body.decode().replace(project, "P")


# What goes through the gateway.


def test_a_manifest_of_five_mebibytes_is_refused_with_the_sentence(project: str, curator: Session) -> None:
    large = image(b"real", annotations={"padding": "x" * (5 * MIB)})
    sentence = "The manifest is larger than 4 MiB, the most that this registry takes; push fewer entries in one."
    assert curator.put(f"{project}/real", "large", large).refusal == (403, "DENIED", sentence)
    assert curator.pull(f"{project}/real", "large").status == 404


def test_a_push_to_a_project_without_a_repository_is_refused_with_a_sentence(project: str, curator: Session) -> None:
    held = curator.hold(f"{project}/real")
    status, _, sentence = held.ask("POST", f"/v2/{project}/blobs/uploads/").refusal
    assert 400 <= status < 500
    assert "<project>/<repository>" in sentence


@pytest.mark.parametrize(
    "manifest", [b"", b"{}", b"[]", b"nothing", b'{"schemaVersion": 1}', bytes(range(256)), b"[" * 100_000]
)
def test_a_manifest_that_is_none_is_refused(project: str, curator: Session, manifest: bytes) -> None:
    held = curator.hold(f"{project}/real")
    headers: Headers = (("Content-Type", MEDIA_MANIFEST),)
    answer = held.ask("PUT", f"/v2/{project}/real/manifests/broken", headers, manifest)
    assert answer.refusal[:2] == (400, "MANIFEST_INVALID")


def test_a_manifest_whose_layer_was_never_uploaded_is_refused_and_recorded_nowhere(
    cluster: Cluster, project: str, curator: Session
) -> None:
    missing = image(b"never uploaded")
    answer = curator.put(f"{project}/hollow", "v1", missing).must(400, 404)
    assert answer.json["errors"][0]["code"] in {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"}
    assert curator.pull(f"{project}/hollow", "v1").status == 404
    curator.push(f"{project}/filled", "v1", b"filled").must(201)
    eventually(lambda: cluster.get("dockerrepository", "filled", f"berth-{project}"), "what was pushed later is shown")
    assert cluster.get("dockerrepository", "hollow", f"berth-{project}") is None


NASTY = (
    "//v2/{p}/real/manifests/v1",
    "/v2//{p}/real/manifests/v1",
    "/v2/{p}//real/manifests/v1",
    "/v2/{p}/real/manifests//v1",
    "/v2/{p}/./real/manifests/v1",
    "/v2/{p}/../{p}/real/manifests/v1",
    "/v2/{p}/real/../real/manifests/v1",
    "/v2/{p}/real/manifests/..",
    "/v2/../token",
    "/v2/..%2ftoken",
    "/v2/%2e%2e/token",
    "/v2/{p}%2freal/manifests/v1",
    "/v2/{p}%2Freal/manifests/v1",
    "/v2/{p}/real%2f..%2fother/manifests/v1",
    "/v2/{p}/real%252f/manifests/v1",
    "/v2/{p}/real/manifests/v1%00",
    "/v2/{p}/real/manifests/v1%0d%0aX-Injected:1",
    "/v2/{p}/real/manifests/v1%20",
    "/v2/{p}/real/manifests/\xff",
    "/v2/{p}/real/manifests/v1#x",
    "/v2/{p}/real/manifests/v1?_state=x;y=z",
    "/v2/{p}/real/manifests/v1;a=b",
    "/v2/{p}/REAL/manifests/v1",
    "/v2/{p}/real/manifests/sha256:short",
    "/v2/{p}/real/manifests/" + "a" * 300,
    "/v2/{p}/" + "a/" * 200 + "manifests/v1",
    "/v2/" + "a" * 9000,
    "/v2/{p}/real/blobs/uploads/../../manifests/v1",
    "/v2/{p}/real/unknown/v1",
    "/v2/{p}/real/",
    "/v2/{p}",
    "/V2/{p}/real/manifests/v1",
    "/v2\\{p}\\real\\manifests\\v1",
    "/authz",
    "/v1/_ping",
    "/metrics",
    "/.nginx/502",
    "/limit/2m/v2/{p}/real/manifests/v1",
    "*",
)


@pytest.mark.parametrize("target", NASTY)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_a_strange_address_is_refused_in_words_and_never_served(
    project: str, curator: Session, method: str, target: str
) -> None:
    held = curator.hold(f"{project}/real", "pull,push,delete")
    answer = held.ask(method, target.format(p=project), (("Content-Type", MEDIA_MANIFEST),))
    _refused_in_words(answer, method)


def test_an_address_in_absolute_form_is_decided_by_its_path(project: str, curator: Session, crowd: Crowd) -> None:
    target = f"https://other.example/v2/{project}/real/manifests/v1"  # RFC 9112, section 3.2.2
    for person, status in ((crowd.curator, 200), (crowd.viewer, 403)):
        held = replace(curator, person=person).hold(f"{project}/real", "pull")
        held.ask("GET", target, (("Accept", MEDIA_MANIFEST),)).must(status)


def _refused_in_words(answer: Answer, method: str) -> None:
    assert 400 <= answer.status < 500, (answer.status, answer.body)
    assert answer.header("server") in {"", "nginx"}
    if method == "HEAD":
        assert answer.body == b""
    else:
        assert answer.refusal[2].strip()


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "BREW", "get", "PROPFIND"])
def test_a_strange_method_is_refused_in_words(project: str, curator: Session, method: str) -> None:
    held = curator.hold(f"{project}/real", "pull,push,delete")
    _refused_in_words(held.ask(method, f"/v2/{project}/real/manifests/v1"), method)


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "other.example")],
        [("Content-Length", "x")],
        [("Content-Length", "-1")],
        [("Transfer-Encoding", "chunked"), ("Content-Length", "5")],
        [("X-Large", "x" * 20_000)],
        [("Authorization", "Bearer " + "x" * 12_000)],
        [("Expect", "200-nothing")],
        [("Berth-Gateway-Token", "x"), ("Berth-Original-URI", "/v2/"), ("Berth-Original-Method", "GET")],
    ],
    ids=lambda headers: headers[0][0] + "-" + headers[0][1][:12],
)
def test_a_strange_header_opens_nothing_and_breaks_nothing(
    wire: Wire, project: str, headers: list[tuple[str, str]]
) -> None:
    answer = wire.ask("GET", f"/v2/{project}/real/manifests/v1", headers)
    assert 400 <= answer.status < 500, (answer.status, answer.body)
    assert answer.refusal[2].strip()


def test_an_unknown_transfer_encoding_is_refused_in_words(wire: Wire, project: str) -> None:
    answer = wire.ask("GET", f"/v2/{project}/real/manifests/v1", [("Transfer-Encoding", "what")])
    assert answer.refusal[:2] == (501, "UNSUPPORTED")  # RFC 9112, section 6.1


def test_plain_http_at_the_port_of_tls_is_refused_in_words(wire: Wire) -> None:
    assert wire.ask("GET", "/v2/", tls=False).refusal[0] == 400


def test_a_token_signed_by_another_key_is_refused(project: str, curator: Session) -> None:
    held = curator.hold(f"{project}/real", "pull")
    header, body, signature = held.bearer.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    claims = base64.urlsafe_b64encode(
        base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).replace(b'"pull"', b'"push"')
    ).decode()
    for forged in (f"{none}.{body}.", f"{header}.{claims.rstrip('=')}.{signature}", f"{header}.{body}.AAAA", "x", ""):
        ask = partial(replace(curator, bearer=forged).ask, "GET", f"/v2/{project}/real/manifests/v1")
        assert ask().refusal[:2] == (401, "UNAUTHORIZED")
