"""The API server takes every manifest and status, and keeps them as they were written, so that nothing drifts."""

from __future__ import annotations

import random
from typing import Any

import pytest

from berth.api.names import API_VERSION
from berth.api.policy import PolicyState
from berth.api.project import Project
from berth.api.sharing import SharingLevel
from berth.desired.inputs import Member, RbacSubjectKind, RepositoryInputs
from berth.desired.installation.manifests import FoundMaterial, complete_material, desired_installation
from berth.desired.project import desired_project
from berth.desired.repository import desired_repository
from berth.status.observed import RepositoryObservation
from berth.status.project import compute_project_status
from berth.status.repository import compute_repository_status
from tests.kit.control_plane import ControlPlane
from tests.kit.desired.samples import inputs, project, repository
from tests.kit.status.random_observations import random_observed
from tests.kit.status.samples import HEALTHY, NOW

MEMBERS = {
    level: (
        Member(RbacSubjectKind.USER, "ann@example.org"),
        Member(RbacSubjectKind.GROUP, "lab"),
        Member(RbacSubjectKind.SERVICE_ACCOUNT, "ci", "builders"),
    )
    for level in SharingLevel
}
SHARED: dict[str, Any] = {
    "claim": {"size": "1536Mi", "storageClassName": "fast", "accessMode": "ReadWriteMany"},
    "registry": {"replicas": 3, "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}}},
    "sharing": [{"kind": "User", "name": "ann", "level": "Edit"}, {"kind": "AuthenticatedUsers", "level": "View"}],
}


def differences(desired: Any, live: Any, path: str = "") -> list[str]:
    """Where the live object does not hold what is desired; what the server added does not count."""
    if isinstance(desired, dict) and isinstance(live, dict):
        return [d for key, value in desired.items() for d in differences(value, live.get(key), f"{path}.{key}")]
    if isinstance(desired, list) and isinstance(live, list) and len(desired) == len(live):
        return [d for i, value in enumerate(desired) for d in differences(value, live[i], f"{path}[{i}]")]
    return [] if desired == live else [f"{path}: {desired!r} became {live!r}"]


def read(plane: ControlPlane, manifest: dict[str, Any]) -> dict[str, Any]:
    group, _, version = manifest["apiVersion"].rpartition("/")
    kind = f"{manifest['kind']}.{version}.{group}" if group else manifest["kind"]
    namespace = manifest["metadata"].get("namespace", "default")
    return plane.get("-n", namespace, kind, manifest["metadata"]["name"])


@pytest.mark.parametrize("spec", [{}, SHARED], ids=["least", "most"])
def test_every_child_is_kept_as_written_and_a_second_apply_changes_nothing(
    berth_crds: ControlPlane, unique: str, spec: dict[str, Any]
) -> None:
    given = project(name=unique, **spec)
    manifests = desired_project(given, inputs(members=MEMBERS))
    berth_crds.apply(*manifests)
    first = [read(berth_crds, manifest) for manifest in manifests]
    drift = [d for desired, live in zip(manifests, first, strict=True) for d in differences(desired, live)]
    assert drift == []
    berth_crds.apply(*manifests)
    second = [read(berth_crds, manifest) for manifest in manifests]
    # The API server itself stores a new claim twice; all else is compared to the byte.
    for live in (*first, *second):
        if live["kind"] == "PersistentVolumeClaim":
            del live["metadata"]["resourceVersion"]
    assert second == first


def test_the_namespace_admits_the_registrys_pod_and_no_looser_one(berth_crds: ControlPlane, unique: str) -> None:
    manifests = desired_project(project(name=unique), inputs())
    berth_crds.apply(*manifests)
    (deployment,) = [m for m in manifests if m["kind"] == "Deployment"]
    namespace = deployment["metadata"]["namespace"]
    berth_crds.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}
    )
    pod = deployment["spec"]["template"]
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        **pod,
        "metadata": {**pod["metadata"], "name": "p", "namespace": namespace},
    }
    accepted = berth_crds.kubectl("create", "--dry-run=server", "-f", "-", input=made)
    assert accepted.returncode == 0, accepted.stderr
    assert "Warning" not in accepted.stderr
    del made["spec"]["containers"][0]["securityContext"]
    refused = berth_crds.kubectl("create", "--dry-run=server", "-f", "-", input=made)
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_the_keys_of_the_installation_are_taken(berth_crds: ControlPlane, namespace: str) -> None:
    material = complete_material(FoundMaterial(), "images.example.org", NOW, generate_tls=True)
    manifests = desired_installation(material, namespace, "berth", "0.1.0")
    berth_crds.apply(*manifests)
    assert [d for manifest in manifests for d in differences(manifest, read(berth_crds, manifest))] == []


def test_the_policy_of_a_repository_is_taken(berth_crds: ControlPlane, unique: str) -> None:
    berth_crds.apply(*desired_project(project(name=unique), inputs()))
    shared = repository("project", localSharing=[{"kind": "User", "name": "ann", "level": "Download"}])
    (policy,) = desired_repository(shared, RepositoryInputs(unique, "berth"))
    berth_crds.apply(policy)
    assert differences(policy, read(berth_crds, policy)) == []


def test_statuses_are_kept_as_written(berth_crds: ControlPlane, unique: str) -> None:
    spec = project(name=unique).to_dict()
    berth_crds.apply(
        {"apiVersion": "berth.dev/v1alpha1", "kind": "Project", "metadata": {"name": unique}, "spec": spec["spec"]}
    )
    chance = random.Random(3)
    for observed in (HEALTHY, *(random_observed(chance) for _ in range(15))):
        live = Project.model_validate(berth_crds.get("project", unique))
        status = compute_project_status(live, observed, NOW)
        write_status(berth_crds, "Project", unique, status)
        kept = berth_crds.get("project", unique)["status"]
        assert kept == status


def test_the_status_of_a_repository_leaves_the_catalogs_fields_alone(berth_crds: ControlPlane, unique: str) -> None:
    namespace = berth_crds.namespace()
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "DockerRepository",
        "metadata": {"name": unique, "namespace": namespace},
    }
    berth_crds.apply({**body, "spec": {}})
    synced = {
        "type": "CatalogInSync", "status": "True", "reason": "InSync", "message": "In sync.",
        "lastTransitionTime": "2026-11-24T12:00:00Z",
    }  # fmt: skip
    catalogs = {"tagCount": 3, "conditions": [synced]}
    write_status(berth_crds, "DockerRepository", unique, catalogs, namespace, manager="berth-catalog")
    observed = RepositoryObservation(
        "images.example.org", "genomics", policy_state=None, project_state=PolicyState.ACTIVE
    )
    status = compute_repository_status(repository(unique), observed, NOW)
    write_status(berth_crds, "DockerRepository", unique, {**status, "observedGeneration": 1}, namespace)
    kept = berth_crds.get("-n", namespace, "dockerrepository", unique)["status"]
    assert kept["tagCount"] == 3
    assert {entry["type"] for entry in kept["conditions"]} == {"CatalogInSync", "Ready", "Trashed", "Pushable"}


def write_status(
    plane: ControlPlane,
    kind: str,
    name: str,
    status: dict[str, Any],
    namespace: str | None = None,
    manager: str = "berth-operator",
) -> None:
    where = {"namespace": namespace} if namespace else {}
    body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **where}, "status": status}
    options = ("--server-side", "--subresource=status", f"--field-manager={manager}", "--force-conflicts")
    plane.kubectl("apply", *options, "-f", "-", input=body, check=True)
