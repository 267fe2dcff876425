"""Logins with access tokens of an identity provider: names, groups and scopes, and a provider that is away."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from e2e.suite import issuer as provider
from e2e.suite.clients.refusal import WRONG_PASSWORD
from e2e.suite.clients.roundtrip import log_in_push_and_pull
from e2e.suite.clients.stage import Engines, json_items
from e2e.suite.crowd import Projects
from e2e.suite.http import Session, Wire
from e2e.suite.issuer import (
    AWAY,
    CLUSTER_AUDIENCE,
    CLUSTER_PREFIX,
    GUEST,
    HOST,
    ISSUER,
    PREFIX,
    RESEARCHER,
    Issuer,
    cluster_issuer,
)
from e2e.suite.pods import make_namespace, remove_namespace, service_account
from e2e.suite.world import SYSTEM, Cluster, Person, eventually, with_page

SEVERAL = 10
"""Logins in a row, which meet every replica of access."""
RESEARCHERS = {"kind": "Group", "name": f"{PREFIX}lab-42", "level": "Edit"}
AWAY_SENTENCE = (
    "The identity provider {} does not answer, so its token cannot be checked; "
    "try again in a minute, or log in with a password or another token."
)


@pytest.fixture(scope="module")
def issuer(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """The provider, running; tests that stop it come after those that need it."""
    try:
        made = provider.set_up(cluster, tmp_path_factory.mktemp("issuer"))
        made.start()
        yield made
        made.stop()
    finally:
        provider.remove(cluster)


@pytest.fixture(scope="module")
def project(cluster: Cluster, projects: Projects, curator: Session) -> Iterator[str]:
    """Shared with a group of the provider; its researcher is certified by the RegistryUser that lists the login."""
    user = f"researcher-{secrets.token_hex(3)}"
    listed = {"type": "Person", "kubernetes": {"users": [f"{PREFIX}id1"]}}
    certified = {"subject": {"kind": "User", "name": user}, "certifiedBy": "registry-office"}
    made: list[tuple[str, dict[str, Any]]] = [("RegistryUser", listed), ("Certification", certified)]
    for kind, spec in made:
        cluster.apply({"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": {"name": user}, "spec": spec})
    name = projects.make("identity", sharing=[*projects.crowd.sharing, RESEARCHERS])
    curator.push(f"{name}/shelf", "v1", b"shelf").must(201)
    yield name
    cluster.kubectl("delete", "certification,registryuser", user).must()


def session(cluster: Cluster, wire: Wire, token: str) -> Session:
    """A login with the token as the password, under any user name."""
    return Session(wire, Person("any-name", token, cluster.state))


def test_docker_and_crane_log_in_with_an_access_token_and_the_rights_of_its_groups(
    cluster: Cluster, running: Engines, issuer: Issuer, project: str, tmp_path: Path
) -> None:
    token = issuer.log_in(RESEARCHER, "download", "modify")
    log_in_push_and_pull(cluster, running, Person("any-name", token, tmp_path), project)
    found = cluster.get("dockerrepository", "by-crane", f"berth-{project}") or {}
    assert found["status"]["lastPush"]["by"] == f"{PREFIX}id1"


def test_the_scopes_and_groups_of_a_token_bound_what_it_may_do(
    cluster: Cluster, wire: Wire, issuer: Issuer, project: str
) -> None:
    repository, someone = f"{project}/shelf", f"{PREFIX}id1"
    token = issuer.log_in(RESEARCHER, "download")
    reader = session(cluster, wire, token)
    reader.pull(repository, "v1").must(200)
    sentence = f"The token of {someone} lacks the scope modify, which push on {repository} needs; "
    sentence += "use a token that has it."
    message = reader.start_upload(repository).must(403).refusal
    assert message == (403, "DENIED", with_page(sentence, "push", repository))
    guest = session(cluster, wire, issuer.log_in(GUEST, "download", "modify"))
    outside = guest.pull(repository, "v1").must(403).refusal[2]
    assert outside.startswith(f"{repository} does not exist or is not shared with {PREFIX}id2;")
    head, body, signature = token.split(".")
    forged = session(cluster, wire, f"{head}.{body[:-4]}AAAA.{signature}")
    assert forged.token_answer().must(401).refusal[2] == WRONG_PASSWORD


def test_a_login_by_a_key_that_is_new_at_the_provider_works_at_once_at_every_replica(
    cluster: Cluster, wire: Wire, issuer: Issuer, project: str
) -> None:
    issuer.log_in(RESEARCHER, "download")
    for _ in range(2):
        issuer.stop()
        issuer.start()  # it has another key now
        login = session(cluster, wire, issuer.log_in(RESEARCHER, "download"))
        for _ in range(SEVERAL):
            login.pull(f"{project}/shelf", "v1").must(200)


def test_replicas_that_have_just_started_know_the_providers_keys_before_the_first_login(
    cluster: Cluster, wire: Wire, issuer: Issuer, project: str
) -> None:
    login = session(cluster, wire, issuer.log_in(RESEARCHER, "download"))
    where = f"--namespace={SYSTEM}"
    cluster.kubectl("rollout", "restart", "deployment/berth-access", where).must()
    cluster.kubectl("rollout", "status", "deployment/berth-access", where, "--timeout=90s").must()
    cluster.await_settled()
    eventually(lambda: all_have_read(cluster), "each replica has read the keys")
    issuer.stop()
    for _ in range(SEVERAL):
        login.pull(f"{project}/shelf", "v1").must(200)
    issuer.start()


def all_have_read(cluster: Cluster) -> bool:
    """Whether every replica of access says that it has read the provider's keys."""
    where, chosen = f"--namespace={SYSTEM}", "--selector=app.kubernetes.io/component=access"
    present = json_items(cluster.kubectl("get", "pods", where, chosen, "--output=json").must().out)
    staying = {pod["metadata"]["name"] for pod in present if "deletionTimestamp" not in pod["metadata"]}
    logs = cluster.kubectl("logs", where, chosen, "--prefix", "--tail=-1").must().out.splitlines()
    lines = [line for line in logs if ISSUER in line and "signing keys fetched" in line]
    return all(any(f"/{name}/" in line for line in lines) for name in staying)


def test_a_provider_that_is_away_harms_its_own_new_logins_alone_and_they_say_so(
    cluster: Cluster, wire: Wire, issuer: Issuer, project: str, curator: Session
) -> None:
    repository = f"{project}/shelf"
    held = session(cluster, wire, issuer.log_in(RESEARCHER, "download")).hold(repository, "pull")
    issuer.stop()
    issuer.start()  # it has another key now, which no process has read when it goes away again
    unknown = session(cluster, wire, issuer.log_in(RESEARCHER, "download"))
    issuer.stop()
    message = AWAY_SENTENCE.format(HOST)
    eventually(
        lambda: unknown.token_answer().refusal == (401, "UNAUTHORIZED", message), "the login says that it is away"
    )
    held.pull(repository, "v1").must(200)
    curator.pull(repository, "v1").must(200)
    issuer.start()
    back = session(cluster, wire, issuer.log_in(RESEARCHER, "download"))
    eventually(lambda: back.pull(repository, "v1").must(200), "the new key is found")


@pytest.fixture
def builder(cluster: Cluster) -> Iterator[str]:
    """A namespace with the ServiceAccount `ci`, whose tokens the cluster vouches for as a provider."""
    namespace = make_namespace(cluster, "builder")
    try:
        cluster.apply(service_account(namespace, "ci"))
        with cluster_issuer(cluster):
            yield namespace
    finally:
        remove_namespace(cluster, namespace)


def test_docker_and_crane_log_in_with_a_token_of_the_api_servers_own_issuer_under_the_name_that_it_proves(
    cluster: Cluster, running: Engines, wire: Wire, projects: Projects, builder: str, tmp_path: Path
) -> None:
    name, user = f"{CLUSTER_PREFIX}system:serviceaccount:{builder}:ci", builder
    listed = {"type": "Robot", "kubernetes": {"users": [name]}}
    cluster.apply(
        {"apiVersion": "berth.dev/v1alpha1", "kind": "RegistryUser", "metadata": {"name": user}, "spec": listed}
    )
    project = projects.make(
        "vouched", sharing=[*projects.crowd.sharing, {"kind": "Robot", "name": user, "level": "Edit"}]
    )
    made = cluster.kubectl("create", "token", "ci", f"--namespace={builder}", f"--audience={CLUSTER_AUDIENCE}").must()
    login = session(cluster, wire, made.out.strip())
    repository = f"{project}/by-crane"

    def known_everywhere() -> bool:
        return all(login.token_answer().status == 200 for _ in range(SEVERAL))

    eventually(known_everywhere, "every replica has read the cluster's keys as this issuer's")
    message = with_page(
        f"{name} may edit {repository} but is not certified to push; "
        "ask your registry administrators for a Certification.",
        "push",
        repository,
    )
    assert login.start_upload(repository).must(403).refusal == (403, "DENIED", message)
    cluster.apply(
        {
            "apiVersion": "berth.dev/v1alpha1",
            "kind": "Certification",
            "metadata": {"name": user},
            "spec": {"subject": {"kind": "Robot", "name": user}, "certifiedBy": "registry-office"},
        }
    )
    eventually(lambda: login.start_upload(repository).must(202), "the certification counts")
    log_in_push_and_pull(cluster, running, Person("any-name", made.out.strip(), tmp_path), project)
    found = cluster.get("dockerrepository", "by-crane", f"berth-{project}") or {}
    assert found["status"]["lastPush"]["by"] == name
    other = cluster.kubectl("create", "token", "ci", f"--namespace={builder}", "--audience=elsewhere").must()
    assert session(cluster, wire, other.out.strip()).token_answer().must(401).refusal[2] == WRONG_PASSWORD
    cluster.kubectl("delete", "certification,registryuser", user).must()


def test_a_provider_that_never_answered_is_named_by_its_own_logins_and_no_other(
    cluster: Cluster, wire: Wire, project: str, curator: Session
) -> None:
    key, repository = ec.generate_private_key(ec.SECP256R1()), f"{project}/shelf"
    claims = {"iss": f"https://{AWAY}/", "sub": "ada", "aud": "web", "exp": int(time.time()) + 600}
    login = session(cluster, wire, jwt.encode(claims, key, "ES256", headers={"kid": "first"}))
    message = AWAY_SENTENCE.format(AWAY)
    assert login.token_answer().refusal == (401, "UNAUTHORIZED", message)
    assert login.pull(repository, "v1").refusal == (403, "DENIED", message)
    curator.pull(repository, "v1").must(200)
