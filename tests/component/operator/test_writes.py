"""How much the operator writes, counted by the API server's own audit log."""

from __future__ import annotations

from collections import Counter

from berth.api import names
from berth.kube.resources import PROJECTS
from tests.kit.operator.harness import Cluster, RunningOperator, running_operator

CHILDREN = 9  # namespace, own binding, two network policies, policy, Secret, claim, Service, Deployment


async def test_a_new_project_costs_its_children_its_finalizer_and_at_most_two_statuses(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await operator.idle()
    mark = cluster.plane.audit_position()
    await cluster.ready_project(unique)
    await operator.idle()
    writes = cluster.plane.writes(cluster.user, mark)
    statuses = [each for each in writes if each.subresource == "status"]
    children = [each for each in writes if not each.subresource and each.resource != "projects"]
    assert Counter((each.resource, each.name) for each in children).most_common(1)[0][1] == 1
    assert len(children) == CHILDREN, [f"{each.verb} {each.resource} {each.name} {each.code}" for each in children]
    assert 1 <= len(statuses) <= 2
    assert len(writes) == CHILDREN + len(statuses) + 1


async def test_nothing_is_written_when_nothing_changed(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    await operator.idle()
    before, mark = await operator.reconciles("Project"), cluster.plane.audit_position()
    probed = cluster.registries.probed.count(unique)
    note = {"metadata": {"annotations": {names.ANNOTATION_RECONCILE_REQUESTED: "now"}}}
    await cluster.admin.merge(PROJECTS, ("", unique), note, field_manager="owner")
    await operator.reconciled_again("Project", before + 1)  # the second one is after the requested probe
    assert cluster.registries.probed.count(unique) == probed + 1
    assert cluster.plane.writes(cluster.user, mark) == []


async def test_a_restart_of_the_operator_writes_nothing(cluster: Cluster, unique: str) -> None:
    async with running_operator(cluster) as first:
        await cluster.ready_project(unique)
        await first.idle()
    mark = cluster.plane.audit_position()
    async with running_operator(cluster) as second:
        await second.reconciled_again("Project", 0)
        assert cluster.registries.probed.count(unique) >= 2
    assert cluster.plane.writes(cluster.user, mark) == []


async def test_one_changed_field_costs_that_child_and_one_status(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    await operator.idle()
    before, mark = await operator.reconciles("Project"), cluster.plane.audit_position()
    sharing = {"spec": {"sharing": [{"kind": "AuthenticatedUsers", "level": "View"}]}}
    await cluster.admin.merge(PROJECTS, ("", unique), sharing, field_manager="owner")
    await operator.reconciled_again("Project", before)
    writes = [(each.resource, each.name, each.subresource) for each in cluster.plane.writes(cluster.user, mark)]
    assert sorted(writes) == [("accesspolicies", "project", ""), ("projects", unique, "status")]


async def test_two_hundred_events_cost_no_write_and_few_reconciles(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    await operator.idle()
    before, mark = await operator.reconciles("Project"), cluster.plane.audit_position()
    for number in range(200):
        note = {"metadata": {"annotations": {"example.org/number": str(number)}}}
        await cluster.admin.merge(PROJECTS, ("", unique), note, field_manager="owner")
    await operator.reconciled_again("Project", before)
    assert cluster.plane.writes(cluster.user, mark) == []
    assert await operator.reconciles("Project") - before < 100
