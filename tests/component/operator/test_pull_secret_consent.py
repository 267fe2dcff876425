"""Consent of a namespace to its pull secret: missing, given, taken back."""

from __future__ import annotations

from berth.kube.resources import (
    PROJECTS,
    REGISTRY_USERS,
    ROLE_BINDINGS,
    SECRETS,
)
from tests.kit.operator.harness import Cluster, RunningOperator, running_operator
from tests.kit.operator.pull_secrets import (
    ROLE,
    consent,
    held,
    made_and_served,
    project,
    pull_secret_status,
    served,
    tokens,
)
from tests.kit.operator.settings import ACCOUNT, BERTH


async def test_a_namespace_that_did_not_agree_gets_the_command_and_nothing_else(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    mark = cluster.plane.audit_position()
    await project(cluster, unique, {"namespace": namespace})
    entry = await pull_secret_status(cluster, unique, namespace, "ConsentMissing")
    assert entry["served"] is False
    assert await tokens(cluster, unique) == {}
    written = {each.resource for each in cluster.plane.writes(cluster.user, mark) if unique in each.name}
    assert not written & {"registryusers", "accesstokens"}
    command = entry["message"].partition("kubectl ")[2].split()
    cluster.plane.kubectl(*command, check=True)
    await cluster.admin.merge(PROJECTS, ("", unique), {"spec": {"pullSecrets": []}}, field_manager="owner")
    await cluster.until(PROJECTS, unique, lambda live: live is not None and "pullSecrets" not in live["status"])
    entries = {"spec": {"pullSecrets": [{"namespace": namespace}]}}
    await cluster.admin.merge(PROJECTS, ("", unique), entries, field_manager="owner")
    await served(cluster, unique, namespace)


async def test_a_namespace_that_agrees_later_is_served_then(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    await project(cluster, unique, {"namespace": namespace})
    await pull_secret_status(cluster, unique, namespace, "ConsentMissing")
    consent(cluster, namespace)
    await served(cluster, unique, namespace)


async def test_withdrawn_consent_revokes_the_token_at_once_and_reports_what_to_remove(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    await made_and_served(cluster, unique, namespace)
    await cluster.admin.delete(ROLE_BINDINGS, ROLE, namespace)
    entry = await pull_secret_status(cluster, unique, namespace, "ConsentMissing")
    assert await tokens(cluster, unique) == {}
    assert (entry["served"], entry["secretName"]) == (False, f"berth-{unique}")
    assert "rotatedAt" not in entry
    assert f"the token in Secret berth-{unique} there is revoked" in entry["message"]
    command = entry["message"].partition("(kubectl ")[2].partition(")")[0]
    cluster.plane.kubectl(*command.split(), check=True)
    assert await cluster.admin.get(SECRETS, f"berth-{unique}", namespace) is None


async def test_consent_that_comes_back_makes_a_new_token(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    first = held(await made_and_served(cluster, unique, namespace))
    await cluster.admin.delete(ROLE_BINDINGS, ROLE, namespace)
    await pull_secret_status(cluster, unique, namespace, "ConsentMissing")
    consent(cluster, namespace)
    second = held(await served(cluster, unique, namespace))
    assert second != first
    assert set(await tokens(cluster, unique)) == {second}


async def test_consent_that_was_withdrawn_while_the_operator_was_away_revokes_the_token_too(
    cluster: Cluster, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    async with running_operator(cluster) as first:
        await project(cluster, unique, {"namespace": namespace})
        await served(cluster, unique, namespace)
        await first.idle()
    await cluster.admin.delete(ROLE_BINDINGS, ROLE, namespace)
    async with running_operator(cluster):
        await pull_secret_status(cluster, unique, namespace, "ConsentMissing")
        assert await tokens(cluster, unique) == {}


async def test_a_role_without_service_accounts_does_not_keep_the_secret_from_being_taken_back(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    cluster.plane.service_account(namespace, "puller")
    consent(cluster, namespace)
    await project(cluster, unique, {"namespace": namespace, "serviceAccounts": ["puller"]})
    await served(cluster, unique, namespace)
    secrets_alone = ("create", "role", "secrets", "--verb=get,create,patch,delete", "--resource=secrets")
    cluster.plane.kubectl("-n", namespace, *secrets_alone, check=True)
    narrower = ("create", "rolebinding", "secrets", "--role=secrets", f"--serviceaccount={BERTH}:{ACCOUNT}")
    cluster.plane.kubectl("-n", namespace, *narrower, check=True)
    await cluster.admin.delete(ROLE_BINDINGS, ROLE, namespace)
    await pull_secret_status(cluster, unique, namespace, "ConsentMissing")
    await cluster.admin.merge(PROJECTS, ("", unique), {"spec": {"pullSecrets": []}}, field_manager="owner")
    await cluster.until(REGISTRY_USERS, f"{unique}.pull.{namespace}", lambda live: live is None)
    assert await cluster.admin.get(SECRETS, f"berth-{unique}", namespace) is None
