"""Children that are deleted or edited by others are put back."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from berth.api import names
from berth.kube.resources import (
    ACCESS_POLICIES,
    DEPLOYMENTS,
    NAMESPACES,
    NETWORK_POLICIES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PROJECTS,
    REGISTRY_USERS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICES,
    Manifest,
    Resource,
)
from berth.status.observed import ObservedProbe, ProbeOutcome
from tests.kit.operator.harness import Cluster, RunningOperator

MEMBER = [{"kind": "User", "name": "member", "level": "Edit"}]

EDITS: list[tuple[Resource, str, dict[str, Any]]] = [
    (NAMESPACES, "", {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}),
    (NAMESPACES, "", {"metadata": {"labels": {names.LABEL_PROJECT: None}}}),
    (SECRETS, "registry", {"data": {"config.yml": "aGFja2Vk"}}),
    (SECRETS, "registry", {"data": {"extra": "aGFja2Vk"}}),
    (DEPLOYMENTS, "registry", {"spec": {"replicas": 3}}),
    (DEPLOYMENTS, "registry", {"spec": {"template": {"spec": {"hostNetwork": True}}}}),
    (DEPLOYMENTS, "registry", {"metadata": {"labels": {names.LABEL_PROJECT: None}}}),
    (SERVICES, "registry", {"spec": {"selector": {"app": "other"}}}),
    (SERVICES, "registry", {"spec": {"externalIPs": ["192.0.2.1"]}}),
    (SERVICES, "registry", {"spec": {"ports": [{"name": "registry", "port": 5999}]}}),
    (NETWORK_POLICIES, "default-deny", {"spec": {"ingress": [{}]}}),
    (NETWORK_POLICIES, "registry", {"spec": {"podSelector": {"matchLabels": {"app": "other"}}}}),
    (ROLES, "berth-edit", {"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}),
    (ROLE_BINDINGS, "berth-edit", {"subjects": [{"kind": "ServiceAccount", "name": "x", "namespace": "default"}]}),
    (ACCESS_POLICIES, "project", {"spec": {"rules": []}}),
]


def content(live: Manifest | None) -> dict[str, Any]:
    """An object without what the API server writes on every change."""
    assert live is not None
    metadata = {key: live["metadata"].get(key) for key in ("name", "labels", "annotations")}
    rest = {key: value for key, value in live.items() if key not in ("metadata", "status")}
    return {**rest, "metadata": metadata}


def says(wanted: dict[str, Any], live: Manifest | None) -> bool:
    return live is not None and content(live) == wanted


async def shared_project(cluster: Cluster, name: str) -> None:
    user = {"kubernetes": {"users": ["member@example.org"]}}
    body = {"apiVersion": names.API_VERSION, "kind": "RegistryUser", "metadata": {"name": "member"}, "spec": user}
    await cluster.admin.apply(REGISTRY_USERS, body, field_manager="owner")
    await cluster.ready_project(name, sharing=MEMBER)
    namespace = names.project_namespace(name)
    await cluster.until(ROLE_BINDINGS, "berth-edit", lambda live: live is not None, namespace)


async def test_an_edit_of_any_child_is_reverted(cluster: Cluster, operator: RunningOperator, unique: str) -> None:
    await shared_project(cluster, unique)
    await operator.idle()
    space = names.project_namespace(unique)
    for resource, name, edit in EDITS:
        namespace = space if resource.namespaced else None
        name = name or space
        before = content(await cluster.get(resource, name, namespace))
        edited = await cluster.admin.merge(resource, (namespace or "", name), edit, field_manager="another")
        assert content(edited) != before, f"the edit {edit} of {resource.kind} {name} changed nothing"
        await cluster.until(resource, name, partial(says, before), namespace)


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        (SECRETS, "registry"),
        (DEPLOYMENTS, "registry"),
        (SERVICES, "registry"),
        (NETWORK_POLICIES, "default-deny"),
        (NETWORK_POLICIES, "registry"),
        (ROLES, "berth-edit"),
        (ROLE_BINDINGS, "berth-edit"),
        (ROLE_BINDINGS, "berth-operator"),
        (ACCESS_POLICIES, "project"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
async def test_a_deleted_child_is_made_again(
    cluster: Cluster, operator: RunningOperator, unique: str, resource: Resource, name: str
) -> None:
    await shared_project(cluster, unique)
    await operator.idle()
    namespace = names.project_namespace(unique)
    before = await cluster.get(resource, name, namespace)
    await cluster.admin.delete(resource, name, namespace)
    after = await cluster.until(
        resource,
        name,
        lambda live: live is not None and live["metadata"]["uid"] != before["metadata"]["uid"],
        namespace,
    )
    assert content(after) == content(before) or resource == SERVICES  # a new Service gets another address


async def test_a_binding_replaced_by_one_to_another_role_is_replaced_back(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await shared_project(cluster, unique)
    await operator.idle()
    namespace = names.project_namespace(unique)
    good = await cluster.get(ROLE_BINDINGS, "berth-edit", namespace)
    labels = good["metadata"]["labels"]
    bad = {
        "apiVersion": good["apiVersion"],
        "kind": "RoleBinding",
        "metadata": {"name": "berth-edit", "namespace": namespace, "labels": labels},
        "roleRef": {**good["roleRef"], "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": good["subjects"],
    }
    cluster.plane.kubectl("-n", namespace, "delete", "rolebinding", "berth-edit", "--wait=false", check=True)
    cluster.plane.kubectl("replace", "--force", "-f", "-", input=bad)
    await cluster.until(
        ROLE_BINDINGS, "berth-edit", lambda live: live is not None and live["roleRef"] == good["roleRef"], namespace
    )


async def test_rights_of_a_member_go_when_the_sharing_goes(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await shared_project(cluster, unique)
    namespace = names.project_namespace(unique)
    await cluster.admin.merge(PROJECTS, ("", unique), {"spec": {"sharing": []}}, field_manager="owner")
    await cluster.until(ROLES, "berth-edit", lambda live: live is None, namespace)
    await cluster.until(ROLE_BINDINGS, "berth-edit", lambda live: live is None, namespace)
    await cluster.until(PROJECTS, unique, lambda live: live is not None and "berth-edit" not in str(live["status"]))


async def test_rights_of_a_member_go_when_the_user_is_disabled(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await shared_project(cluster, unique)
    try:
        await cluster.admin.merge(REGISTRY_USERS, ("", "member"), {"spec": {"disabled": True}}, field_manager="owner")
        await cluster.until(ROLE_BINDINGS, "berth-edit", lambda live: live is None, names.project_namespace(unique))
    finally:
        await cluster.admin.delete(REGISTRY_USERS, "member")


async def test_other_peoples_objects_labels_and_annotations_stay(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    namespace = names.project_namespace(unique)
    note = {"metadata": {"annotations": {"example.org/note": "mine"}, "labels": {"example.org/team": "mine"}}}
    await cluster.admin.merge(DEPLOYMENTS, (namespace, "registry"), note, field_manager="another")
    role = {
        "apiVersion": ROLES.api_version,
        "kind": "Role",
        "metadata": {"name": "mine", "namespace": namespace, "labels": {names.LABEL_PROJECT: unique}},
        "rules": [],
    }
    await cluster.admin.apply(ROLES, role, field_manager="another")
    before = await operator.reconciles("Project")
    await cluster.admin.merge(PROJECTS, ("", unique), {"spec": {"suspend": True}}, field_manager="owner")
    await operator.reconciled_again("Project", before)
    live = await cluster.get(DEPLOYMENTS, "registry", namespace)
    assert live["metadata"]["annotations"]["example.org/note"] == "mine"
    assert live["metadata"]["labels"]["example.org/team"] == "mine"
    assert await cluster.admin.get(ROLES, "mine", namespace) is not None


async def test_the_volume_of_a_bound_claim_outlives_it(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    namespace = names.project_namespace(unique)
    volume: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pv-{unique}"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": "fast",
            "hostPath": {"path": "/nowhere"},
            "claimRef": {"namespace": namespace, "name": "registry"},
        },
    }
    cluster.plane.apply(volume)
    await cluster.make_project(unique)
    await cluster.until(PERSISTENT_VOLUME_CLAIMS, "registry", lambda live: live is not None, namespace)
    bound = {"spec": {"volumeName": f"pv-{unique}"}}
    await cluster.admin.merge(PERSISTENT_VOLUME_CLAIMS, (namespace, "registry"), bound, field_manager="kcm")
    await cluster.until(
        PERSISTENT_VOLUMES,
        f"pv-{unique}",
        lambda live: live is not None and live["spec"]["persistentVolumeReclaimPolicy"] == "Retain",
    )


async def test_a_requested_reconcile_probes_the_registry_too(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    cluster.registries.answer = ObservedProbe(ProbeOutcome.NOT_WRITABLE, "no space left on device")
    note = {"metadata": {"annotations": {names.ANNOTATION_RECONCILE_REQUESTED: "2026-11-24T12:00:00Z"}}}
    await cluster.admin.merge(PROJECTS, ("", unique), note, field_manager="owner")
    await cluster.condition(PROJECTS, unique, StorageReady="False", Ready="False")
