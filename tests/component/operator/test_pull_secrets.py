"""Pull secrets on a real API server: consent, rotation, what stays valid, what is taken back."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from berth.api import names
from berth.api.base import rfc3339
from berth.kube.resources import (
    ACCESS_POLICIES,
    ACCESS_TOKENS,
    NAMESPACES,
    PROJECTS,
    REGISTRY_USERS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Manifest,
)
from tests.component.operator.harness import ACCOUNT, BERTH, Cluster, RunningOperator, running_operator

HOST = "registry.example.org"
ROLE = "berth-pull-secret-writer"


def consent(cluster: Cluster, namespace: str) -> None:
    """What the owner of a namespace runs."""
    arguments = ("create", "rolebinding", ROLE, f"--clusterrole={ROLE}", f"--serviceaccount={BERTH}:{ACCOUNT}")
    cluster.plane.kubectl("-n", namespace, *arguments, check=True)


async def project(cluster: Cluster, name: str, *entries: dict[str, Any]) -> None:
    await cluster.make_project(name, pullSecrets=list(entries))


async def told(cluster: Cluster, name: str, namespace: str, reason: str) -> dict[str, Any]:
    """Wait until the status says that of a namespace."""

    def entry(live: Manifest | None) -> dict[str, Any]:
        found = ((live or {}).get("status") or {}).get("pullSecrets") or ()
        return next((each for each in found if each["namespace"] == namespace), {})

    live = await cluster.until(PROJECTS, name, lambda live: entry(live).get("reason") == reason)
    return entry(live)


def login_of(secret: Manifest) -> dict[str, str]:
    config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    logins = list(config["auths"].values())
    assert all(login == logins[0] for login in logins)
    found: dict[str, str] = logins[0]
    return found


async def tokens(cluster: Cluster, name: str) -> dict[str, Manifest]:
    """The tokens of a project's robots, by SHA-256."""
    found = await cluster.admin.list(ACCESS_TOKENS, label_selector=f"{names.LABEL_PROJECT}={name}")
    return {each["spec"]["sha256"]: each for each in found}


def held(secret: Manifest) -> str:
    return hashlib.sha256(login_of(secret)["password"].encode()).hexdigest()


async def served(cluster: Cluster, name: str, namespace: str) -> Manifest:
    await told(cluster, name, namespace, "Served")
    return await cluster.get(SECRETS, f"berth-{name}", namespace)


async def rotate(cluster: Cluster, name: str, value: str) -> None:
    note = {"metadata": {"annotations": {names.ANNOTATION_ROTATE_PULL_SECRETS: value}}}
    await cluster.admin.merge(PROJECTS, ("", name), note, field_manager="owner")


async def use(cluster: Cluster, token: str) -> None:
    """What the access service does when somebody logs in with a token."""
    body = {
        "apiVersion": names.API_VERSION,
        "kind": "AccessToken",
        "metadata": {"name": token},
        "status": {"lastUsed": "2026-11-24T12:00:00Z"},
    }
    await cluster.admin.apply(ACCESS_TOKENS, body, field_manager="berth-access", subresource="status")


def changed_from(before: str) -> Callable[[Manifest | None], bool]:
    return lambda live: live is not None and held(live) != before


async def test_a_namespace_that_agreed_gets_a_secret_with_the_token_of_a_robot_of_its_own(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    await project(cluster, unique, {"namespace": namespace})
    secret = await served(cluster, unique, namespace)
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


async def test_the_secret_of_the_token_stands_in_no_other_object(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    await project(cluster, unique, {"namespace": namespace})
    password = login_of(await served(cluster, unique, namespace))["password"]
    await operator.idle()
    for resource in (PROJECTS, REGISTRY_USERS, ACCESS_TOKENS, ACCESS_POLICIES):
        assert password not in json.dumps(await cluster.admin.list(resource))
    assert password not in cluster.plane.audit_log.read_text()


async def test_a_namespace_that_did_not_agree_is_told_the_command_and_nothing_is_made(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    mark = cluster.plane.audit_position()
    await project(cluster, unique, {"namespace": namespace})
    entry = await told(cluster, unique, namespace, "ConsentMissing")
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


async def test_a_namespace_that_is_not_there_is_told_and_served_when_it_appears(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    late = f"late-{unique}"
    await project(cluster, unique, {"namespace": late})
    await told(cluster, unique, late, "NamespaceNotFound")
    live = await cluster.condition(PROJECTS, unique, PullSecretsServed="False")
    assert late in next(c["message"] for c in live["status"]["conditions"] if c["type"] == "PullSecretsServed")
    cluster.plane.kubectl("create", "namespace", late, check=True)
    await told(cluster, unique, late, "ConsentMissing")


async def test_a_project_is_ready_whether_or_not_its_namespaces_are_served(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique, pullSecrets=[{"namespace": "nowhere-at-all"}])
    await cluster.condition(PROJECTS, unique, Ready="True", PullSecretsServed="False")


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
    before = await operator.passes("Project")
    await rotate(cluster, unique, "once")
    await cluster.admin.merge(PROJECTS, ("", unique), {"spec": {"description": "woken"}}, field_manager="owner")
    await operator.passed_again("Project", before)
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
    consent(cluster, namespace)
    await project(cluster, unique, {"namespace": namespace})
    first = held(await served(cluster, unique, namespace))
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
        mark, before = cluster.plane.audit_position(), await first.passes("Project")
        note = {"metadata": {"annotations": {names.ANNOTATION_RECONCILE_REQUESTED: "now"}}}
        await cluster.admin.merge(PROJECTS, ("", unique), note, field_manager="owner")
        await first.passed_again("Project", before)
        assert cluster.plane.writes(cluster.user, mark) == []
    mark = cluster.plane.audit_position()
    async with running_operator(cluster) as second:
        await second.passed_again("Project", 0)
    assert cluster.plane.writes(cluster.user, mark) == []


async def test_named_service_accounts_use_the_secret_beside_what_they_had(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    cluster.plane.service_account(namespace, "puller")
    own = {"imagePullSecrets": [{"name": "theirs"}]}
    await cluster.admin.merge(SERVICE_ACCOUNTS, (namespace, "puller"), own, field_manager="owner")
    await project(cluster, unique, {"namespace": namespace, "serviceAccounts": ["puller", "absent"]})
    entry = await told(cluster, unique, namespace, "ServiceAccountNotFound")
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


async def test_a_secret_that_is_somebody_elses_stays_as_it_is(
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
    entry = await told(cluster, unique, namespace, "NameTaken")
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
    entry = await told(cluster, unique, namespace, "NameTaken")
    assert f"RegistryUser {name}" in entry["message"]
    assert (await cluster.get(REGISTRY_USERS, name))["spec"].get("type") != "Robot"


async def test_a_deleted_token_is_made_anew_and_a_deleted_robot_comes_back(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    await project(cluster, unique, {"namespace": namespace})
    first = held(await served(cluster, unique, namespace))
    await operator.idle()
    await cluster.admin.delete(ACCESS_TOKENS, (await tokens(cluster, unique))[first]["metadata"]["name"])
    await cluster.until(SECRETS, f"berth-{unique}", changed_from(first), namespace)
    await operator.idle()
    await cluster.admin.delete(REGISTRY_USERS, f"{unique}.pull.{namespace}")
    await cluster.until(REGISTRY_USERS, f"{unique}.pull.{namespace}", lambda live: live is not None)


async def test_a_namespace_that_agrees_later_is_served_then(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    await project(cluster, unique, {"namespace": namespace})
    await told(cluster, unique, namespace, "ConsentMissing")
    consent(cluster, namespace)
    await served(cluster, unique, namespace)


async def test_withdrawn_consent_revokes_the_token_at_once_and_tells_what_to_remove(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    await project(cluster, unique, {"namespace": namespace})
    await served(cluster, unique, namespace)
    await cluster.admin.delete(ROLE_BINDINGS, ROLE, namespace)
    entry = await told(cluster, unique, namespace, "ConsentMissing")
    assert await tokens(cluster, unique) == {}
    assert (entry["served"], entry["secretName"]) == (False, f"berth-{unique}")
    assert "rotatedAt" not in entry
    assert f"the token in Secret berth-{unique} there is revoked" in entry["message"]
    told_command = entry["message"].partition("(kubectl ")[2].partition(")")[0]
    cluster.plane.kubectl(*told_command.split(), check=True)
    assert await cluster.admin.get(SECRETS, f"berth-{unique}", namespace) is None


async def test_consent_that_comes_back_makes_a_new_token(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    await project(cluster, unique, {"namespace": namespace})
    first = held(await served(cluster, unique, namespace))
    await cluster.admin.delete(ROLE_BINDINGS, ROLE, namespace)
    await told(cluster, unique, namespace, "ConsentMissing")
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
        await told(cluster, unique, namespace, "ConsentMissing")
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
    await told(cluster, unique, namespace, "ConsentMissing")
    await cluster.admin.merge(PROJECTS, ("", unique), {"spec": {"pullSecrets": []}}, field_manager="owner")
    await cluster.until(REGISTRY_USERS, f"{unique}.pull.{namespace}", lambda live: live is None)
    assert await cluster.admin.get(SECRETS, f"berth-{unique}", namespace) is None


async def test_a_namespace_that_is_deleted_revokes_its_tokens(
    cluster: Cluster, operator: RunningOperator, unique: str, namespace: str
) -> None:
    consent(cluster, namespace)
    await project(cluster, unique, {"namespace": namespace})
    await served(cluster, unique, namespace)
    await cluster.admin.delete(NAMESPACES, namespace)
    await told(cluster, unique, namespace, "NamespaceTerminating")
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
        ("accesspolicies", ""): 2,  # the right, and then when the token that was made for it ends
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
