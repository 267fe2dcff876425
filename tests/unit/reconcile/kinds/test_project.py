"""Reconcile a Project, in memory: what is written, what is pruned, what the status and the next reconcile are."""

from __future__ import annotations

from typing import Any

import pytest

from berth.api import names
from berth.desired.installation.manifests import SEED, TOKEN_CA
from berth.kube.errors import ConflictError, ForbiddenError, UnavailableError
from berth.kube.resources import (
    ACCESS_POLICIES,
    DEPLOYMENTS,
    DOCKER_REPOSITORIES,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    PROJECTS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICES,
    Manifest,
)
from berth.reconcile.dispatch import CONFLICT_RETRY_SECONDS, RequeueError
from berth.reconcile.kinds import project_children
from berth.reconcile.kinds.project import PROGRESS_RESYNC_SECONDS
from berth.reconcile.outcome import STALLED_RESYNC_SECONDS
from berth.status.observed import ObservedProbe, ProbeOutcome
from tests.kit.operator.memory import Operator, Write, invalid, manifest, namespace_of, project

SPACE = "berth-alpha"
PODS_KEY = (PODS, (SPACE, "registry-0"))
MADE = {names.ANNOTATION_DESIRED_HASH: "0"}
OURS = {names.LABEL_PROJECT: "alpha", names.LABEL_MANAGED_BY: names.FIELD_MANAGER_OPERATOR}
LABEL = {names.LABEL_PROJECT: "alpha"}


def deleted(operator: Operator, **metadata: Any) -> None:
    """The Project is being deleted."""
    operator.change(PROJECTS, "alpha", metadata={"deletionTimestamp": "2026-11-24T12:00:00Z", **metadata})


def inventory(operator: Operator) -> set[tuple[str, str]]:
    """Kind and name of each entry of the inventory."""
    return {(entry["kind"], entry["name"]) for entry in operator.status(PROJECTS, "alpha").get("inventory", ())}


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


class TestPrune:
    """What is pruned: children with both labels of the operator and the project, and the inventory."""

    @pytest.mark.parametrize(
        ("labels", "annotations", "goes"),
        [
            (OURS, MADE, True),
            ({**OURS, names.LABEL_PROJECT: "beta"}, MADE, False),
            (LABEL, MADE, False),
            ({**OURS, names.LABEL_MANAGED_BY: "Helm"}, MADE, False),
            ({**OURS, names.LABEL_REPOSITORY: "aligner"}, MADE, False),
            (OURS, {}, False),
        ],
        ids=["ours", "another project's", "not managed", "managed by another", "of a repository", "not made by Berth"],
    )
    async def test_a_role_that_is_not_desired(
        self, labels: dict[str, str], annotations: dict[str, str], goes: bool
    ) -> None:
        operator = Operator()
        await operator.ready_project()
        operator.put(manifest(ROLES, "extra", SPACE, labels=labels, annotations=annotations))
        await operator.reconcile(PROJECTS, "alpha")
        assert (Write("delete", "Role", "extra") in operator.api.writes) is goes
        assert (operator.live(ROLES, "extra", SPACE) is None) is goes

    async def test_an_object_of_another_namespace_stays(self) -> None:
        operator = Operator()
        await operator.ready_project()
        operator.put(manifest(ROLES, "extra", "elsewhere", labels=OURS, annotations=MADE))
        entry = {"version": "v1", "group": "rbac.authorization.k8s.io", "kind": "Role", "name": "extra"}
        before = operator.status(PROJECTS, "alpha")["inventory"]
        operator.change(PROJECTS, "alpha", status={"inventory": [*before, {**entry, "namespace": "elsewhere"}]})
        await operator.reconcile(PROJECTS, "alpha")
        assert operator.live(ROLES, "extra", "elsewhere") is not None

    async def test_an_object_of_the_inventory_goes_even_without_its_labels(self) -> None:
        operator = Operator()
        await operator.ready_project(sharing=[{"kind": "ServiceAccount", "name": "builders/ci", "level": "Edit"}])
        assert ("Role", "berth-edit") in inventory(operator)
        operator.change(ROLES, "berth-edit", SPACE, metadata={"labels": {names.LABEL_PROJECT: None}})
        operator.change(PROJECTS, "alpha", spec={"sharing": []})
        await operator.reconcile(PROJECTS, "alpha")
        assert operator.live(ROLES, "berth-edit", SPACE) is None
        assert operator.live(ROLE_BINDINGS, "berth-edit", SPACE) is None
        assert not {("Role", "berth-edit"), ("RoleBinding", "berth-edit")} & inventory(operator)

    async def test_what_could_not_be_pruned_stays_in_the_inventory(self) -> None:
        operator = Operator()
        await operator.ready_project(sharing=[{"kind": "ServiceAccount", "name": "builders/ci", "level": "Edit"}])
        operator.change(PROJECTS, "alpha", spec={"sharing": []})
        operator.api.refusals["delete", "Role"] = ForbiddenError("may not", status=403)
        with pytest.raises(RequeueError):
            await operator.reconcile(PROJECTS, "alpha")
        assert ("Role", "berth-edit") in inventory(operator)
        assert ("RoleBinding", "berth-edit") not in inventory(operator)
        assert operator.condition(PROJECTS, "alpha", "Ready") == ("False", "ApplyRefused")
        del operator.api.refusals["delete", "Role"]
        assert await operator.reconcile(PROJECTS, "alpha") == 600
        assert ("Role", "berth-edit") not in inventory(operator)

    async def test_data_is_never_pruned(self) -> None:
        operator = Operator()
        await operator.ready_project()
        for resource in (PERSISTENT_VOLUME_CLAIMS, SECRETS):
            operator.put(manifest(resource, "extra", SPACE, labels=OURS, annotations=MADE))
        await operator.reconcile(PROJECTS, "alpha")
        assert operator.api.writes == []


class TestRefusals:
    """What the API server does not take."""

    async def test_an_invalid_child_stalls_the_project_and_keeps_no_other_from_being_written(self) -> None:
        operator = Operator()
        await operator.ready_project()
        operator.remove(SERVICES, "registry", SPACE)
        operator.change(PROJECTS, "alpha", spec={"suspend": True})
        operator.api.refusals["apply", "Service"] = invalid("Applying Service registry was answered with 422: no.")
        assert await operator.reconcile(PROJECTS, "alpha") == STALLED_RESYNC_SECONDS
        assert operator.condition(PROJECTS, "alpha", "Stalled") == ("True", "ApplyRefused")
        assert Write("apply", "Deployment", "registry") in operator.api.writes
        assert ("Service", "registry") in inventory(operator)

    async def test_a_probe_that_is_due_comes_before_the_fallback_of_a_stalled_project(self) -> None:
        operator = Operator()
        await operator.ready_project()
        operator.probes.due = 25.0
        operator.api.refusals["apply", "Service"] = invalid()
        operator.remove(SERVICES, "registry", SPACE)
        assert await operator.reconcile(PROJECTS, "alpha") == 25.0

    async def test_a_forbidden_child_is_tried_again_with_backoff(self) -> None:
        operator = Operator()
        await operator.ready_project()
        operator.remove(SERVICES, "registry", SPACE)
        operator.api.refusals["apply", "Service"] = ForbiddenError("not now", status=403)
        with pytest.raises(RequeueError, match="not now"):
            await operator.reconcile(PROJECTS, "alpha")
        assert operator.condition(PROJECTS, "alpha", "Reconciling") == ("True", "ApplyRefused")

    async def test_a_refused_policy_is_not_said_to_be_in_force(self) -> None:
        operator = Operator()
        await operator.ready_project()
        operator.change(PROJECTS, "alpha", spec={"sharing": [{"kind": "AuthenticatedUsers", "level": "View"}]})
        operator.api.refusals["apply", "AccessPolicy"] = invalid()
        await operator.reconcile(PROJECTS, "alpha")
        assert operator.condition(PROJECTS, "alpha", "AccessReady") == ("False", "PolicyPending")

    async def test_another_refused_child_says_nothing_about_the_policy(self) -> None:
        operator = Operator()
        await operator.ready_project()
        operator.remove(SERVICES, "registry", SPACE)
        operator.api.refusals["apply", "Service"] = invalid()
        await operator.reconcile(PROJECTS, "alpha")
        assert operator.condition(PROJECTS, "alpha", "AccessReady")[0] == "True"

    async def test_a_refused_namespace_keeps_everything_else_from_being_written(self) -> None:
        operator = Operator()
        await operator.install()
        operator.put(project())
        operator.api.writes.clear()
        operator.api.refusals["apply", "Namespace"] = invalid()
        await operator.reconcile(PROJECTS, "alpha")
        assert {write.kind for write in operator.api.writes} == {"Project", "RoleBinding"}
        assert "namespace" not in operator.status(PROJECTS, "alpha")
        assert inventory(operator) == {("Namespace", SPACE), ("RoleBinding", "berth-operator")}

    async def test_a_refused_binding_stops_the_children_and_the_namespace_counts(self) -> None:
        operator = Operator()
        await operator.install()
        operator.put(project())
        operator.api.refusals["apply", "RoleBinding"] = invalid()
        await operator.reconcile(PROJECTS, "alpha")
        assert operator.status(PROJECTS, "alpha")["namespace"] == SPACE
        assert operator.live(SECRETS, "registry", SPACE) is None

    async def test_the_inventory_survives_a_refused_binding(self) -> None:
        operator = Operator()
        await operator.ready_project()
        before = inventory(operator)
        operator.remove(ROLE_BINDINGS, "berth-operator", SPACE)
        operator.api.refusals["apply", "RoleBinding"] = invalid()
        await operator.reconcile(PROJECTS, "alpha")
        assert inventory(operator) == before

    async def test_rights_that_take_no_effect_are_waited_for_and_then_reported(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(project_children, "RIGHTS_TIMEOUT_SECONDS", 0.0)
        operator = Operator()
        operator.caches.follow = False
        await operator.install()
        operator.put(project())
        with pytest.raises(RequeueError, match="berth-project-operator"):
            await operator.reconcile(PROJECTS, "alpha")
        assert operator.live(SECRETS, "registry", SPACE) is None
        assert operator.condition(PROJECTS, "alpha", "Ready") == ("False", "ApplyRefused")

    async def test_an_api_server_that_is_away_ends_the_reconcile(self) -> None:
        operator = Operator()
        await operator.install()
        operator.put(project())
        operator.api.refusals["apply", "Namespace"] = UnavailableError("away")
        with pytest.raises(UnavailableError):
            await operator.reconcile(PROJECTS, "alpha")


class TestVolume:
    """The volume of a claim outlives it."""

    def volume(self, operator: Operator, policy: str | None, claim_volume: str = "pv-1") -> None:
        spec: dict[str, Any] = {"persistentVolumeReclaimPolicy": policy} if policy else {}
        operator.put(manifest(PERSISTENT_VOLUMES, "pv-1", **spec))
        operator.change(PERSISTENT_VOLUME_CLAIMS, "registry", SPACE, spec={"volumeName": claim_volume})

    @pytest.mark.parametrize(("policy", "writes"), [("Delete", 1), (None, 1), ("Retain", 0)])
    async def test_it_is_retained_once(self, policy: str | None, writes: int) -> None:
        operator = Operator()
        await operator.ready_project()
        self.volume(operator, policy)
        for _ in range(2):
            await operator.reconcile(PROJECTS, "alpha")
        assert operator.api.writes == [Write("apply", "PersistentVolume", "pv-1")] * writes
        live = operator.live(PERSISTENT_VOLUMES, "pv-1")
        assert live is not None
        assert live["spec"]["persistentVolumeReclaimPolicy"] == "Retain"

    async def test_a_volume_that_does_not_exist_is_not_made(self) -> None:
        operator = Operator()
        await operator.ready_project()
        self.volume(operator, "Delete", "pv-2")
        await operator.reconcile(PROJECTS, "alpha")
        assert operator.api.writes == []


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
