"""The catalog: moved tags, counts, the pusher, indexes, artifacts, referrers, listings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from berth.api.names import repository_object_name
from e2e.suite.content import MEDIA_INDEX, MEDIA_MANIFEST
from e2e.suite.crowd import Crowd, Projects
from e2e.suite.http import EMPTY_CONFIG, Session, digest_of, image, index
from e2e.suite.world import Cluster, eventually, project_object, with_page

SHOWN_TAGS = 30
PUSHED_TAGS = 35
ARTIFACT = "application/vnd.example.report.v1"


@pytest.fixture(scope="module")
def project(projects: Projects) -> str:
    return projects.make("index")


def status(cluster: Cluster, project: str, repository: str) -> dict[str, Any]:
    found = cluster.get("dockerrepository", repository_object_name(repository), f"berth-{project}")
    assert found is not None, f"DockerRepository of {repository} is not there"
    return dict(found["status"])


def shown(cluster: Cluster, project: str, repository: str) -> dict[str, str]:
    """Tags in the status with their digests, newest first."""
    return {tag["name"]: tag["digest"] for tag in status(cluster, project, repository).get("tags", [])}


def test_a_moved_tag_shows_its_new_digest_with_who_moved_it(cluster: Cluster, project: str, curator: Session) -> None:
    digests = []
    for content in (b"before", b"after"):
        pushed = curator.push(f"{project}/moved", "v1", content).must(201)
        digests.append(pushed.header("docker-content-digest"))
        eventually(lambda: shown(cluster, project, "moved") == {"v1": digests[-1]}, "the status shows the digest", 5)
    now = status(cluster, project, "moved")
    assert (now["tagCount"], now["digestCount"]) == (1, 2)
    assert (now["lastPush"]["tag"], now["lastPush"]["digest"]) == ("v1", digests[1])
    assert curator.person is not None
    assert now["lastPush"]["by"] == now["tags"][0]["pushedBy"] == curator.person.name
    assert now["tags"][0]["mediaType"] == MEDIA_MANIFEST
    assert curator.pull(f"{project}/moved", digests[0]).status == 200


def test_the_newest_thirty_tags_are_shown_and_all_are_counted_and_listed(
    cluster: Cluster, project: str, curator: Session
) -> None:
    repository = f"{project}/many/tags"
    held = curator.hold(repository)
    held.push(repository, "t00", b"layer").must(201)
    tags = [f"t{number:02}" for number in range(PUSHED_TAGS)]
    for tag in tags[1:]:
        held.put(repository, tag, image(b"layer", annotations={"tag": tag})).must(201)
    eventually(lambda: status(cluster, project, "many/tags")["tagCount"] == PUSHED_TAGS, "all are counted")
    assert list(shown(cluster, project, "many/tags")) == tags[: -SHOWN_TAGS - 1 : -1]
    assert status(cluster, project, "many/tags")["digestCount"] == PUSHED_TAGS
    listed = held.ask("GET", f"/v2/{repository}/tags/list").must(200).json
    assert sorted(listed["tags"]) == tags


def test_pushes_at_the_same_time_are_all_recorded(cluster: Cluster, project: str, curator: Session) -> None:
    repository = f"{project}/crowded"
    held = curator.hold(repository)
    held.push(repository, "first", b"layer").must(201)
    manifests = {f"p{number}": image(b"layer", annotations={"push": str(number)}) for number in range(12)}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda tag: held.put(repository, tag, manifests[tag]), manifests))
    assert [answer.status for answer in answers] == [201] * len(manifests)
    expected = {tag: digest_of(manifest) for tag, manifest in manifests.items()}
    eventually(lambda: expected.items() <= shown(cluster, project, "crowded").items(), "every push is shown")


def test_a_deleted_tag_leaves_the_status(cluster: Cluster, project: str, curator: Session) -> None:
    repository = f"{project}/shrinking"
    curator.push(repository, "stays", b"stays").must(201)
    gone = curator.push(repository, "goes", b"goes").must(201).header("docker-content-digest")
    eventually(lambda: set(shown(cluster, project, "shrinking")) == {"stays", "goes"}, "both are shown")
    curator.hold(repository, "delete").ask("DELETE", f"/v2/{repository}/manifests/{gone}").must(202)
    eventually(lambda: set(shown(cluster, project, "shrinking")) == {"stays"}, "one is left")
    assert curator.pull(repository, "goes").status == 404


def test_an_index_is_recorded_as_one_and_its_images_are_counted(
    cluster: Cluster, project: str, curator: Session
) -> None:
    repository = f"{project}/multi"
    held = curator.hold(repository)
    images = [image(layer, annotations={"for": layer.decode()}) for layer in (b"amd64", b"arm64")]
    for content in (EMPTY_CONFIG, b"amd64", b"arm64"):
        held.upload(repository, content).must(201)
    for manifest in images:
        held.put(repository, digest_of(manifest), manifest).must(201)
    both = index(*images)
    held.put(repository, "v1", both).must(201)
    eventually(lambda: shown(cluster, project, "multi") == {"v1": digest_of(both)}, "the index is shown")
    now = status(cluster, project, "multi")
    assert (now["tags"][0]["mediaType"], now["digestCount"]) == (MEDIA_INDEX, 3)
    assert held.pull(repository, "v1").body == both


def test_referrers_of_an_image_are_listed_and_filtered(project: str, curator: Session) -> None:
    repository = f"{project}/referred"
    held = curator.hold(repository)
    subject = image(b"layer")
    held.push(repository, "v1", b"layer").must(201)
    described = {"mediaType": MEDIA_MANIFEST, "digest": digest_of(subject), "size": len(subject)}
    artifacts = {
        kind: image(b"layer", subject=described, artifactType=kind)
        for kind in (ARTIFACT, "application/vnd.example.other")
    }
    for artifact in artifacts.values():
        answer = held.put(repository, digest_of(artifact), artifact).must(201)
        assert answer.header("oci-subject") == digest_of(subject)
    target = f"/v2/{repository}/referrers/{digest_of(subject)}"
    everything = held.ask("GET", target).must(200)
    assert everything.header("content-type") == MEDIA_INDEX
    assert _digests(everything.json) == {digest_of(artifact) for artifact in artifacts.values()}
    filtered = held.ask("GET", f"{target}?artifactType={ARTIFACT}").must(200)
    assert _digests(filtered.json) == {digest_of(artifacts[ARTIFACT])}
    assert filtered.header("oci-filters-applied") == "artifactType"
    unknown = held.ask("GET", f"/v2/{repository}/referrers/{digest_of(b'nothing')}").must(200)
    assert _digests(unknown.json) == set()


def _digests(document: Mapping[str, Any]) -> set[str]:
    return {entry["digest"] for entry in document["manifests"]}


def test_a_declared_project_refuses_an_undeclared_name_and_takes_a_declared_one(
    cluster: Cluster, projects: Projects, curator: Session
) -> None:
    name = projects.name("declared")
    cluster.apply(project_object(name, projects.crowd.sharing, repositoryCreation="Declared"))
    cluster.kubectl("wait", "--for=condition=Ready", f"project/{name}", "--timeout=60s").must()
    sentence = (
        f"{name}/tools does not exist, and project {name} creates no repository on push; "
        "apply a DockerRepository for it first."
    )
    refused = eventually(lambda: curator.push(f"{name}/tools", "v1", b"tools").refusal, "the push is refused")
    assert refused == (403, "DENIED", with_page(sentence, "push", f"{name}/tools"))
    assert cluster.get("dockerrepository", "tools", f"berth-{name}") is None
    cluster.apply(
        {
            "apiVersion": "berth.dev/v1alpha1",
            "kind": "DockerRepository",
            "metadata": {"name": "tools", "namespace": f"berth-{name}"},
            "spec": {"description": "what we build"},
        }
    )
    cluster.kubectl(
        "wait", "--for=condition=Pushable", "dockerrepository/tools", f"--namespace=berth-{name}", "--timeout=30s"
    ).must()
    pushed = eventually(lambda: curator.push(f"{name}/tools", "v1", b"tools").must(201), "the push is taken")
    eventually(lambda: "v1" in shown(cluster, name, "tools"), "the status shows the tag")
    declared = cluster.get("dockerrepository", "tools", f"berth-{name}") or {}
    assert declared["spec"] == {"description": "what we build"}
    assert declared["status"]["tags"][0]["digest"] == pushed.header("docker-content-digest")


def test_the_list_of_repositories_has_over_all_projects_what_one_may_view_page_by_page(
    projects: Projects, project: str, curator: Session, crowd: Crowd
) -> None:
    outsider = {"kind": "User", "name": crowd.outsider.name, "level": "View"}
    open_one = projects.make("shown", sharing=[*crowd.sharing, outsider])
    closed = projects.make("hidden")
    for repository in ("a", "b/c", "d"):
        curator.push(f"{open_one}/{repository}", "v1", b"layer").must(201)
    curator.push(f"{closed}/secret", "v1", b"layer").must(201)
    curator.push(f"{project}/seen", "v1", b"layer").must(201)
    visitor = replace(curator, person=crowd.outsider)
    expected = [f"{open_one}/{repository}" for repository in ("a", "b/c", "d")]
    eventually(lambda: _listed(visitor) == expected, "the outsider sees one project alone")
    eventually(
        lambda: {f"{closed}/secret", f"{project}/seen", *expected} <= set(_listed(curator)), "the curator sees all"
    )

    held = _lister(visitor)
    first = held.ask("GET", "/v2/_catalog?n=2").must(200)
    assert first.json["repositories"] == expected[:2]
    following = first.header("link").removeprefix("<").partition(">")[0]
    second = held.ask("GET", following).must(200)
    assert second.json["repositories"] == expected[2:]
    assert second.header("link") == ""


def _lister(session: Session) -> Session:
    return replace(session, bearer=session.token("registry:catalog:*"))


def _listed(session: Session) -> list[str]:
    return list(json.loads(_lister(session).ask("GET", "/v2/_catalog?n=1000").must(200).body)["repositories"])
