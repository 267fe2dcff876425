"""Rotation of the tokens of pull secrets: on request, in time, and after a deletion."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from berth.api import names
from berth.api.base import rfc3339
from berth.kube.resources import (
    ACCESS_POLICIES,
    ACCESS_TOKENS,
    PROJECTS,
    REGISTRY_USERS,
    SECRETS,
)
from tests.kit.operator.harness import Cluster, RunningOperator
from tests.kit.operator.pull_secrets import changed_from, consent, held, made_and_served, rotate, served, tokens, use


async def test_rotation_on_demand_happens_once_and_the_old_token_goes_when_the_new_one_is_used(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    await cluster.ready_project(unique, pullSecrets=[{"namespace": namespace}])
    first = held(await served(cluster, unique, namespace))
    await cluster.condition(ACCESS_TOKENS, f"{unique}.pull.{namespace}.1", Ready="True")
    await cluster.condition(REGISTRY_USERS, f"{unique}.pull.{namespace}", Ready="True")
    await operator.idle()
    mark = cluster.plane.audit_position()
    await rotate(cluster, unique, "once")
    secret = await cluster.until(SECRETS, f"berth-{unique}", changed_from(first), namespace)
    assert secret is not None
    second = held(secret)
    await cluster.condition(ACCESS_TOKENS, (await tokens(cluster, unique))[second]["metadata"]["name"], Ready="True")
    await operator.idle()
    assert set(await tokens(cluster, unique)) == {first, second}, "the old token no longer counts"
    writes = Counter((each.resource, each.subresource) for each in cluster.plane.writes(cluster.user, mark))
    ends = {token["spec"]["expiresAt"] for token in (await tokens(cluster, unique)).values()}
    assert writes == Counter(
        {
            ("accesstokens", ""): 1,
            ("accesstokens", "status"): 1,
            ("accesspolicies", ""): len(ends) - 1,  # none if both were made within one second
            ("secrets", ""): 1,
            ("projects", "status"): 1,
        }
    )
    (rule,) = (await cluster.get(ACCESS_POLICIES, "project", names.project_namespace(unique)))["spec"]["rules"]
    assert rule["expiresAt"] == max(ends)
    before = await operator.reconciles("Project")
    await rotate(cluster, unique, "once")
    await cluster.admin.merge(PROJECTS, ("", unique), {"spec": {"description": "new"}}, field_manager="owner")
    await operator.reconciled_again("Project", before)
    assert held(await cluster.get(SECRETS, f"berth-{unique}", namespace)) == second
    await use(cluster, (await tokens(cluster, unique))[second]["metadata"]["name"])
    gone = (await tokens(cluster, unique)).get(first)
    assert (
        gone is None or await cluster.until(ACCESS_TOKENS, gone["metadata"]["name"], lambda live: live is None) is None
    )
    assert set(await tokens(cluster, unique)) == {second}


async def test_a_token_is_made_anew_when_half_of_its_life_is_over_and_the_old_one_goes_at_its_end(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    first = held(await made_and_served(cluster, unique, namespace))
    name = (await tokens(cluster, unique))[first]["metadata"]["name"]
    ends = datetime.now(UTC) + timedelta(seconds=5)
    short = {"spec": {"expiresAt": rfc3339(ends)}}
    await cluster.admin.merge(ACCESS_TOKENS, ("", name), short, field_manager="owner")
    secret = await cluster.until(SECRETS, f"berth-{unique}", changed_from(first), namespace)
    assert secret is not None
    assert datetime.now(UTC) < ends, "made anew only after the old one had ended"
    assert set(await tokens(cluster, unique)) == {first, held(secret)}
    await cluster.until(ACCESS_TOKENS, name, lambda live: live is None)
    assert datetime.now(UTC) >= ends - timedelta(seconds=1)


async def test_a_deleted_token_is_made_anew_and_a_deleted_robot_comes_back(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    first = held(await made_and_served(cluster, unique, namespace))
    await operator.idle()
    await cluster.admin.delete(ACCESS_TOKENS, (await tokens(cluster, unique))[first]["metadata"]["name"])
    await cluster.until(SECRETS, f"berth-{unique}", changed_from(first), namespace)
    await operator.idle()
    await cluster.admin.delete(REGISTRY_USERS, f"{unique}.pull.{namespace}")
    await cluster.until(REGISTRY_USERS, f"{unique}.pull.{namespace}", lambda live: live is not None)
