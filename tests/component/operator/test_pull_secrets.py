"""Pull secrets on a real API server: who is served, with what, what it costs, and what is never touched."""

from __future__ import annotations

import base64
import json
from collections import Counter

from berth.api import names
from berth.kube.resources import (
    ACCESS_POLICIES,
    ACCESS_TOKENS,
    NAMESPACES,
    PROJECTS,
    REGISTRY_USERS,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from tests.kit.operator.harness import Cluster, RunningOperator, running_operator
from tests.kit.operator.pull_secrets import (
    consent,
    held,
    login_of,
    made_and_served,
    project,
    pull_secret_status,
    served,
    tokens,
)


async def test_a_namespace_that_agreed_gets_a_secret_with_the_token_of_a_robot_of_its_own(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    secret = await made_and_served(cluster, unique, namespace)
    robot = f"{unique}.pull.{namespace}"
    login = login_of(secret)
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert login["username"] == robot
    assert base64.b64decode(login["auth"]).decode() == f"{robot}:{login['password']}"
    (token,) = (await tokens(cluster, unique)).values()
    assert token["spec"]["sha256"] == held(secret)
    assert token["spec"]["owner"] == {"kind": "Robot", "name": robot}
    assert token["spec"]["scopes"] == ["download"]
    assert (await cluster.get(REGISTRY_USERS, robot))["spec"]["type"] == "Robot"
    policy = await cluster.get(ACCESS_POLICIES, "project", names.project_namespace(unique))
    (rule,) = policy["spec"]["rules"]
    assert (rule["kind"], rule["name"], rule["level"], rule["source"]) == ("Robot", robot, "Download", "PullSecret")
    assert rule["expiresAt"] == token["spec"]["expiresAt"]
    await cluster.condition(ACCESS_TOKENS, token["metadata"]["name"], Ready="True")


async def test_the_secret_of_the_token_is_in_no_other_object(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    password = login_of(await made_and_served(cluster, unique, namespace))["password"]
    await operator.idle()
    for resource in (PROJECTS, REGISTRY_USERS, ACCESS_TOKENS, ACCESS_POLICIES):
        assert password not in json.dumps(await cluster.admin.list(resource))
    assert password not in cluster.plane.audit_log.read_text()


async def test_a_namespace_that_does_not_exist_is_reported_and_served_when_it_appears(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    late = f"late-{unique}"
    await project(cluster, unique, {"namespace": late})
    await pull_secret_status(cluster, unique, late, "NamespaceNotFound")
    live = await cluster.condition(PROJECTS, unique, PullSecretsServed="False")
    assert late in next(c["message"] for c in live["status"]["conditions"] if c["type"] == "PullSecretsServed")
    cluster.plane.kubectl("create", "namespace", late, check=True)
    await pull_secret_status(cluster, unique, late, "ConsentMissing")


async def test_a_project_is_ready_whether_or_not_its_namespaces_are_served(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique, pullSecrets=[{"namespace": "nowhere-at-all"}])
    await cluster.condition(PROJECTS, unique, Ready="True", PullSecretsServed="False")


async def test_a_pull_secret_costs_nothing_when_nothing_changed_and_nothing_at_a_restart(
    cluster: Cluster, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    cluster.plane.service_account(namespace, "puller")
    async with running_operator(cluster) as first:
        await cluster.ready_project(unique, pullSecrets=[{"namespace": namespace, "serviceAccounts": ["puller"]}])
        await served(cluster, unique, namespace)
        await cluster.condition(ACCESS_TOKENS, f"{unique}.pull.{namespace}.1", Ready="True")
        await cluster.condition(REGISTRY_USERS, f"{unique}.pull.{namespace}", Ready="True")
        await first.idle()
        mark, before = cluster.plane.audit_position(), await first.reconciles("Project")
        note = {"metadata": {"annotations": {names.ANNOTATION_RECONCILE_REQUESTED: "now"}}}
        await cluster.admin.merge(PROJECTS, ("", unique), note, field_manager="owner")
        await first.reconciled_again("Project", before)
        assert cluster.plane.writes(cluster.user, mark) == []
    mark = cluster.plane.audit_position()
    async with running_operator(cluster) as second:
        await second.reconciled_again("Project", 0)
    assert cluster.plane.writes(cluster.user, mark) == []


async def test_named_service_accounts_use_the_secret_beside_what_they_had(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    cluster.plane.service_account(namespace, "puller")
    own = {"imagePullSecrets": [{"name": "theirs"}]}
    await cluster.admin.merge(SERVICE_ACCOUNTS, (namespace, "puller"), own, field_manager="owner")
    await project(cluster, unique, {"namespace": namespace, "serviceAccounts": ["puller", "absent"]})
    entry = await pull_secret_status(cluster, unique, namespace, "ServiceAccountNotFound")
    assert entry["served"]
    assert "ServiceAccount absent" in entry["message"]
    account = await cluster.get(SERVICE_ACCOUNTS, "puller", namespace)
    assert account["imagePullSecrets"] == [{"name": "theirs"}, {"name": f"berth-{unique}"}]
    entries = {"spec": {"pullSecrets": [{"namespace": namespace}]}}
    await cluster.admin.merge(PROJECTS, ("", unique), entries, field_manager="owner")
    await cluster.until(
        SERVICE_ACCOUNTS,
        "puller",
        lambda live: live is not None and live["imagePullSecrets"] == [{"name": "theirs"}],
        namespace,
    )


async def test_an_entry_that_goes_takes_everything_with_it(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    cluster.plane.service_account(namespace, "puller")
    await project(cluster, unique, {"namespace": namespace, "serviceAccounts": ["puller"]})
    await served(cluster, unique, namespace)
    robot = f"{unique}.pull.{namespace}"
    live = await cluster.get(PROJECTS, unique)
    listed = {(entry["kind"], entry["name"]) for entry in live["status"]["inventory"]}
    assert {("RegistryUser", robot), ("AccessToken", f"{robot}.1"), ("Secret", f"berth-{unique}")} <= listed
    await cluster.admin.merge(PROJECTS, ("", unique), {"spec": {"pullSecrets": []}}, field_manager="owner")
    await cluster.until(REGISTRY_USERS, robot, lambda live: live is None)
    assert await cluster.admin.get(SECRETS, f"berth-{unique}", namespace) is None
    assert await tokens(cluster, unique) == {}
    assert not (await cluster.get(SERVICE_ACCOUNTS, "puller", namespace)).get("imagePullSecrets")
    await cluster.until(PROJECTS, unique, lambda live: live is not None and robot not in json.dumps(live["status"]))


async def test_a_secret_of_others_is_not_changed(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    theirs = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"berth-{unique}", "namespace": namespace},
        "data": {"mine": "bWluZQ=="},
    }
    cluster.plane.apply(theirs)
    await project(cluster, unique, {"namespace": namespace})
    entry = await pull_secret_status(cluster, unique, namespace, "NameTaken")
    assert f"Secret berth-{unique}" in entry["message"]
    assert (await cluster.get(SECRETS, f"berth-{unique}", namespace))["data"] == {"mine": "bWluZQ=="}


async def test_a_user_of_the_robots_name_is_not_taken_over(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    name = f"{unique}.pull.{namespace}"
    body = {"apiVersion": names.API_VERSION, "kind": "RegistryUser", "metadata": {"name": name}, "spec": {}}
    await cluster.admin.apply(REGISTRY_USERS, body, field_manager="owner")
    await project(cluster, unique, {"namespace": namespace})
    entry = await pull_secret_status(cluster, unique, namespace, "NameTaken")
    assert f"RegistryUser {name}" in entry["message"]
    assert (await cluster.get(REGISTRY_USERS, name))["spec"].get("type") != "Robot"


async def test_a_namespace_that_is_deleted_revokes_its_tokens(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    await made_and_served(cluster, unique, namespace)
    await cluster.admin.delete(NAMESPACES, namespace)
    await pull_secret_status(cluster, unique, namespace, "NamespaceTerminating")
    assert await tokens(cluster, unique) == {}


async def test_what_a_pull_secret_costs(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    cluster.plane.service_account(namespace, "puller")
    await cluster.ready_project(unique)
    await operator.idle()
    mark = cluster.plane.audit_position()
    entries = {"spec": {"pullSecrets": [{"namespace": namespace, "serviceAccounts": ["puller"]}]}}
    await cluster.admin.merge(PROJECTS, ("", unique), entries, field_manager="owner")
    await served(cluster, unique, namespace)
    await cluster.condition(ACCESS_TOKENS, f"{unique}.pull.{namespace}.1", Ready="True")
    await cluster.condition(REGISTRY_USERS, f"{unique}.pull.{namespace}", Ready="True")
    await operator.idle()
    assert Counter((each.resource, each.subresource) for each in cluster.plane.writes(cluster.user, mark)) == {
        ("accesspolicies", ""): 1,  # the right and the end of its token in one write
        ("registryusers", ""): 1,
        ("registryusers", "status"): 1,
        ("accesstokens", ""): 1,
        ("accesstokens", "status"): 1,
        ("secrets", ""): 1,
        ("serviceaccounts", ""): 1,
        ("projects", "status"): 1,
    }
    mark = cluster.plane.audit_position()
    await cluster.admin.merge(PROJECTS, ("", unique), {"spec": {"pullSecrets": None}}, field_manager="owner")
    await cluster.until(PROJECTS, unique, lambda live: live is not None and "pullSecrets" not in live["status"])
    await operator.idle()
    assert Counter((each.resource, each.subresource) for each in cluster.plane.writes(cluster.user, mark)) == {
        ("accesspolicies", ""): 1,
        ("accesstokens", ""): 1,
        ("serviceaccounts", ""): 1,
        ("secrets", ""): 1,
        ("registryusers", ""): 1,
        ("projects", "status"): 1,
    }
