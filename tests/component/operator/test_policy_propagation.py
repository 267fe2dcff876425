"""What statuses say while a replica of access does not know a change yet."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from berth.kube.resources import PROJECTS, REGISTRY_USERS, Manifest
from tests.kit.operator.harness import Cluster, RunningOperator, start_access, tell_access
from tests.kit.operator.settings import BERTH

ADDRESSES = ("192.0.2.1", "192.0.2.2")


@pytest.fixture
async def replicas(cluster: Cluster) -> AsyncIterator[None]:
    """Two pods of access that run."""
    for number, address in enumerate(ADDRESSES):
        start_access(cluster.plane, f"access-{number}", address)
    yield
    for number in range(len(ADDRESSES)):
        cluster.plane.kubectl("-n", BERTH, "delete", "pod", f"access-{number}", "--force", check=True)


def says(live: Manifest | None, kind: str) -> tuple[str, str, int]:
    """Status, message and observed generation of a condition."""
    found = [c for c in (live or {}).get("status", {}).get("conditions", ()) if c["type"] == kind]
    return (found[0]["status"], found[0]["message"], found[0]["observedGeneration"]) if found else ("", "", -1)


@pytest.mark.usefixtures("replicas", "operator")
async def test_a_user_is_said_to_be_disabled_only_when_every_replica_refuses_them(cluster: Cluster) -> None:
    user: Manifest = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "RegistryUser",
        "metadata": {"name": "leaver"},
        "spec": {"type": "Person"},
    }
    await cluster.admin.apply(REGISTRY_USERS, user, field_manager="test")
    await cluster.condition(REGISTRY_USERS, "leaver", Ready="True")
    cluster.replicas.behind = {ADDRESSES[1]}
    user["spec"]["disabled"] = True
    await cluster.admin.apply(REGISTRY_USERS, user, field_manager="test")
    waits = (
        "False",
        "Not in force everywhere yet: pod access-1 of the access service does not have the latest change yet.",
        2,
    )
    await cluster.until(REGISTRY_USERS, "leaver", lambda live: says(live, "Ready") == waits)
    cluster.replicas.behind = set()
    done = ("True", "spec.disabled is true: every request of this user is refused.", 2)
    await cluster.until(REGISTRY_USERS, "leaver", lambda live: says(live, "Ready") == done)


@pytest.mark.usefixtures("replicas", "operator")
async def test_a_project_reports_its_sharing_once_every_replica_has_it(cluster: Cluster) -> None:
    await cluster.ready_project("enforced")
    cluster.replicas.silent = {ADDRESSES[0]}
    patch = '{"spec":{"sharing":[{"kind":"User","name":"absent","level":"View"}],"trashed":true}}'
    cluster.plane.kubectl("patch", "project", "enforced", "--type=merge", "-p", patch, check=True)
    waits = ("False", "Not in force everywhere yet: pod access-0 of the access service does not answer.", 2)
    live = await cluster.until(PROJECTS, "enforced", lambda live: says(live, "Ready") == waits)
    assert (says(live, "AccessReady")[2], says(live, "Trashed")[0]) == (1, "False")
    cluster.replicas.silent = set()
    await cluster.until(PROJECTS, "enforced", lambda live: says(live, "Trashed")[0] == "True")
    live = await cluster.get(PROJECTS, "enforced")
    assert says(live, "AccessReady")[2] == 2


@pytest.mark.usefixtures("replicas")
async def test_at_rest_no_replica_gets_a_request(cluster: Cluster, operator: RunningOperator) -> None:
    await cluster.ready_project("at-rest")
    await operator.idle()
    cluster.replicas.silent = set(ADDRESSES)
    before = await operator.reconciles("Project")
    cluster.plane.kubectl("label", "project", "at-rest", "touched=yes", check=True)
    await operator.reconciled_again("Project", before)
    assert says(await cluster.get(PROJECTS, "at-rest"), "Ready")[0] == "True"


@pytest.mark.usefixtures("operator")
async def test_a_project_says_that_no_one_can_pull_while_no_pod_of_access_is_ready(cluster: Cluster) -> None:
    await cluster.ready_project("unserved")
    tell_access(cluster.plane, "access", ready=False)
    try:
        note = '{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":"now"}}}'
        cluster.plane.kubectl("patch", "project", "unserved", "--type=merge", "-p", note, check=True)
        live = await cluster.condition(PROJECTS, "unserved", AccessReady="False", Ready="False", Reconciling="True")
        assert "No Pod of Berth's access service is ready" in says(live, "AccessReady")[1]
    finally:
        tell_access(cluster.plane, "access", ready=True)
    await cluster.condition(PROJECTS, "unserved", AccessReady="True", Ready="True")
