"""Reconcile a Project, in memory: what is written, what is pruned, what the status and the next reconcile are."""

from __future__ import annotations

from typing import Any

import pytest

from berth.api import names
from berth.desired.installation.manifests import SEED, TOKEN_CA
from berth.kube.errors import ConflictError
from berth.kube.resources import (
    ACCESS_POLICIES,
    DEPLOYMENTS,
    DOCKER_REPOSITORIES,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PROJECTS,
    SECRETS,
    SERVICES,
    Manifest,
)
from berth.reconcile.dispatch import CONFLICT_RETRY_SECONDS
from berth.reconcile.kinds.project import PROGRESS_RESYNC_SECONDS
from berth.reconcile.outcome import STALLED_RESYNC_SECONDS
from berth.status.observed import ObservedProbe, ProbeOutcome
from tests.kit.operator.alpha import PODS_KEY, SPACE, deleted, inventory
from tests.kit.operator.memory import Operator, Write, manifest, namespace_of, project


async def test_a_new_project_gets_its_finalizer_then_its_children_in_order_then_one_status() -> None:
    operator = Operator()
    await operator.install()
    operator.api.writes.clear()
    operator.put(project())
    assert await operator.reconcile(PROJECTS, "alpha") == PROGRESS_RESYNC_SECONDS
    kinds = [(write.kind, write.name) for write in operator.api.writes]
    assert kinds == [
        ("Project", "alpha"),
        ("Namespace", SPACE),
        ("RoleBinding", "berth-operator"),
        ("NetworkPolicy", "default-deny"),
        ("NetworkPolicy", "registry"),
        ("AccessPolicy", "project"),
        ("Secret", "registry"),
        ("PersistentVolumeClaim", "registry"),
        ("Service", "registry"),
        ("Deployment", "registry"),
        ("Project", "alpha"),
    ]
    assert inventory(operator) == {pair for pair in kinds if pair[0] != "Project"}
    assert operator.status(PROJECTS, "alpha")["namespace"] == SPACE


async def test_a_ready_project_is_probed_again_later_and_costs_no_write() -> None:
    operator = Operator()
    assert await operator.ready_project() == 600
    assert await operator.reconcile(PROJECTS, "alpha") == 600
    assert operator.api.writes == []


async def test_without_keys_nothing_is_written_but_the_status() -> None:
    operator = Operator()
    operator.put(project())
    assert await operator.reconcile(PROJECTS, "alpha") == PROGRESS_RESYNC_SECONDS
    assert {write.kind for write in operator.api.writes} == {"Project"}
    assert operator.condition(PROJECTS, "alpha", "AccessReady") == ("False", "InstallationNotReady")


@pytest.mark.parametrize("secret", [TOKEN_CA, SEED])
async def test_a_missing_key_stops_the_children_and_keeps_the_inventory(secret: str) -> None:
    operator = Operator()
    await operator.ready_project()
    before = inventory(operator)
    operator.remove(SECRETS, secret, "berth-system")
    operator.change(PROJECTS, "alpha", spec={"sharing": [{"kind": "AuthenticatedUsers", "level": "View"}]})
    await operator.reconcile(PROJECTS, "alpha")
    assert {write.kind for write in operator.api.writes} == {"Project"}
    assert inventory(operator) == before


@pytest.mark.parametrize("labels", [{}, {names.LABEL_PROJECT: "beta"}], ids=["without a label", "of another project"])
async def test_a_namespace_of_others_is_not_touched(labels: dict[str, str]) -> None:
    operator = Operator()
    await operator.install()
    operator.api.writes.clear()
    operator.put(namespace_of(SPACE, **labels))
    operator.put(project())
    assert await operator.reconcile(PROJECTS, "alpha") == STALLED_RESYNC_SECONDS
    assert {write.kind for write in operator.api.writes} == {"Project"}
    assert operator.condition(PROJECTS, "alpha", "Stalled") == ("True", "NamespaceTaken")


async def test_a_namespace_that_is_being_deleted_is_not_written_to() -> None:
    operator = Operator()
    await operator.ready_project()
    before = inventory(operator)
    operator.change(NAMESPACES, SPACE, metadata={"deletionTimestamp": "2026-11-24T12:00:00Z"})
    operator.remove(SERVICES, "registry", SPACE)
    await operator.reconcile(PROJECTS, "alpha")
    assert {write.kind for write in operator.api.writes} == {"Project"}
    assert operator.condition(PROJECTS, "alpha", "Ready") == ("False", "NamespaceTerminating")
    assert inventory(operator) == before


async def test_a_removed_label_of_the_namespace_is_put_back() -> None:
    operator = Operator()
    await operator.ready_project()
    operator.change(NAMESPACES, SPACE, metadata={"labels": {names.LABEL_PROJECT: None}})
    assert await operator.reconcile(PROJECTS, "alpha") == 600
    assert operator.api.writes == [Write("apply", "Namespace", SPACE)]


@pytest.mark.parametrize("change", ["hash", "inventory"])
async def test_a_namespace_without_label_is_not_the_projects_unless_berth_made_it_for_it(change: str) -> None:
    operator = Operator()
    await operator.ready_project()
    metadata: dict[str, Any] = {"labels": {names.LABEL_PROJECT: None}}
    if change == "hash":
        metadata["annotations"] = {names.ANNOTATION_DESIRED_HASH: None}
    else:
        kept = [entry for entry in operator.status(PROJECTS, "alpha")["inventory"] if entry["kind"] != "Namespace"]
        operator.change(PROJECTS, "alpha", status={"inventory": kept})
    operator.change(NAMESPACES, SPACE, metadata=metadata)
    await operator.reconcile(PROJECTS, "alpha")
    assert operator.condition(PROJECTS, "alpha", "Stalled") == ("True", "NamespaceTaken")


class TestFinalizer:
    """The finalizer protects a project that has a namespace."""

    async def test_it_is_set_once(self) -> None:
        operator = Operator()
        await operator.ready_project()
        live = operator.live(PROJECTS, "alpha")
        assert live is not None
        assert live["metadata"]["finalizers"] == [names.FINALIZER]

    async def test_a_deleted_project_keeps_it_and_its_data_and_stops_its_registry(self) -> None:
        operator = Operator()
        await operator.ready_project()
        deleted(operator)
        await operator.reconcile(PROJECTS, "alpha")
        live = operator.live(DEPLOYMENTS, "registry", SPACE)
        assert live is not None
        assert live["spec"]["replicas"] == 0
        assert operator.live(PROJECTS, "alpha") is not None
        assert operator.live(PERSISTENT_VOLUME_CLAIMS, "registry", SPACE) is not None
        assert all(write.verb != "delete" for write in operator.api.writes)
        assert operator.condition(PROJECTS, "alpha", "Trashed") == ("True", "ProjectDeleted")

    async def test_it_is_not_set_on_a_project_that_is_being_deleted(self) -> None:
        operator = Operator()
        await operator.ready_project()
        deleted(operator, finalizers=["example.org/other"])
        await operator.reconcile(PROJECTS, "alpha")
        live = operator.live(PROJECTS, "alpha")
        assert live is not None
        assert live["metadata"]["finalizers"] == ["example.org/other"]

    @pytest.mark.parametrize("space", [None, namespace_of(SPACE)], ids=["no namespace", "another's namespace"])
    async def test_a_deleted_project_without_data_is_released(self, space: Manifest | None) -> None:
        operator = Operator()
        await operator.install()
        if space:
            operator.put(space)
        operator.put(project())
        deleted(operator, finalizers=["example.org/other", names.FINALIZER])
        operator.api.writes.clear()
        assert await operator.reconcile(PROJECTS, "alpha") is None
        assert operator.api.writes == [Write("merge", "Project", "alpha")]
        live = operator.live(PROJECTS, "alpha")
        assert live is not None
        assert live["metadata"]["finalizers"] == ["example.org/other"]

    async def test_a_project_that_changed_meanwhile_is_reconciled_again_soon(self) -> None:
        operator = Operator()
        await operator.install()
        operator.put(project())
        operator.api.refusals["merge", "Project"] = ConflictError("changed", status=409)
        assert await operator.reconcile(PROJECTS, "alpha") == CONFLICT_RETRY_SECONDS


class TestNextReconcile:
    """When a project is looked at again."""

    async def test_progress_is_requeued_after_ten_seconds_or_when_a_probe_is_due(self) -> None:
        operator = Operator()
        await operator.install()
        operator.put(project())
        operator.probes.due = 3.0
        assert await operator.reconcile(PROJECTS, "alpha") == 3.0

    async def test_a_status_that_is_held_back_is_written_a_little_later(self) -> None:
        operator = Operator()
        await operator.install()
        operator.put(project())
        await operator.reconcile(PROJECTS, "alpha")
        operator.change(
            PERSISTENT_VOLUME_CLAIMS, "registry", SPACE, status={"phase": "Bound", "capacity": {"storage": "1Gi"}}
        )
        operator.pass_time(1)
        assert await operator.reconcile(PROJECTS, "alpha") == pytest.approx(4.0)

    async def test_a_ready_project_waits_for_a_replica_of_access_that_is_behind(self) -> None:
        operator = Operator()
        await operator.ready_project()
        operator.problem = "Pod access-1 of the access service does not answer."
        operator.change(PROJECTS, "alpha", spec={"description": "new"})
        assert await operator.reconcile(PROJECTS, "alpha") == 1.0


class TestObservation:
    """What the status has of the cluster."""

    async def test_repositories_of_the_namespace_are_counted(self) -> None:
        operator = Operator()
        await operator.ready_project()
        operator.put(manifest(DOCKER_REPOSITORIES, "aligner", SPACE))
        operator.put(manifest(DOCKER_REPOSITORIES, "aligner", "berth-beta"))
        await operator.reconcile(PROJECTS, "alpha")
        assert operator.status(PROJECTS, "alpha")["repositories"] == 1

    async def test_a_probe_is_requested_with_the_pods_and_the_present_status(self) -> None:
        operator = Operator()
        await operator.ready_project()
        note = {"annotations": {names.ANNOTATION_RECONCILE_REQUESTED: "monday"}}
        operator.change(PROJECTS, "alpha", metadata=note)
        await operator.reconcile(PROJECTS, "alpha")
        (first, *_), last = operator.probes.looks, operator.probes.looks[-1]
        assert first == ("alpha", frozenset(), False, "")
        uid = operator.api.objects[PODS_KEY]["metadata"]["uid"]
        assert last == ("alpha", frozenset({f"{uid}/0"}), True, "monday")

    async def test_a_registry_that_cannot_write_is_not_ready(self) -> None:
        operator = Operator()
        await operator.ready_project()
        operator.probes.found = ObservedProbe(ProbeOutcome.NOT_WRITABLE, "no space left on device")
        await operator.reconcile(PROJECTS, "alpha")
        assert operator.condition(PROJECTS, "alpha", "StorageReady")[0] == "False"

    async def test_events_are_read_for_a_pending_claim_and_a_pod_that_does_not_start_alone(self) -> None:
        operator = Operator()
        await operator.ready_project()
        operator.api.reads.clear()
        await operator.reconcile(PROJECTS, "alpha")
        assert operator.api.reads == []
        operator.change(PERSISTENT_VOLUME_CLAIMS, "registry", SPACE, status={"phase": "Pending"})
        await operator.reconcile(PROJECTS, "alpha")
        claim = operator.live(PERSISTENT_VOLUME_CLAIMS, "registry", SPACE)
        assert claim is not None
        fields = f"involvedObject.uid={claim['metadata']['uid']},type=Warning"
        assert operator.api.reads == [Write("list", "Event", fields)]

    @pytest.mark.parametrize(
        ("status", "read"),
        [
            ({}, True),
            ({"conditions": [{"type": "PodScheduled", "status": "False", "message": "no node"}]}, False),
            ({"containerStatuses": [{"name": "r", "restartCount": 1}]}, False),
            ({"containerStatuses": [{"name": "r", "state": {"waiting": {"message": "back-off"}}}]}, False),
            ({"containerStatuses": [{"name": "r", "state": {"waiting": {"reason": "ContainerCreating"}}}]}, True),
        ],
    )
    async def test_events_of_a_pod_are_read_when_nothing_else_explains_it(
        self, status: dict[str, Any], read: bool
    ) -> None:
        operator = Operator()
        await operator.ready_project()
        operator.put({**operator.api.objects[PODS_KEY], "status": status})
        operator.api.reads.clear()
        await operator.reconcile(PROJECTS, "alpha")
        assert bool(operator.api.reads) is read


async def test_a_project_that_is_gone_is_forgotten() -> None:
    operator = Operator()
    await operator.ready_project()
    operator.remove(PROJECTS, "alpha")
    assert await operator.reconcile(PROJECTS, "alpha") is None
    assert operator.probes.forgotten == ["alpha"]
    assert operator.caches.live(SECRETS, (SPACE, "registry")) is None, "its Secrets are still watched"


async def test_the_policy_of_a_project_says_its_state() -> None:
    operator = Operator()
    await operator.ready_project()
    operator.change(PROJECTS, "alpha", spec={"trashed": True})
    await operator.reconcile(PROJECTS, "alpha")
    policy = operator.live(ACCESS_POLICIES, "project", SPACE)
    assert policy is not None
    assert policy["spec"]["state"] == "Trashed"
    assert operator.condition(PROJECTS, "alpha", "Trashed")[0] == "True"
