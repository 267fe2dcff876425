"""Pods and in-cluster pipelines that push and pull by their ServiceAccount, with no stored secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from e2e.suite.clients.refusal import WRONG_PASSWORD
from e2e.suite.crowd import Projects
from e2e.suite.http import Session, Wire
from e2e.suite.pods import (
    CLUSTER_TOKEN,
    OTHER_TOKEN,
    REGISTRY_TOKEN,
    Workload,
    make_namespace,
    remove_namespace,
    start_workloads,
)
from e2e.suite.world import HOST, SYSTEM, Cluster, Person, Result, eventually, with_page

ACCOUNTS = ("pipeline", "novice", "stranger")
PIPELINE = """
import os, subprocess, sys, tarfile

def crane(*words, **how):
    done = subprocess.run([os.environ["CRANE"], *words], **how)
    if done.returncode:
        sys.exit(done.returncode)

action, token, reference = sys.argv[1:]
login = ("auth", "login", os.environ["REGISTRY"], "--username=anything", "--password-stdin")
with open(token, "rb") as secret:
    crane(*login, stdin=secret, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
if action == "push":
    with tarfile.open("/tmp/layer.tar", "w") as layer:
        layer.add(sys.executable, "built-here")
    crane("append", "--new_layer=/tmp/layer.tar", "--new_tag=" + reference)
else:
    crane("pull", reference, "/tmp/pulled.tar")
    print(os.path.getsize("/tmp/pulled.tar"), "bytes")
"""


@pytest.fixture(scope="module")
def workloads(cluster: Cluster) -> Iterator[Mapping[str, Workload]]:
    namespace = make_namespace(cluster, "builders")
    try:
        yield start_workloads(cluster, namespace, ACCOUNTS)
    finally:
        remove_namespace(cluster, namespace)


@pytest.fixture(scope="module")
def namespace(workloads: Mapping[str, Workload]) -> str:
    return workloads["pipeline"].namespace


@pytest.fixture(scope="module")
def project(cluster: Cluster, projects: Projects, namespace: str) -> Iterator[str]:
    """Two of the ServiceAccounts may edit it, and one of these is certified."""
    editors = [{"kind": "ServiceAccount", "name": f"{namespace}/{name}", "level": "Edit"} for name in ACCOUNTS[:2]]
    certified = certification({"kind": "ServiceAccount", "name": f"{namespace}/pipeline"}, namespace)
    cluster.apply(certified)
    yield projects.make("built", sharing=[*projects.crowd.sharing, *editors])
    cluster.kubectl("delete", "certification", namespace, "--ignore-not-found").must()


def certification(subject: Mapping[str, str], name: str) -> dict[str, Any]:
    return {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Certification",
        "metadata": {"name": name},
        "spec": {"subject": dict(subject), "certifiedBy": "registry-office"},
    }


def crane(workload: Workload, action: str, repository: str, token: str = REGISTRY_TOKEN) -> Result:
    """The workload logs in with one of its tokens, under any user name, and then pushes or pulls."""
    return workload.run(PIPELINE, action, token, f"{HOST}/{repository}:v1")


def test_a_pod_pushes_and_pulls_by_its_projected_token_and_is_shown_as_the_pusher(
    cluster: Cluster, workloads: Mapping[str, Workload], project: str, namespace: str
) -> None:
    pipeline, repository = workloads["pipeline"], f"{project}/built"
    eventually(lambda: crane(pipeline, "push", repository).must(), "the certified ServiceAccount pushes", every=1)
    assert "bytes" in crane(pipeline, "pull", repository).must().out

    def by() -> str:
        found = cluster.get("dockerrepository", "built", f"berth-{project}") or {}
        return str(found.get("status", {}).get("lastPush", {}).get("by", ""))

    eventually(lambda: by() == f"{namespace}/pipeline", "the status shows the push with the ServiceAccount")
    secrets = cluster.kubectl("get", "secrets", f"--namespace={namespace}", "--output=name").must()
    assert secrets.out.strip() == ""


def test_the_audit_log_has_the_pods_own_address_and_not_its_nodes(
    cluster: Cluster, workloads: Mapping[str, Workload], project: str, namespace: str
) -> None:
    stranger = workloads["stranger"]
    assert not crane(stranger, "pull", f"{project}/unseen").ok
    pod = cluster.get("pod", stranger.name, namespace) or {}

    def addresses() -> set[str]:
        logs = cluster.kubectl("logs", "deployment/berth-access", "--all-pods", f"--namespace={SYSTEM}").must()
        lines = (line.partition("] ")[2] for line in logs.out.splitlines() if f"{project}/unseen" in line)
        return {json.loads(line)["address"] for line in lines}

    eventually(lambda: addresses() == {pod["status"]["podIP"]}, "each line about the pull has the Pod's address")


def test_a_service_account_that_is_not_certified_reads_so_in_its_pod_and_may_pull(
    curator: Session, workloads: Mapping[str, Workload], project: str, namespace: str
) -> None:
    repository = f"{project}/shelf"
    curator.push(repository, "v1", b"shelf").must(201)
    refused = crane(workloads["novice"], "push", repository)
    sentence = (
        f"{namespace}/novice may edit {repository} but is not certified to push; "
        "ask your registry administrators for a Certification."
    )
    assert not refused.ok
    assert f"/v2/{repository}/blobs/uploads/: DENIED: {with_page(sentence, 'push', repository)}\n" in refused.said
    crane(workloads["novice"], "pull", repository).must()


def test_a_service_account_without_sharing_sees_nothing(
    workloads: Mapping[str, Workload], project: str, namespace: str
) -> None:
    repository = f"{project}/shelf"
    refused = crane(workloads["stranger"], "pull", repository)
    assert not refused.ok
    assert f"DENIED: {repository} does not exist or is not shared with {namespace}/stranger;" in refused.said


@pytest.mark.parametrize("token", [OTHER_TOKEN, CLUSTER_TOKEN], ids=["another-audience", "of-the-cluster"])
def test_a_token_that_is_not_meant_for_the_registry_is_refused(
    workloads: Mapping[str, Workload], project: str, token: str
) -> None:
    refused = crane(workloads["pipeline"], "pull", f"{project}/shelf", token)
    assert not refused.ok
    assert f"DENIED: {WRONG_PASSWORD}\n" in refused.said


def test_a_withdrawn_certification_stops_the_pushes_of_a_service_account_with_the_token_that_it_holds(
    cluster: Cluster, wire: Wire, workloads: Mapping[str, Workload], project: str, namespace: str
) -> None:
    subject = {"kind": "ServiceAccount", "name": f"{namespace}/novice"}
    cluster.apply(certification(subject, f"{namespace}-novice"))
    session = Session(wire, with_token(cluster, namespace, "novice"))
    repository = f"{project}/withdrawn"
    eventually(lambda: session.start_upload(repository).must(202), "the ServiceAccount may push")
    held = session.hold(repository)
    cluster.kubectl("delete", "certification", f"{namespace}-novice").must()
    eventually(lambda: held.start_upload(repository).must(403), "the push is refused")
    assert "is not certified to push" in held.start_upload(repository).refusal[2]


def with_token(cluster: Cluster, namespace: str, account: str) -> Person:
    """A login with a token as a projected volume has it."""
    made = cluster.kubectl("create", "token", account, f"--namespace={namespace}", f"--audience={HOST}").must()
    return Person("any-name", made.out.strip(), cluster.state)


def test_a_registry_user_that_lists_a_service_account_lends_it_its_rights_and_is_who_may_be_disabled(
    cluster: Cluster,
    wire: Wire,
    person: Callable[..., Person],
    workloads: Mapping[str, Workload],
    project: str,
    namespace: str,
) -> None:
    owner = person(f"owner-of-{namespace}", certified=True)
    identity = {"kubernetes": {"serviceAccounts": [f"{namespace}/stranger"]}}
    cluster.patch("registryuser", owner.name, {"spec": identity}).must()
    sharing = (cluster.get("project", project) or {})["spec"]["sharing"]
    sharing.append({"kind": "User", "name": owner.name, "level": "Edit"})
    cluster.patch("project", project, {"spec": {"sharing": sharing}}).must()
    repository = f"{project}/lent"
    eventually(lambda: crane(workloads["stranger"], "push", repository).must(), "the Pod pushes as the user", every=1)
    held = Session(wire, with_token(cluster, namespace, "stranger")).hold(repository)
    held.pull(repository, "v1").must(200)
    cluster.patch("registryuser", owner.name, {"spec": {"disabled": True}}).must()
    eventually(lambda: held.pull(repository, "v1").must(403), "the pull is refused")
    assert held.pull(repository, "v1").refusal[2] == (
        f"The user {owner.name} is disabled; ask your registry administrators to enable it."
    )
