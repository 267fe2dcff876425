"""Into the trash and out again: every request is refused, nothing is lost, everything comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from berth.api.names import repository_object_name
from e2e.suite.clients.stage import json_items
from e2e.suite.crowd import Projects
from e2e.suite.http import Answer, Session
from e2e.suite.world import Cluster, await_ready, eventually, make_project, with_page

ATTEMPTS = 20
ACTIONS = {
    "pull": "pull",
    "pull by digest": "pull",
    "tags": "pull",
    "upload": "push",
    "push": "push",
    "delete": "delete",
}
REPOSITORY = "kept/in_order"
OTHER = "bystander"
PROPAGATIONS = ("foreground", "background", "orphan")


@dataclass(frozen=True)
class Bin:
    """A project, or one repository of it, that is put into the trash."""

    kind: str
    name: str
    namespace: str | None
    sentence: str

    def set(self, cluster: Cluster, *, trashed: bool) -> None:
        cluster.patch(self.kind, self.name, {"spec": {"trashed": trashed}}, self.namespace).must()

    def await_condition(self, cluster: Cluster, status: str) -> None:
        where = [f"--namespace={self.namespace}"] if self.namespace else []
        wanted = f"--for=condition=Trashed={status}"
        cluster.kubectl("wait", wanted, self.kind, self.name, *where, "--timeout=30s").must()


@pytest.fixture(scope="module")
def project(projects: Projects, curator: Session) -> str:
    """A project with two repositories; one has local sharing, with which the viewer may pull."""
    name = projects.make("attic")
    for repository in (REPOSITORY, OTHER):
        for tag in ("v1", "v2"):
            curator.push(f"{name}/{repository}", tag, tag.encode()).must(201)
    sharing = [
        {"kind": "User", "name": projects.crowd.curator.name, "level": "Administer"},
        {"kind": "User", "name": projects.crowd.viewer.name, "level": "Download"},
    ]
    where = f"berth-{name}"
    cluster, viewer = projects.cluster, replace(curator, person=projects.crowd.viewer)
    cluster.patch(
        "dockerrepository", repository_object_name(REPOSITORY), {"spec": {"localSharing": sharing}}, where
    ).must()
    eventually(lambda: viewer.pull(f"{name}/{REPOSITORY}", "v1").must(200), "the viewer can pull")
    return name


@pytest.fixture(params=["project", "dockerrepository"])
def trash(request: pytest.FixtureRequest, project: str) -> Bin:
    if request.param == "project":
        sentence = (
            f"Project {project} is in the trash, where every request is refused; "
            "ask someone with Administer to restore it."
        )
        return Bin("project", project, None, sentence)
    sentence = (
        f"{project}/{REPOSITORY} is in the trash, where every request is refused; "
        f"ask someone with EditAndDelete on project {project} to restore it."
    )
    return Bin("dockerrepository", repository_object_name(REPOSITORY), f"berth-{project}", sentence)


def pulls(session: Session, repository: str) -> dict[str, bytes]:
    """Every tag and what it names."""
    held = session.hold(repository, "pull")
    listed = held.ask("GET", f"/v2/{repository}/tags/list").must(200).json["tags"]
    return {tag: held.pull(repository, tag).must(200).body for tag in listed}


def test_from_the_moment_it_says_trashed_every_request_with_an_older_token_is_refused(
    cluster: Cluster, project: str, curator: Session, trash: Bin
) -> None:
    repository = f"{project}/{REPOSITORY}"
    older = curator.hold(repository, "pull,push,delete")
    digest = older.pull(repository, "v1").must(200).header("docker-content-digest")
    trash.set(cluster, trashed=True)
    try:
        trash.await_condition(cluster, "True")
        for _ in range(ATTEMPTS):
            answers: Mapping[str, Answer] = {
                "pull": older.pull(repository, "v1"),
                "pull by digest": older.pull(repository, digest),
                "tags": older.ask("GET", f"/v2/{repository}/tags/list"),
                "upload": older.start_upload(repository),
                "push": older.put(repository, "v1", b"{}"),
                "delete": older.ask("DELETE", f"/v2/{repository}/manifests/{digest}"),
            }
            for what, answer in answers.items():
                assert answer.refusal == (403, "DENIED", with_page(trash.sentence, ACTIONS[what], repository)), what
    finally:
        trash.set(cluster, trashed=False)
        trash.await_condition(cluster, "False")


def test_a_new_token_for_what_is_in_the_trash_is_refused_with_the_sentence(
    cluster: Cluster, project: str, curator: Session, trash: Bin
) -> None:
    repository = f"{project}/{REPOSITORY}"
    trash.set(cluster, trashed=True)
    try:
        trash.await_condition(cluster, "True")
        assert curator.pull(repository, "v1").refusal == (403, "DENIED", with_page(trash.sentence, "pull", repository))
        message = with_page(trash.sentence, "push", repository)
        assert curator.start_upload(repository).refusal == (403, "DENIED", message)
    finally:
        trash.set(cluster, trashed=False)
        trash.await_condition(cluster, "False")


def test_what_is_restored_is_what_it_was_with_tags_and_sharing(
    cluster: Cluster, project: str, curator: Session, projects: Projects, trash: Bin
) -> None:
    repository = f"{project}/{REPOSITORY}"
    viewer = replace(curator, person=projects.crowd.viewer)
    before = pulls(curator, repository), pulls(viewer, repository)
    policies = rules(cluster, project)
    trash.set(cluster, trashed=True)
    trash.await_condition(cluster, "True")
    trash.set(cluster, trashed=False)
    trash.await_condition(cluster, "False")
    eventually(lambda: curator.pull(repository, "v1").must(200), "the curator can pull again")
    assert (pulls(curator, repository), pulls(viewer, repository)) == before
    assert rules(cluster, project) == policies
    curator.push(repository, "v3", b"after the trash").must(201)


def rules(cluster: Cluster, project: str) -> dict[str, Any]:
    listed = cluster.kubectl("get", "accesspolicies", f"--namespace=berth-{project}", "--output=json").must()
    return {found["metadata"]["name"]: found["spec"] for found in json_items(listed.out)}


def test_a_trashed_repository_leaves_its_neighbours_alone(cluster: Cluster, project: str, curator: Session) -> None:
    trash = Bin("dockerrepository", repository_object_name(REPOSITORY), f"berth-{project}", "")
    trash.set(cluster, trashed=True)
    try:
        trash.await_condition(cluster, "True")
        curator.pull(f"{project}/{OTHER}", "v1").must(200)
        curator.push(f"{project}/{OTHER}", "v3", b"while its neighbour is away").must(201)
    finally:
        trash.set(cluster, trashed=False)
        trash.await_condition(cluster, "False")


@pytest.mark.parametrize("propagation", PROPAGATIONS)
def test_a_deleted_project_keeps_every_byte_and_says_so(
    cluster: Cluster, projects: Projects, curator: Session, propagation: str
) -> None:
    name = projects.make(f"gone-{propagation}")
    repository = f"{name}/precious"
    curator.push(repository, "v1", b"precious").must(201)
    claim = cluster.get("persistentvolumeclaim", "registry", f"berth-{name}") or {}
    before = files(cluster, claim)
    assert before

    cluster.kubectl("delete", "project", name, f"--cascade={propagation}", "--wait=false").must()

    def is_reported() -> bool:
        return cluster.condition("project", name, "Trashed").get("reason") == "ProjectDeleted"

    eventually(is_reported, "the project says that it is being deleted")
    assert cluster.condition("project", name, "Trashed")["message"] == (
        f"Project {name} is being deleted: every request is refused, the registry is stopped, "
        f"and namespace berth-{name} is kept with all its data. To bring it back: "
        f'kubectl patch project {name} --type=merge -p \'{{"metadata":{{"finalizers":null}}}}\', '
        "then apply the same Project again."
    )
    sentence = (
        f"Project {name} is in the trash, where every request is refused; ask someone with Administer to restore it."
    )
    assert curator.pull(repository, "v1").refusal == (403, "DENIED", with_page(sentence, "pull", repository))
    where = f"--namespace=berth-{name}"
    eventually(lambda: not json_items(cluster.kubectl("get", "pods", where, "--output=json").out), "no pod is left")
    kept = cluster.get("persistentvolumeclaim", "registry", f"berth-{name}") or {}
    assert kept["metadata"]["uid"] == claim["metadata"]["uid"]
    assert "deletionTimestamp" not in kept["metadata"]
    assert files(cluster, claim) == before
    volume = cluster.get("persistentvolume", claim["spec"]["volumeName"]) or {}
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


def test_a_deleted_project_comes_back_whole_by_what_its_status_says(
    cluster: Cluster, projects: Projects, curator: Session
) -> None:
    name = projects.make("returned")
    repository = f"{name}/precious"
    curator.push(repository, "v1", b"precious").must(201)
    before = pulls(curator, repository)
    cluster.kubectl("delete", "project", name, "--wait=false").must()
    eventually(lambda: cluster.condition("project", name, "Trashed").get("reason") == "ProjectDeleted", "it says so")

    cluster.kubectl("patch", "project", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}').must()
    cluster.kubectl("wait", "--for=delete", f"project/{name}", "--timeout=30s").must()
    make_project(cluster, name, projects.crowd.sharing)
    eventually(lambda: curator.pull(repository, "v1").must(200), "the image can be pulled")
    assert pulls(curator, repository) == before
    curator.push(repository, "v2", b"as before").must(201)


def files(cluster: Cluster, claim: Mapping[str, Any]) -> set[str]:
    """Every file on the claim's volume with its size."""
    volume = cluster.get("persistentvolume", claim["spec"]["volumeName"]) or {}
    source = volume["spec"].get("local") or volume["spec"]["hostPath"]
    return set(cluster.run("find", source["path"], "-type", "f", "-printf", "%P %s\n").must().out.splitlines())


def test_a_deleted_repository_keeps_its_images_and_says_so(cluster: Cluster, project: str, curator: Session) -> None:
    name, where = OTHER, f"--namespace=berth-{project}"
    cluster.kubectl("delete", "dockerrepository", name, where, "--wait=false").must()

    def is_reported() -> bool:
        return cluster.condition("dockerrepository", name, "Trashed", f"berth-{project}").get("reason") == (
            "RepositoryDeleted"
        )

    eventually(is_reported, "the repository says that it is being deleted")
    assert cluster.condition("dockerrepository", name, "Trashed", f"berth-{project}")["message"] == (
        f"Repository {name} is being deleted: every request is refused and its data is kept."
    )
    sentence = (
        f"{project}/{name} is in the trash, where every request is refused; "
        f"ask someone with EditAndDelete on project {project} to restore it."
    )
    refusal = with_page(sentence, "pull", f"{project}/{name}")
    assert curator.pull(f"{project}/{name}", "v1").refusal == (403, "DENIED", refusal)
    await_ready(cluster, project)
