"""Failures in the middle of an operation: of uploads, the registry, access, the catalog, the API server."""

from __future__ import annotations

import secrets

import pytest

from e2e.suite.clients.stage import json_items
from e2e.suite.crowd import Crowd, Projects
from e2e.suite.http import Answer, Headers, Session, digest_of, image, location, with_query
from e2e.suite.outage import meanwhile, restarts
from e2e.suite.world import SYSTEM, Cluster, await_ready, eventually

MIB = 1024 * 1024
SERVED_PULLS = 20
BYTES: Headers = (("Content-Type", "application/octet-stream"),)


@pytest.fixture(scope="module")
def project(projects: Projects, curator: Session) -> str:
    name = projects.make("sturdy")
    curator.push(f"{name}/steady", "v1", b"steady").must(201)
    return name


def test_an_upload_cut_in_the_middle_goes_on_where_it_was_cut(project: str, curator: Session) -> None:
    repository = f"{project}/resumed"
    held = curator.hold(repository)
    content = secrets.token_bytes(4 * MIB)
    upload = location(held.start_upload(repository).must(202))
    held.ask("PATCH", upload, BYTES, content, cut=3 * MIB)

    def settled() -> Answer | None:
        """The status, once the registry has noticed that nothing more comes."""
        first, second = (held.ask("GET", upload) for _ in range(2))
        same = first.status == second.status == 204 and first.header("range") == second.header("range")
        return second if same and int(second.header("range").partition("-")[2]) > 0 else None

    def resumed() -> Answer:
        """The rest is sent. The registry may still have taken something after it said how far it came (a 416)."""
        status = eventually(settled, "the upload says how far it came")
        have = int(status.header("range").partition("-")[2]) + 1
        assert 0 < have <= 3 * MIB
        rest = (*BYTES, ("Content-Range", f"{have}-{len(content) - 1}"))
        return held.ask("PATCH", location(status), rest, content[have:]).must(202)

    patched = eventually(resumed, "the upload goes on where it was cut")
    held.ask("PUT", with_query(location(patched), f"digest={digest_of(content)}")).must(201)
    held.upload(repository, b"{}").must(201)
    held.put(repository, "v1", image(content)).must(201)
    assert held.blob(repository, digest_of(content)).must(200).body == content


def test_a_push_whose_bytes_are_not_those_announced_leaves_nothing(project: str, curator: Session) -> None:
    repository = f"{project}/mistaken"
    held = curator.hold(repository)
    upload = location(held.start_upload(repository).must(202))
    wrong = held.ask("PUT", with_query(upload, f"digest={digest_of(b'announced')}"), BYTES, b"sent")
    assert wrong.status == 400
    assert held.blob(repository, digest_of(b"announced")).status == 404
    assert held.blob(repository, digest_of(b"sent")).status == 404


def test_a_registry_killed_in_the_middle_of_a_push_leaves_no_half_tag_and_takes_the_next_push(
    cluster: Cluster, project: str, curator: Session
) -> None:
    repository = f"{project}/killed"
    held = curator.hold(repository)
    content = secrets.token_bytes(2 * MIB)
    upload = location(held.start_upload(repository).must(202))
    patched = held.ask("PATCH", upload, BYTES, content[:MIB]).must(202)
    where = f"--namespace=berth-{project}"
    killed = cluster.kubectl("get", "pods", where, "--output=name").must().out.split()
    cluster.kubectl("delete", where, *killed, "--grace-period=1", "--wait=false").must()

    finished = held.ask("PUT", with_query(location(patched), f"digest={digest_of(content)}"), BYTES, content[MIB:])
    if finished.status != 201:
        assert finished.refusal[2]
    manifest = held.put(repository, "v1", image(content)).must(400, 502, 503)
    assert manifest.json["errors"][0]["message"].strip()
    assert cluster.get("dockerrepository", "killed", f"berth-{project}") is None

    cluster.kubectl("wait", "--for=delete", where, *killed, "--timeout=60s").must()
    await_ready(cluster, project)
    eventually(lambda: curator.push(repository, "v1", content).must(201), "the next push succeeds")
    assert curator.blob(repository, digest_of(content)).must(200).body == content

    def recorded() -> bool:
        found = cluster.get("dockerrepository", "killed", f"berth-{project}") or {}
        return [tag["name"] for tag in found.get("status", {}).get("tags", [])] == ["v1"]

    eventually(recorded, "the tag is recorded")


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_access_that_goes_in_the_middle_of_pushes_fails_none_that_is_tried_twice(
    cluster: Cluster, project: str, curator: Session, how: str
) -> None:
    repository = f"{project}/busy-{how}"
    retries: list[str] = []

    def push_once_or_twice() -> None:
        tag = secrets.token_hex(4)
        try:
            curator.push(repository, tag, tag.encode()).must(201)
        except AssertionError as problem:
            retries.append(str(problem))
            eventually(lambda: curator.push(repository, tag, tag.encode()).must(201), "the retry succeeds", seconds=5)

    where = f"--namespace={SYSTEM}"
    with meanwhile(push_once_or_twice) as pushing:
        if how == "restarted":
            cluster.kubectl("rollout", "restart", "deployment/berth-access", where).must()
        else:
            pods = cluster.kubectl(
                "get", "pods", where, "--selector=app.kubernetes.io/component=access", "--output=json"
            ).must()
            # A Pod of the rollout before may still be on its way out.
            staying = [pod for pod in json_items(pods.out) if "deletionTimestamp" not in pod["metadata"]]
            victim = staying[0]["metadata"]["name"]
            cluster.kubectl("delete", "pod", victim, where, "--grace-period=0", "--force").must()
        cluster.kubectl("rollout", "status", "deployment/berth-access", where, "--timeout=90s").must()
    print(f"access {how}: {pushing.done} pushes, of which {len(retries)} were tried again: {retries}")
    assert pushing.failures == []
    if how == "restarted":
        assert retries == []
    tags = curator.hold(repository, "pull").ask("GET", f"/v2/{repository}/tags/list").must(200).json["tags"]

    def all_counted() -> bool:
        found = cluster.get("dockerrepository", f"busy-{how}", f"berth-{project}") or {}
        return bool(found.get("status", {}).get("tagCount") == len(tags))

    eventually(all_counted, "the catalog counts what the registry has")


def test_without_the_catalog_pushes_are_refused_with_the_sentence_and_pulls_go_on(
    cluster: Cluster, project: str, curator: Session
) -> None:
    repository = f"{project}/steady"
    scale(cluster, "berth-catalog", 0)
    try:
        refused = curator.push(repository, "v2", b"unrecorded")
        sentence = (
            f"The catalog cannot record this change to {repository} at the moment, so it was refused; "
            "try again in a minute."
        )
        assert refused.refusal == (403, "DENIED", sentence)
        assert curator.pull(repository, "v1").status == 200
        assert curator.pull(repository, "v2").status == 404
    finally:
        scale(cluster, "berth-catalog", 1)
    eventually(lambda: curator.push(repository, "v2", b"recorded").must(201), "a push is taken again")

    def shown() -> bool:
        found = cluster.get("dockerrepository", "steady", f"berth-{project}") or {}
        return {tag["name"] for tag in found.get("status", {}).get("tags", [])} == {"v1", "v2"}

    eventually(shown, "the tag is shown")


def scale(cluster: Cluster, deployment: str, replicas: int) -> None:
    where = f"--namespace={SYSTEM}"
    cluster.kubectl("scale", f"deployment/{deployment}", where, f"--replicas={replicas}").must()
    component = deployment.removeprefix("berth-")
    chosen = f"--selector=app.kubernetes.io/component={component}"

    def so_many() -> bool:
        listed = json_items(cluster.kubectl("get", "pods", where, chosen, "--output=json").must().out)
        return len(listed) == replicas

    eventually(so_many, f"{deployment} has {replicas} pods")
    if replicas:
        cluster.kubectl("rollout", "status", f"deployment/{deployment}", where, "--timeout=60s").must()


def test_without_the_operator_pushes_and_pulls_go_on_and_the_repository_appears(
    cluster: Cluster, project: str, curator: Session
) -> None:
    scale(cluster, "berth-operator", 0)
    try:
        curator.push(f"{project}/unattended", "v1", b"unattended").must(201)
        curator.pull(f"{project}/unattended", "v1").must(200)
        eventually(lambda: cluster.get("dockerrepository", "unattended", f"berth-{project}"), "it appears")
    finally:
        scale(cluster, "berth-operator", 1)
    wanted = "--for=condition=Ready"
    cluster.kubectl(
        "wait", wanted, "dockerrepository/unattended", f"--namespace=berth-{project}", "--timeout=60s"
    ).must()


def test_access_that_starts_again_while_the_api_server_is_away_serves_by_the_policy_that_it_stored(
    cluster: Cluster, project: str, curator: Session, crowd: Crowd
) -> None:
    repository, outsider = f"{project}/steady", Session(curator.wire, crowd.outsider)
    held = curator.hold(repository)
    cluster.await_settled()
    before, started = access_processes(cluster), restarts(cluster)
    assert len(before) >= 2
    cluster.component("kill", "kube-apiserver")
    try:
        cluster.run("kill", "-KILL", *before).must()

        def all_new() -> bool:
            present = access_processes(cluster)
            return len(present) == len(before) and present.isdisjoint(before)

        eventually(all_new, "the kubelet has started access again, in place", every=0.05)
        eventually(lambda: served(curator, repository), "every replica serves, with new tokens")
        assert served(held, repository), "with a token of before"
        curator.push(f"{project}/stored", "v1", b"by the stored policy").must(201)
        outsider.pull(repository, "v1").must(403)  # no user gets more than before
    finally:
        cluster.bring_back_api_server()
    once_more = {name: count + name.endswith("/access") for name, count in started.items()}
    eventually(lambda: restarts(cluster) == once_more, "the kubelet reports that it started access, and nothing else")
    # It reports the start first and then that the Pod is ready; until then the Service has no address.
    cluster.await_settled()
    eventually(lambda: served(curator, repository), "every replica serves again")
    sharing = [*crowd.sharing, {"kind": "AuthenticatedUsers", "level": "Download"}]
    cluster.patch("project", project, {"spec": {"sharing": sharing}}).must()
    eventually(lambda: outsider.pull(repository, "v1").must(200), "the cluster's own policy counts again")


def access_processes(cluster: Cluster) -> set[str]:
    """Process ids of access."""
    return set(cluster.run("pgrep", "--full", "berth access$").out.split())


def served(session: Session, repository: str) -> bool:
    """Whether many pulls in a row, which meet every replica, are served."""
    try:
        return all(session.pull(repository, "v1").status == 200 for _ in range(SERVED_PULLS))
    except AssertionError:
        return False
