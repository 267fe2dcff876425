"""A Project on a real cluster: its children are made and put back, changes take effect, and failures are reported."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from berth.status.conditions import check_invariants
from e2e.suite.clients.stage import json_items
from e2e.suite.crowd import Crowd, Projects
from e2e.suite.http import Session
from e2e.suite.world import HOST, Cluster, await_ready, eventually, project_object, with_page

KINDS = ("projects", "dockerrepositories", "registryusers", "certifications")
REGISTRY_VERSION = "3.1.2"
READY_SECONDS = 30
PUT_BACK_SECONDS = 10


@dataclass(frozen=True)
class Child:
    """One object that a project yields, and a change by hand that Berth undoes. `data`: deleting it would lose data."""

    kind: str
    name: str
    change: Mapping[str, Any]
    data: bool = False

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}"


CHILDREN = (
    Child("persistentvolumeclaim", "registry", {"metadata": {"labels": {"berth.dev/project": "other"}}}, data=True),
    Child("secret", "registry", {"stringData": {"config.yml": "version: 0.1"}}),
    Child("deployment", "registry", {"spec": {"replicas": 0}}),
    Child("service", "registry", {"spec": {"ports": [{"name": "registry", "port": 5999}]}}),
    Child("networkpolicy", "registry", {"spec": {"ingress": [{}]}}),
    Child("networkpolicy", "default-deny", {"spec": {"policyTypes": ["Ingress"]}}),
    Child("accesspolicy", "project", {"spec": {"rules": []}}),
    Child("rolebinding", "berth-operator", {"subjects": []}),
    Child("role", "berth-administer", {"rules": []}),
    Child("rolebinding", "berth-administer", {"subjects": []}),
)


@pytest.fixture(scope="module")
def project(projects: Projects) -> str:
    return projects.make("garden")


def namespace(project: str) -> str:
    return f"berth-{project}"


def essence(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """An object's desired content, without what the cluster adds."""
    assert found is not None, "it is not there"
    kept = {key: value for key, value in found.items() if key not in {"metadata", "status"}}
    return {**kept, "labels": found["metadata"].get("labels", {})}


def test_a_project_is_ready_soon_and_says_where_what_and_how_large_it_is(cluster: Cluster, projects: Projects) -> None:
    name = projects.name("prompt")
    began = time.monotonic()
    cluster.apply(project_object(name, projects.crowd.sharing))
    await_ready(cluster, name, READY_SECONDS)
    print(f"time to Ready: {time.monotonic() - began:.1f} s")
    status = (cluster.get("project", name) or {})["status"]
    shown = {key: status[key] for key in ("namespace", "address", "registryVersion", "storage", "repositories")}
    assert shown == {
        "namespace": namespace(name),
        "address": f"{HOST}/{name}",
        "registryVersion": REGISTRY_VERSION,
        "storage": {"capacity": "1Gi"},
        "repositories": 0,
    }
    assert status["observedGeneration"] == 1


@pytest.mark.parametrize("child", CHILDREN, ids=str)
def test_a_child_is_in_the_inventory_with_the_projects_label(cluster: Cluster, project: str, child: Child) -> None:
    found = cluster.get(child.kind, child.name, namespace(project))
    assert found is not None
    labels = found["metadata"]["labels"]
    assert (labels["berth.dev/project"], labels["app.kubernetes.io/part-of"]) == (project, "berth")
    assert "ownerReferences" not in found["metadata"]
    inventory = (cluster.get("project", project) or {})["status"]["inventory"]
    assert (found["kind"], child.name) in {(entry["kind"], entry["name"]) for entry in inventory}


def test_the_namespace_refuses_a_pod_that_pod_security_restricted_does_not_allow(
    cluster: Cluster, project: str
) -> None:
    refused = cluster.kubectl(
        "run", "root", "--image=berth.local/pause:dev", f"--namespace={namespace(project)}", "--dry-run=server"
    )
    assert not refused.ok
    assert 'violates PodSecurity "restricted:latest"' in refused.said


@pytest.mark.parametrize("child", [child for child in CHILDREN if not child.data], ids=str)
def test_a_child_deleted_by_hand_is_put_back(cluster: Cluster, project: str, child: Child) -> None:
    where = f"--namespace={namespace(project)}"
    before = cluster.get(child.kind, child.name, namespace(project))
    cluster.kubectl("delete", child.kind, child.name, where, "--wait=false").must()
    _put_back(cluster, project, child, before)
    await_ready(cluster, project)


@pytest.mark.parametrize("child", CHILDREN, ids=str)
def test_a_child_edited_by_hand_is_put_back(cluster: Cluster, project: str, child: Child) -> None:
    before = cluster.get(child.kind, child.name, namespace(project))
    cluster.patch(child.kind, child.name, child.change, namespace(project)).must()
    _put_back(cluster, project, child, before)
    await_ready(cluster, project)


def _put_back(cluster: Cluster, project: str, child: Child, before: Mapping[str, Any] | None) -> None:
    expected = _comparable(essence(before))

    def is_back() -> bool:
        found = cluster.get(child.kind, child.name, namespace(project))
        assert _comparable(essence(found)) == expected
        return found is not None and "deletionTimestamp" not in found["metadata"]

    eventually(is_back, f"{child} is as it was", seconds=PUT_BACK_SECONDS)


def _comparable(found: dict[str, Any]) -> dict[str, Any]:
    """Without the addresses that the cluster gives a Service anew."""
    spec = {key: value for key, value in found.get("spec", {}).items() if key not in {"clusterIP", "clusterIPs"}}
    return {**found, "spec": spec} if "spec" in found else found


def test_a_namespace_whose_pod_security_was_lowered_is_raised_again(cluster: Cluster, project: str) -> None:
    label = "pod-security.kubernetes.io/enforce"
    cluster.kubectl("label", "namespace", namespace(project), f"{label}=privileged", "--overwrite").must()

    def restricted() -> bool:
        return bool((cluster.get("namespace", namespace(project)) or {})["metadata"]["labels"][label] == "restricted")

    eventually(restricted, "the namespace enforces restricted", seconds=PUT_BACK_SECONDS)


def test_a_member_manages_repositories_with_kubectl_as_far_as_the_level_goes(
    cluster: Cluster, project: str, crowd: Crowd
) -> None:
    def may(*what: str) -> bool:
        answer = cluster.kubectl(
            "auth", "can-i", *what, f"--namespace={namespace(project)}", f"--as={crowd.kubernetes_user}"
        )
        return answer.ok

    assert may("delete", "dockerrepositories.berth.dev")
    assert may("list", "accesspolicies.berth.dev")
    assert not may("patch", "accesspolicies.berth.dev")
    assert not may("get", "secrets")


def test_storage_grows_when_the_spec_asks_for_more(cluster: Cluster, project: str) -> None:
    cluster.patch("project", project, _size("2Gi")).must()

    def grown() -> bool:
        claim = cluster.get("persistentvolumeclaim", "registry", namespace(project)) or {}
        status = (cluster.get("project", project) or {})["status"]
        return bool(claim["status"]["capacity"]["storage"] == "2Gi" and status["storage"]["capacity"] == "2Gi")

    eventually(grown, "claim and status say 2Gi")
    await_ready(cluster, project)


def test_storage_that_should_shrink_is_refused_with_the_next_step(cluster: Cluster, project: str) -> None:
    refused = cluster.patch("project", project, _size("512Mi"))
    assert not refused.ok
    assert "spec.storage.persistentVolumeClaim.size" in refused.said
    assert "may only grow: write 2Gi or more, or create a smaller Project and copy the images" in refused.said


def _size(size: str) -> dict[str, Any]:
    return {"spec": {"storage": {"persistentVolumeClaim": {"size": size}}}}


def test_resources_of_the_registry_follow_the_spec(cluster: Cluster, project: str) -> None:
    cluster.patch("project", project, {"spec": {"registry": {"resources": {"limits": {"memory": "200Mi"}}}}}).must()

    def limited() -> bool:
        listed = cluster.kubectl("get", "pods", f"--namespace={namespace(project)}", "--output=json").must()
        pods = json_items(listed.out)
        return [pod["spec"]["containers"][0]["resources"]["limits"]["memory"] for pod in pods] == ["200Mi"]

    eventually(limited, "the one registry pod has the new limit")
    await_ready(cluster, project)


def test_a_suspended_project_has_no_pod_says_so_to_clients_and_comes_back_as_it_was(
    cluster: Cluster, project: str, curator: Session
) -> None:
    repository = f"{project}/kept"
    curator.push(repository, "v1", b"layer").must(201)
    before = curator.pull(repository, "v1").must(200)
    deployment = essence(cluster.get("deployment", "registry", namespace(project)))

    cluster.patch("project", project, {"spec": {"suspend": True}}).must()
    cluster.kubectl("wait", "--for=condition=Suspended", f"project/{project}", "--timeout=30s").must()
    where = f"--namespace={namespace(project)}"
    eventually(lambda: not json_items(cluster.kubectl("get", "pods", where, "--output=json").out), "no pod is left")
    sentence = f"Project {project} is suspended and its registry is stopped; ask someone with Administer to resume it."
    assert curator.pull(repository, "v1").refusal == (403, "DENIED", with_page(sentence, "pull", repository))
    assert curator.start_upload(repository).refusal == (403, "DENIED", with_page(sentence, "push", repository))
    await_ready(cluster, project)

    cluster.patch("project", project, {"spec": {"suspend": False}}).must()
    cluster.kubectl("wait", "--for=condition=RegistryAvailable", f"project/{project}", "--timeout=60s").must()
    await_ready(cluster, project)
    assert not cluster.condition("project", project, "Suspended")
    assert essence(cluster.get("deployment", "registry", namespace(project))) == deployment
    after = eventually(lambda: curator.pull(repository, "v1").must(200), "the image can be pulled")
    assert after.body == before.body


def test_a_missing_storage_class_is_reported_and_the_project_is_ready_once_it_is_there(
    cluster: Cluster, projects: Projects
) -> None:
    name = projects.name("classless")
    cluster.apply(project_object(name, (), storage=_claim(f"{name}-fast")))
    _await_reason(cluster, name, "StorageClassNotFound")
    stalled = cluster.condition("project", name, "Stalled")
    assert stalled["message"] == (
        f"StorageClass {name}-fast, which claim registry in namespace berth-{name} requests, does not exist: "
        "create it, or create another Project with a class that kubectl get storageclass shows."
    )
    standard = cluster.get("storageclass", "standard") or {}
    cluster.apply(_storage_class(f"{name}-fast", standard["provisioner"], standard["volumeBindingMode"]))
    try:
        await_ready(cluster, name)
        assert not cluster.condition("project", name, "Stalled")
    finally:
        cluster.kubectl("delete", "storageclass", f"{name}-fast").must()


def test_a_claim_that_stays_unbound_is_reported_with_its_class(cluster: Cluster, projects: Projects) -> None:
    name = projects.name("unbound")
    cluster.apply(_storage_class(f"{name}-slow", "example.org/none", "Immediate"))
    try:
        cluster.apply(project_object(name, (), storage=_claim(f"{name}-slow")))
        _await_reason(cluster, name, "ClaimPending")
        assert cluster.condition("project", name, "StorageReady")["message"] == (
            f"Claim registry in namespace berth-{name} is not bound yet by StorageClass {name}-slow; "
            "kubectl describe shows its events."
        )
    finally:
        cluster.kubectl("delete", "storageclass", f"{name}-slow").must()


def _claim(storage_class: str) -> dict[str, Any]:
    claim = {"size": "1Gi", "storageClassName": storage_class}
    return {"type": "PersistentVolumeClaim", "persistentVolumeClaim": claim}


def _storage_class(name: str, provisioner: str, binding: str) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": provisioner,
        "volumeBindingMode": binding,
    }


def test_a_registry_that_ends_again_and_again_is_reported_with_the_remedy_that_mends_it(
    cluster: Cluster, projects: Projects
) -> None:
    name = projects.name("cramped")
    cluster.apply(project_object(name, (), registry=_memory("8Mi")))
    _await_reason(cluster, name, "RegistryCrashLooping")
    message = cluster.condition("project", name, "Stalled")["message"]
    assert message.startswith("The registry exits again and again, ")
    assert message.endswith(": it needs more memory: raise spec.registry.resources.limits.memory.")
    cluster.patch("project", name, {"spec": {"registry": _memory("200Mi")}}).must()
    await_ready(cluster, name)


def _memory(limit: str) -> dict[str, Any]:
    return {"resources": {"requests": {"memory": "4Mi"}, "limits": {"memory": limit}}}


def _await_reason(cluster: Cluster, project: str, reason: str) -> None:
    """Until Ready is False for that reason."""
    eventually(
        lambda: cluster.condition("project", project, "Ready").get("reason") == reason, f"{project} says {reason}"
    )


def test_every_status_keeps_the_contract(cluster: Cluster, project: str) -> None:
    seen = 0
    for kind in KINDS:
        for found in json_items(cluster.kubectl("get", kind, "--all-namespaces", "--output=json").must().out):
            check_invariants(found["status"])
            seen += 1
    assert seen > len(KINDS)
