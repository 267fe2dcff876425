"""Access tokens made with `kubectl berth`: what is stored, what they allow, and how they end."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from e2e.suite.clients.refusal import TOKEN_REVOKED
from e2e.suite.clients.roundtrip import log_in_push_and_pull
from e2e.suite.clients.stage import Engines
from e2e.suite.crowd import Crowd, Projects
from e2e.suite.http import Session, Wire
from e2e.suite.plugin import Plugin, install_plugin
from e2e.suite.world import Cluster, Person, eventually, with_page

USED_SECONDS = 60


@pytest.fixture(scope="module")
def plugin(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    return install_plugin(cluster, tmp_path_factory.mktemp("plugin"))


@pytest.fixture(scope="module")
def project(projects: Projects, curator: Session) -> str:
    name = projects.make("tokens")
    curator.push(f"{name}/shelf", "v1", b"shelf").must(201)
    return name


@pytest.fixture
def name(cluster: Cluster) -> str:
    """A name for an AccessToken that no other run used."""
    return f"laptop-{secrets.token_hex(3)}"


def session(wire: Wire, cluster: Cluster, secret: str, user: str = "any name") -> Session:
    """A login with the token as the password."""
    return Session(wire, Person(user, secret, cluster.state))


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_new_tokens_secret_is_printed_once_and_the_cluster_keeps_its_hash_alone(
    cluster: Cluster, plugin: Plugin, crowd: Crowd, name: str
) -> None:
    made = plugin(
        "token", "create", name, f"--owner={crowd.curator.name}", "--scope=download", "--expires-in=1h"
    ).must()
    secret = made.out.strip()
    assert made.out == f"{secret}\n"
    assert secret not in made.err
    found = cluster.kubectl("get", "accesstoken", name, "--output=yaml", "--show-managed-fields").must().out
    spec = yaml.safe_load(found)["spec"]
    assert spec == {
        "owner": {"kind": "User", "name": crowd.curator.name},
        "scopes": ["download"],
        "sha256": sha256(secret),
        "expiresAt": spec["expiresAt"],
    }
    assert secret not in found
    assert secret not in (cluster.state / "log" / "audit.log").read_text()
    listed = plugin("token", "list", f"--owner={crowd.curator.name}").must().out
    assert name in listed
    assert secret not in listed


def test_a_token_made_for_git_counts_once_it_is_applied_and_not_before(
    cluster: Cluster, plugin: Plugin, wire: Wire, crowd: Crowd, project: str, name: str, tmp_path: Path
) -> None:
    kept = tmp_path / "secret"
    words = ("--scope=download", "--dry-run=client", "--output=yaml", f"--secret-file={kept}")
    made = plugin("token", "create", name, f"--owner={crowd.curator.name}", *words).must()
    secret = kept.read_text().strip()
    assert secret not in made.said
    assert cluster.get("accesstoken", name) is None
    login = session(wire, cluster, secret)
    assert login.token_answer().must(401).refusal[2] == TOKEN_REVOKED
    cluster.kubectl("apply", "--filename=-", stdin=made.out).must()
    eventually(lambda: login.pull(f"{project}/shelf", "v1").must(200), "the token pulls")


def test_docker_and_crane_log_in_with_a_token_under_any_user_name(
    cluster: Cluster,
    running: Engines,
    plugin: Plugin,
    wire: Wire,
    crowd: Crowd,
    project: str,
    name: str,
    tmp_path: Path,
) -> None:
    words = ("--scope=download", "--scope=modify")
    secret = plugin("token", "create", name, f"--owner={crowd.curator.name}", *words).must().out.strip()
    eventually(lambda: session(wire, cluster, secret).token_answer().must(200), "the token is known")
    log_in_push_and_pull(cluster, running, Person("another-name", secret, tmp_path), project)
    found = cluster.get("dockerrepository", "by-docker", f"berth-{project}") or {}
    assert found["status"]["lastPush"]["by"] == crowd.curator.name


def test_a_token_that_was_used_says_so_in_its_status(
    cluster: Cluster, plugin: Plugin, wire: Wire, crowd: Crowd, project: str, name: str
) -> None:
    made = plugin("token", "create", name, f"--owner={crowd.curator.name}", "--scope=download").must()
    assert "lastUsed" not in (cluster.get("accesstoken", name) or {}).get("status", {})
    login = session(wire, cluster, made.out.strip())
    eventually(lambda: login.pull(f"{project}/shelf", "v1").must(200), "the token pulls")

    def last_used() -> str:
        return str((cluster.get("accesstoken", name) or {})["status"].get("lastUsed", ""))

    last_used_at = eventually(last_used, "the status has the last use", USED_SECONDS)
    assert last_used_at.endswith(":00:00Z"), "to the hour and no finer"
    assert last_used_at in plugin("token", "list").must().out


def test_a_token_without_modify_pulls_and_its_push_is_refused_with_the_sentence(
    cluster: Cluster, plugin: Plugin, wire: Wire, crowd: Crowd, project: str, name: str
) -> None:
    made = plugin("token", "create", name, f"--owner={crowd.curator.name}", "--scope=download").must()
    login, repository = session(wire, cluster, made.out.strip()), f"{project}/shelf"
    eventually(lambda: login.pull(repository, "v1").must(200), "the token pulls")
    sentence = (
        f"The token of {crowd.curator.name} lacks the scope modify, which push on {repository} needs; "
        "use a token that has it."
    )
    refusal = login.start_upload(repository).must(403).refusal
    assert refusal == (403, "DENIED", with_page(sentence, "push", repository))


@pytest.mark.parametrize("way", ["kubectl delete", "kubectl berth token revoke"])
def test_a_revoked_token_is_refused_at_once_with_what_it_fetched_before(
    cluster: Cluster, plugin: Plugin, wire: Wire, crowd: Crowd, project: str, name: str, way: str
) -> None:
    made = plugin("token", "create", name, f"--owner={crowd.curator.name}", "--scope=download").must()
    login, repository = session(wire, cluster, made.out.strip()), f"{project}/shelf"
    eventually(lambda: login.pull(repository, "v1").must(200), "the token pulls")
    held = login.hold(repository, "pull")
    held.pull(repository, "v1").must(200)
    if way == "kubectl delete":
        cluster.kubectl("delete", "accesstoken", name).must()
    else:
        plugin("token", "revoke", name).must()
    eventually(lambda: held.pull(repository, "v1").must(403), "the pull is refused")
    assert held.pull(repository, "v1").refusal == (403, "DENIED", TOKEN_REVOKED)
    assert login.pull(repository, "v1").refusal == (403, "DENIED", TOKEN_REVOKED)
    assert login.token_answer().must(401).refusal[2] == TOKEN_REVOKED


def test_the_token_of_a_disabled_user_is_refused_at_once_and_counts_again_afterwards(
    cluster: Cluster,
    plugin: Plugin,
    wire: Wire,
    person: Callable[..., Person],
    curator: Session,
    project: str,
    name: str,
) -> None:
    owner, repository = person(f"owner-{name}"), f"{project}/shelf"
    sharing = (cluster.get("project", project) or {})["spec"]["sharing"]
    sharing.append({"kind": "User", "name": owner.name, "level": "Download"})
    cluster.patch("project", project, {"spec": {"sharing": sharing}}).must()
    made = plugin("token", "create", name, f"--owner={owner.name}", "--scope=download").must()
    login = session(wire, cluster, made.out.strip())
    eventually(lambda: login.pull(repository, "v1").must(200), "the token pulls")
    held = login.hold(repository, "pull")
    cluster.patch("registryuser", owner.name, {"spec": {"disabled": True}}).must()
    eventually(lambda: held.pull(repository, "v1").must(403), "the pull is refused")
    assert held.pull(repository, "v1").refusal[2] == (
        f"The user {owner.name} is disabled; ask your registry administrators to enable it."
    )
    assert login.token_answer().status == 401
    cluster.patch("registryuser", owner.name, {"spec": {"disabled": False}}).must()
    eventually(lambda: held.pull(repository, "v1").must(200), "the token that it holds pulls again")
