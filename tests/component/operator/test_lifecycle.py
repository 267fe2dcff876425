"""Suspend, trash and delete keep every byte; what was taken away comes back exactly."""

from __future__ import annotations

from berth.api import names
from berth.kube.resources import (
    ACCESS_POLICIES,
    DEPLOYMENTS,
    DOCKER_REPOSITORIES,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PROJECTS,
    SECRETS,
)
from tests.kit.operator.harness import Cluster, RunningOperator


async def replicas(cluster: Cluster, project: str, wanted: int) -> None:
    """Wait until the Deployment has this number of replicas, then do what its controller does."""
    namespace = names.project_namespace(project)
    live = await cluster.until(
        DEPLOYMENTS, "registry", lambda live: live is not None and live["spec"]["replicas"] == wanted, namespace
    )
    assert live is not None
    cluster.deployment_status(project, live["metadata"]["generation"], wanted)


async def test_suspend_scales_to_zero_and_back_to_exactly_what_was(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique, sharing=[{"kind": "AuthenticatedUsers", "level": "Download"}])
    namespace = names.project_namespace(unique)
    before = await cluster.get(DEPLOYMENTS, "registry", namespace)
    policy = await cluster.get(ACCESS_POLICIES, "project", namespace)
    await cluster.admin.merge(PROJECTS, ("", unique), {"spec": {"suspend": True}}, field_manager="owner")
    await replicas(cluster, unique, 0)
    await cluster.condition(PROJECTS, unique, Ready="Suspended", Suspended="True")
    await cluster.admin.merge(PROJECTS, ("", unique), {"spec": {"suspend": None}}, field_manager="owner")
    await replicas(cluster, unique, 1)
    await cluster.condition(PROJECTS, unique, Ready="True", StorageReady="True")
    assert (await cluster.get(DEPLOYMENTS, "registry", namespace))["spec"] == before["spec"]
    assert (await cluster.get(ACCESS_POLICIES, "project", namespace))["spec"] == policy["spec"]


async def test_a_trashed_project_keeps_everything_and_its_policy_says_so_at_once(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    namespace = names.project_namespace(unique)
    await cluster.admin.merge(PROJECTS, ("", unique), {"spec": {"trashed": True}}, field_manager="owner")
    await cluster.condition(PROJECTS, unique, Trashed="True", Ready="True")
    assert (await cluster.get(ACCESS_POLICIES, "project", namespace))["spec"]["state"] == "Trashed"
    assert (await cluster.get(DEPLOYMENTS, "registry", namespace))["spec"]["replicas"] == 1
    await cluster.admin.merge(PROJECTS, ("", unique), {"spec": {"trashed": False}}, field_manager="owner")
    await cluster.condition(PROJECTS, unique, Trashed="False", Ready="True")
    assert (await cluster.get(ACCESS_POLICIES, "project", namespace))["spec"]["state"] == "Active"


async def test_a_deleted_project_stays_visible_and_keeps_its_data(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    namespace = names.project_namespace(unique)
    for propagation in ("background", "foreground", "orphan"):
        cluster.plane.kubectl(
            "delete", "projects.berth.dev", unique, f"--cascade={propagation}", "--wait=false", check=True
        )
    await replicas(cluster, unique, 0)
    live = await cluster.condition(PROJECTS, unique, Trashed="ProjectDeleted")
    assert live["metadata"]["deletionTimestamp"]
    message = next(found["message"] for found in live["status"]["conditions"] if found["type"] == "Trashed")
    assert f"namespace {namespace} is kept" in message
    for resource, name in ((PERSISTENT_VOLUME_CLAIMS, "registry"), (SECRETS, "registry")):
        kept = await cluster.get(resource, name, namespace)
        assert "deletionTimestamp" not in kept["metadata"]
        assert "ownerReferences" not in kept["metadata"]
    assert "deletionTimestamp" not in (await cluster.get(NAMESPACES, namespace))["metadata"]


async def test_a_project_deleted_for_good_and_made_again_takes_its_data_over(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    namespace = names.project_namespace(unique)
    claim = await cluster.get(PERSISTENT_VOLUME_CLAIMS, "registry", namespace)
    cluster.plane.kubectl("delete", "projects.berth.dev", unique, "--wait=false", check=True)
    await replicas(cluster, unique, 0)
    await cluster.admin.merge(PROJECTS, ("", unique), {"metadata": {"finalizers": None}}, field_manager="owner")
    await cluster.until(PROJECTS, unique, lambda live: live is None)
    await cluster.make_project(unique)
    await replicas(cluster, unique, 1)
    await cluster.condition(PROJECTS, unique, Ready="True")
    assert (await cluster.get(PERSISTENT_VOLUME_CLAIMS, "registry", namespace))["metadata"]["uid"] == claim["metadata"][
        "uid"
    ]


async def test_a_project_that_holds_nothing_can_be_deleted(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.project_namespace(unique)}}
    await cluster.admin.apply(NAMESPACES, space, field_manager="another")
    await cluster.make_project(unique)
    live = await cluster.condition(PROJECTS, unique, Stalled="NamespaceTaken")
    assert await cluster.admin.get(DEPLOYMENTS, "registry", names.project_namespace(unique)) is None
    assert live["status"]["observedGeneration"] == live["metadata"]["generation"]
    cluster.plane.kubectl("delete", "projects.berth.dev", unique, "--wait=false", check=True)
    await cluster.until(PROJECTS, unique, lambda live: live is None)


async def test_a_namespace_of_others_becomes_the_projects_when_it_is_labelled_so(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    name = names.project_namespace(unique)
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await cluster.admin.apply(NAMESPACES, space, field_manager="another")
    await cluster.make_project(unique)
    await cluster.condition(PROJECTS, unique, Stalled="NamespaceTaken")
    label = {"metadata": {"labels": {names.LABEL_PROJECT: unique}}}
    await cluster.admin.merge(NAMESPACES, ("", name), label, field_manager="another")
    await cluster.until(DEPLOYMENTS, "registry", lambda live: live is not None, name)


async def test_a_larger_size_reaches_the_claim(cluster: Cluster, operator: RunningOperator, unique: str) -> None:
    cluster.plane.apply(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "fast"},
            "provisioner": "example.org/none",
            "allowVolumeExpansion": True,
        }
    )
    await cluster.ready_project(unique)
    namespace = names.project_namespace(unique)
    larger = {"spec": {"storage": {"persistentVolumeClaim": {"size": "2Gi"}}}}
    await cluster.admin.merge(PROJECTS, ("", unique), larger, field_manager="owner")
    await cluster.until(
        PERSISTENT_VOLUME_CLAIMS,
        "registry",
        lambda live: live is not None and live["spec"]["resources"]["requests"]["storage"] == "2Gi",
        namespace,
    )
    await cluster.condition(PROJECTS, unique, Reconciling="ClaimResizing")


async def repository(cluster: Cluster, namespace: str, name: str, **spec: object) -> None:
    body = {
        "apiVersion": names.API_VERSION,
        "kind": "DockerRepository",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    await cluster.admin.apply(DOCKER_REPOSITORIES, body, field_manager="owner")


async def test_a_repository_with_local_sharing_has_a_policy_and_without_it_none(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    namespace = names.project_namespace(unique)
    await repository(cluster, namespace, "aligner", localSharing=[])
    await cluster.condition(DOCKER_REPOSITORIES, "aligner", namespace, Ready="True", Pushable="True")
    assert (await cluster.get(ACCESS_POLICIES, "aligner", namespace))["spec"]["rules"] == []
    without = {"spec": {"localSharing": None}}
    await cluster.admin.merge(DOCKER_REPOSITORIES, (namespace, "aligner"), without, field_manager="owner")
    await cluster.until(ACCESS_POLICIES, "aligner", lambda live: live is None, namespace)
    await cluster.condition(DOCKER_REPOSITORIES, "aligner", namespace, Ready="True")
    live = await cluster.until(
        PROJECTS, unique, lambda live: live is not None and live["status"].get("repositories") == 1
    )
    assert live is not None


async def test_of_two_repositories_with_one_path_the_younger_is_stalled_until_the_older_is_gone(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    namespace = names.project_namespace(unique)
    await repository(cluster, namespace, "first", repository="tools/aligner")
    first = await cluster.condition(DOCKER_REPOSITORIES, "first", namespace, Ready="True")
    assert first["status"]["address"] == f"registry.example.org/{unique}/tools/aligner"
    await repository(cluster, namespace, "second", repository="tools/aligner")
    second = await cluster.condition(DOCKER_REPOSITORIES, "second", namespace, Stalled="PathTaken")
    assert names.FINALIZER not in second["metadata"].get("finalizers", [])
    without = {"metadata": {"finalizers": None}}
    await cluster.admin.delete(DOCKER_REPOSITORIES, "first", namespace)
    await cluster.admin.merge(DOCKER_REPOSITORIES, (namespace, "first"), without, field_manager="owner")
    await cluster.condition(DOCKER_REPOSITORIES, "second", namespace, Ready="True")


async def test_a_repository_outside_a_project_is_stalled_and_can_be_deleted(
    cluster: Cluster, operator: RunningOperator, namespace: str
) -> None:
    await repository(cluster, namespace, "aligner")
    await cluster.condition(DOCKER_REPOSITORIES, "aligner", namespace, Stalled="NotInProjectNamespace")
    await cluster.admin.delete(DOCKER_REPOSITORIES, "aligner", namespace)
    await cluster.until(DOCKER_REPOSITORIES, "aligner", lambda live: live is None, namespace)


async def test_a_deleted_repository_is_in_the_trash_and_stays_visible(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    namespace = names.project_namespace(unique)
    await repository(cluster, namespace, "aligner", localSharing=[])
    await cluster.condition(DOCKER_REPOSITORIES, "aligner", namespace, Ready="True")
    await cluster.admin.delete(DOCKER_REPOSITORIES, "aligner", namespace)
    await cluster.condition(DOCKER_REPOSITORIES, "aligner", namespace, Trashed="RepositoryDeleted", Pushable="False")
    assert (await cluster.get(ACCESS_POLICIES, "aligner", namespace))["spec"]["state"] == "Trashed"


async def test_the_catalogs_part_of_a_repositorys_status_stays(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    namespace = names.project_namespace(unique)
    await repository(cluster, namespace, "aligner")
    await cluster.condition(DOCKER_REPOSITORIES, "aligner", namespace, Ready="True")
    condition = {
        "type": "CatalogInSync",
        "status": "True",
        "reason": "InSync",
        "message": "All there.",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    body = {
        "apiVersion": names.API_VERSION,
        "kind": "DockerRepository",
        "metadata": {"name": "aligner", "namespace": namespace},
        "status": {"tagCount": 7, "conditions": [condition]},
    }
    manager = names.FIELD_MANAGER_CATALOG
    await cluster.admin.apply(DOCKER_REPOSITORIES, body, field_manager=manager, subresource="status")
    trashed = {"spec": {"trashed": True}}
    await cluster.admin.merge(DOCKER_REPOSITORIES, (namespace, "aligner"), trashed, field_manager="owner")
    live = await cluster.condition(DOCKER_REPOSITORIES, "aligner", namespace, Trashed="True")
    assert live["status"]["tagCount"] == 7
    assert "CatalogInSync" in {found["type"] for found in live["status"]["conditions"]}
