"""The children of a Project, in memory: what is pruned, what happens after a refusal, what becomes of its volume."""

from __future__ import annotations

from typing import Any

import pytest

from berth.api import names
from berth.kube.errors import ForbiddenError, UnavailableError
from berth.kube.resources import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PROJECTS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICES,
)
from berth.reconcile.dispatch import RequeueError
from berth.reconcile.kinds import project_children
from berth.reconcile.outcome import STALLED_RESYNC_SECONDS
from tests.kit.operator.alpha import LABEL, MADE, OURS, SPACE, inventory
from tests.kit.operator.memory import Operator, Write, invalid, manifest, project


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
