"""Pull secrets, in memory: consent, what is checked when, and what is removed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from berth.api import names
from berth.api.project import Project
from berth.authz.token_format import token_sha256
from berth.kube.errors import ConflictError, ForbiddenError, NotFoundError, UnavailableError
from berth.kube.resources import (
    ACCESS_POLICIES,
    ACCESS_TOKENS,
    NAMESPACES,
    PROJECTS,
    REGISTRY_USERS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Manifest,
)
from berth.reconcile.dispatch import CONFLICT_RETRY_SECONDS
from berth.reconcile.pull_secrets.service import CONSENT_CHECK_SECONDS, REFUSED_CHECK_SECONDS, SERVED_CHECK_SECONDS
from tests.kit.operator.memory import CONSENT, Operator, Write, invalid, manifest, namespace_of, project

NAMESPACE, SECRET, ROBOT = "analysis", "berth-alpha", "alpha.pull.analysis"
FORBIDDEN = ForbiddenError("Reading Secret was answered with 403: Forbidden.", status=403)


def agree(operator: Operator) -> None:
    """The namespace agrees: the binding, and the rights that it gives."""
    operator.put(manifest(ROLE_BINDINGS, CONSENT, NAMESPACE))
    operator.api.refusals.pop(("get", "Secret", SECRET), None)


def refuse(operator: Operator, *, binding: bool = True) -> None:
    """The namespace takes its consent back."""
    if binding and operator.live(ROLE_BINDINGS, CONSENT, NAMESPACE):
        operator.remove(ROLE_BINDINGS, CONSENT, NAMESPACE)
    operator.api.refusals["get", "Secret", SECRET] = FORBIDDEN


def entries(*accounts: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    return [{"namespace": namespace, **({"serviceAccounts": list(accounts)} if accounts else {})}]


async def served(*accounts: str) -> Operator:
    """A Ready project with a pull secret in a namespace that agreed."""
    operator = Operator()
    operator.put(namespace_of(NAMESPACE))
    agree(operator)
    for account in accounts:
        operator.put(manifest(SERVICE_ACCOUNTS, account, NAMESPACE))
    await operator.ready_project(pullSecrets=entries(*accounts))
    assert entry(operator)["served"]
    return operator


async def reconcile(operator: Operator) -> float | None:
    operator.api.writes.clear()
    operator.api.reads.clear()
    return await operator.reconcile(PROJECTS, "alpha")


def entry(operator: Operator) -> dict[str, Any]:
    """What the status says of the namespace."""
    (found,) = operator.status(PROJECTS, "alpha")["pullSecrets"]
    return dict(found)


def tokens(operator: Operator) -> list[str]:
    return [key[1] for resource, key in operator.api.objects if resource == ACCESS_TOKENS]


def held(operator: Operator) -> str:
    """The SHA-256 of the token in the Secret."""
    secret = operator.live(SECRETS, SECRET, NAMESPACE)
    assert secret is not None
    config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    return token_sha256(config["auths"]["registry.example.org/alpha"]["password"])


def accounts_of(operator: Operator, name: str) -> list[str]:
    """The pull secrets of a ServiceAccount."""
    live = operator.live(SERVICE_ACCOUNTS, name, NAMESPACE)
    assert live is not None
    return [found["name"] for found in live.get("imagePullSecrets") or ()]


async def test_a_namespace_that_agreed_is_served_and_costs_nothing_afterwards() -> None:
    operator = await served("puller")
    token = operator.live(ACCESS_TOKENS, f"{ROBOT}.1")
    assert token is not None
    assert token["spec"]["sha256"] == held(operator)
    assert accounts_of(operator, "puller") == [SECRET]
    assert entry(operator)["reason"] == "Served"
    assert entry(operator)["rotatedAt"] == token["metadata"]["creationTimestamp"]
    assert await reconcile(operator) == SERVED_CHECK_SECONDS
    assert (operator.api.writes, operator.api.reads) == ([], [])


async def test_the_policy_has_the_end_of_the_token_in_its_first_write() -> None:
    operator = Operator()
    operator.put(namespace_of(NAMESPACE))
    agree(operator)
    await operator.install()
    operator.put(project(pullSecrets=entries()))
    await reconcile(operator)
    assert [write.kind for write in operator.api.writes].count("AccessPolicy") == 1
    policy, token = operator.live(ACCESS_POLICIES, "project", "berth-alpha"), operator.live(ACCESS_TOKENS, f"{ROBOT}.1")
    assert policy is not None
    assert token is not None
    assert [rule["expiresAt"] for rule in policy["spec"]["rules"]] == [token["spec"]["expiresAt"]]


async def test_the_inventory_has_robot_token_and_secret() -> None:
    operator = await served()
    found = {(e["kind"], e.get("namespace", ""), e["name"]) for e in operator.status(PROJECTS, "alpha")["inventory"]}
    made = {("RegistryUser", "", ROBOT), ("AccessToken", "", f"{ROBOT}.1"), ("Secret", NAMESPACE, SECRET)}
    assert made <= found
    assert ("Secret", "berth-alpha", "registry") in found
    operator.change(PROJECTS, "alpha", spec={"pullSecrets": []})
    await reconcile(operator)
    left = {(e["kind"], e.get("namespace", ""), e["name"]) for e in operator.status(PROJECTS, "alpha")["inventory"]}
    assert left == found - made


class TestConsent:
    """Whether a namespace agreed."""

    async def test_without_consent_nothing_is_written_and_the_status_has_the_command(self) -> None:
        operator = Operator()
        operator.put(namespace_of(NAMESPACE))
        refuse(operator)
        await operator.ready_project(pullSecrets=entries())
        assert entry(operator)["reason"] == "ConsentMissing"
        assert f"kubectl -n {NAMESPACE} create rolebinding" in entry(operator)["message"]
        assert "is revoked" not in entry(operator)["message"]
        assert tokens(operator) == []
        assert operator.live(REGISTRY_USERS, ROBOT) is None

    async def test_withdrawn_consent_revokes_the_token_and_names_the_secret_that_is_left(self) -> None:
        operator = await served()
        refuse(operator)
        await reconcile(operator)
        assert tokens(operator) == []
        assert (entry(operator)["served"], entry(operator)["secretName"]) == (False, SECRET)
        assert "is revoked" in entry(operator)["message"]
        assert operator.live(SECRETS, SECRET, NAMESPACE) is not None

    async def test_refused_credentials_of_the_operator_itself_revoke_nothing(self) -> None:
        operator = await served()
        operator.api.refusals["get", "Secret", SECRET] = ForbiddenError("who is it", status=401)
        operator.remove(ROLE_BINDINGS, CONSENT, NAMESPACE)
        await reconcile(operator)
        assert tokens(operator) == [f"{ROBOT}.1"]

    async def test_consent_that_comes_back_makes_a_new_token(self) -> None:
        operator = await served()
        first = held(operator)
        refuse(operator)
        await reconcile(operator)
        agree(operator)
        await reconcile(operator)
        assert held(operator) != first
        assert len(tokens(operator)) == 1
        assert entry(operator)["served"]

    async def test_a_new_binding_is_checked_soon_and_then_less_and_less_often(self) -> None:
        operator = Operator()
        operator.put(namespace_of(NAMESPACE))
        refuse(operator)
        assert await operator.ready_project(pullSecrets=entries()) == REFUSED_CHECK_SECONDS
        operator.put(manifest(ROLE_BINDINGS, CONSENT, NAMESPACE))  # its rights take a moment
        pauses = []
        for _ in range(7):
            pauses.append(await reconcile(operator))
            operator.pass_time(pauses[-1] or 0)
        assert pauses == [CONSENT_CHECK_SECONDS, 2, 4, 8, 16, REFUSED_CHECK_SECONDS, REFUSED_CHECK_SECONDS]

    async def test_before_it_is_due_a_refused_namespace_costs_no_request(self) -> None:
        operator = Operator()
        operator.put(namespace_of(NAMESPACE))
        refuse(operator)
        await operator.ready_project(pullSecrets=entries())
        operator.api.refusals.clear()
        operator.pass_time(REFUSED_CHECK_SECONDS - 1)
        assert await reconcile(operator) == pytest.approx(1)
        assert operator.api.reads == []
        operator.pass_time(1)
        await reconcile(operator)
        assert operator.api.reads != []
        assert entry(operator)["served"]


class TestChecks:
    """What is checked again, and when."""

    async def test_a_secret_is_checked_after_ten_minutes_and_repaired(self) -> None:
        operator = await served()
        operator.change(SECRETS, SECRET, NAMESPACE, data={".dockerconfigjson": None})
        operator.pass_time(SERVED_CHECK_SECONDS - 1)
        await reconcile(operator)
        assert operator.api.reads == []
        operator.pass_time(1)
        await reconcile(operator)
        assert Write("apply", "Secret", SECRET) in operator.api.writes
        assert held(operator)

    async def test_what_others_added_to_the_secret_stays_and_a_changed_host_is_written(self) -> None:
        operator = await served()
        first = held(operator)
        operator.change(SECRETS, SECRET, NAMESPACE, metadata={"labels": {"team": "x"}})
        operator.pass_time(SERVED_CHECK_SECONDS)
        await reconcile(operator)
        assert operator.api.writes == []
        operator.change(SECRETS, SECRET, NAMESPACE, metadata={"annotations": {names.ANNOTATION_DESIRED_HASH: "old"}})
        operator.pass_time(SERVED_CHECK_SECONDS)
        await reconcile(operator)
        assert operator.api.writes == [Write("apply", "Secret", SECRET)]
        assert held(operator) == first

    async def test_a_changed_type_of_the_secret_is_put_back(self) -> None:
        operator = await served()
        operator.put({**operator.api.objects[SECRETS, (NAMESPACE, SECRET)], "type": "Opaque"})
        operator.pass_time(SERVED_CHECK_SECONDS)
        await reconcile(operator)
        assert operator.api.writes == [Write("apply", "Secret", SECRET)]

    async def test_a_removed_secret_gets_a_new_token(self) -> None:
        operator = await served()
        first = held(operator)
        operator.remove(SECRETS, SECRET, NAMESPACE)
        operator.pass_time(SERVED_CHECK_SECONDS)
        await reconcile(operator)
        assert held(operator) != first

    async def test_a_deleted_robot_is_made_again_at_once(self) -> None:
        operator = await served()
        operator.remove(REGISTRY_USERS, ROBOT)
        await reconcile(operator)
        assert operator.live(REGISTRY_USERS, ROBOT) is not None

    async def test_a_refused_object_is_reported_and_tried_again(self) -> None:
        operator = await served()
        operator.remove(REGISTRY_USERS, ROBOT)
        operator.api.refusals["apply", "RegistryUser"] = invalid("Applying RegistryUser was answered with 422: no.")
        assert await reconcile(operator) == REFUSED_CHECK_SECONDS
        assert (entry(operator)["served"], entry(operator)["reason"]) == (False, "ApplyRefused")
        assert "422" in entry(operator)["message"]

    async def test_trouble_in_the_namespace_keeps_no_child_from_being_written(self) -> None:
        operator = await served()
        operator.remove(SERVICES, "registry", "berth-alpha")
        operator.pass_time(SERVED_CHECK_SECONDS)
        operator.api.refusals["get", "Secret", SECRET] = UnavailableError("away")
        with pytest.raises(UnavailableError):
            await reconcile(operator)
        assert operator.live(SERVICES, "registry", "berth-alpha") is not None
        operator.remove(SERVICES, "registry", "berth-alpha")
        operator.api.refusals["get", "Secret", SECRET] = ConflictError("changed")
        assert await reconcile(operator) == CONFLICT_RETRY_SECONDS
        assert operator.live(SERVICES, "registry", "berth-alpha") is not None


class TestOthersObjects:
    """What carries the name and is not Berth's."""

    async def test_a_secret_of_others_stays(self) -> None:
        operator = Operator()
        operator.put(namespace_of(NAMESPACE))
        agree(operator)
        operator.put({**manifest(SECRETS, SECRET, NAMESPACE), "data": {"mine": "bWluZQ=="}})
        await operator.ready_project(pullSecrets=entries())
        assert entry(operator)["reason"] == "NameTaken"
        live = operator.live(SECRETS, SECRET, NAMESPACE)
        assert live is not None
        assert live["data"] == {"mine": "bWluZQ=="}
        assert tokens(operator) == []
        operator.change(PROJECTS, "alpha", spec={"pullSecrets": []})
        await reconcile(operator)
        assert operator.live(SECRETS, SECRET, NAMESPACE) is not None

    @pytest.mark.parametrize("labels", [{}, {names.LABEL_PROJECT: "alpha", names.LABEL_PULL_NAMESPACE: NAMESPACE}])
    async def test_a_user_of_the_robots_name_stays(self, labels: dict[str, str]) -> None:
        operator = Operator()
        operator.put(namespace_of(NAMESPACE))
        agree(operator)
        operator.put(manifest(REGISTRY_USERS, ROBOT, labels=labels))
        await operator.ready_project(pullSecrets=entries())
        assert entry(operator)["reason"] == "NameTaken"
        operator.change(PROJECTS, "alpha", spec={"pullSecrets": []})
        await reconcile(operator)
        assert operator.live(REGISTRY_USERS, ROBOT) is not None

    async def test_a_token_of_the_robot_by_others_is_neither_used_nor_removed(self) -> None:
        operator = await served()
        owner = {"kind": "Robot", "name": ROBOT}
        labels = {names.LABEL_PROJECT: "alpha"}
        operator.put(manifest(ACCESS_TOKENS, "mine", labels=labels, owner=owner, sha256="b" * 64, scopes=["download"]))
        operator.change(PROJECTS, "alpha", spec={"pullSecrets": []})
        await reconcile(operator)
        assert tokens(operator) == ["mine"]


class TestServiceAccounts:
    """ServiceAccounts that use the Secret."""

    async def test_they_keep_their_own_pull_secrets(self) -> None:
        operator = Operator()
        operator.put(namespace_of(NAMESPACE))
        agree(operator)
        operator.put({**manifest(SERVICE_ACCOUNTS, "puller", NAMESPACE), "imagePullSecrets": [{"name": "theirs"}]})
        await operator.ready_project(pullSecrets=entries("puller"))
        assert accounts_of(operator, "puller") == ["theirs", SECRET]
        operator.change(PROJECTS, "alpha", spec={"pullSecrets": entries()})
        await reconcile(operator)
        assert accounts_of(operator, "puller") == ["theirs"]
        operator.pass_time(SERVED_CHECK_SECONDS)
        await reconcile(operator)
        assert operator.api.writes == []

    async def test_one_that_does_not_exist_is_named_and_the_namespace_is_served(self) -> None:
        operator = await served("puller")
        operator.change(PROJECTS, "alpha", spec={"pullSecrets": entries("puller", "absent")})
        assert await reconcile(operator) == REFUSED_CHECK_SECONDS
        assert (entry(operator)["served"], entry(operator)["reason"]) == (True, "ServiceAccountNotFound")
        assert "absent" in entry(operator)["message"]
        assert "puller" not in entry(operator)["message"]


class TestWithdrawal:
    """What goes when an entry, a namespace or the project goes."""

    async def test_an_entry_that_goes_takes_everything_with_it(self) -> None:
        operator = await served("puller")
        operator.change(PROJECTS, "alpha", spec={"pullSecrets": []})
        await reconcile(operator)
        assert tokens(operator) == []
        assert operator.live(REGISTRY_USERS, ROBOT) is None
        assert operator.live(SECRETS, SECRET, NAMESPACE) is None
        assert accounts_of(operator, "puller") == []
        assert "pullSecrets" not in operator.status(PROJECTS, "alpha")

    async def test_another_namespace_instead_is_served_and_the_first_withdrawn(self) -> None:
        operator = await served()
        operator.put(namespace_of("web"))
        operator.change(PROJECTS, "alpha", spec={"pullSecrets": entries(namespace="web")})
        await reconcile(operator)
        assert tokens(operator) == ["alpha.pull.web.1"]
        assert operator.live(SECRETS, SECRET, NAMESPACE) is None
        assert operator.live(SECRETS, SECRET, "web") is not None

    async def test_without_consent_the_robot_goes_and_the_secret_is_left(self) -> None:
        operator = await served()
        refuse(operator)
        operator.change(PROJECTS, "alpha", spec={"pullSecrets": []})
        await reconcile(operator)
        assert tokens(operator) == []
        assert operator.live(REGISTRY_USERS, ROBOT) is None
        assert operator.live(SECRETS, SECRET, NAMESPACE) is not None

    async def test_a_token_whose_robot_is_gone_goes_with_the_entry(self) -> None:
        operator = await served()
        operator.remove(REGISTRY_USERS, ROBOT)
        operator.change(PROJECTS, "alpha", spec={"pullSecrets": []})
        await reconcile(operator)
        assert tokens(operator) == []

    @pytest.mark.parametrize(("terminating", "reason"), [(True, "NamespaceTerminating"), (False, "NamespaceNotFound")])
    async def test_a_namespace_that_goes_revokes_its_token(self, terminating: bool, reason: str) -> None:
        operator = await served()
        if terminating:
            operator.change(NAMESPACES, NAMESPACE, metadata={"deletionTimestamp": "2026-11-24T12:00:00Z"})
        else:
            operator.remove(NAMESPACES, NAMESPACE)
        assert await reconcile(operator) == REFUSED_CHECK_SECONDS
        assert entry(operator)["reason"] == reason
        assert tokens(operator) == []

    async def test_a_project_that_is_gone_leaves_nothing(self) -> None:
        operator = await served("puller")
        operator.remove(PROJECTS, "alpha")
        await reconcile(operator)
        assert tokens(operator) == []
        assert operator.live(REGISTRY_USERS, ROBOT) is None
        assert operator.live(SECRETS, SECRET, NAMESPACE) is None
        assert accounts_of(operator, "puller") == []

    async def test_a_project_that_is_being_deleted_keeps_its_pull_secrets(self) -> None:
        operator = await served()
        before = entry(operator)
        operator.change(PROJECTS, "alpha", metadata={"deletionTimestamp": "2026-11-24T12:00:00Z"})
        refuse(operator)
        await reconcile(operator)
        assert entry(operator) == before
        assert tokens(operator) == [f"{ROBOT}.1"]

    async def test_a_project_whose_namespace_is_not_ready_keeps_them_too(self) -> None:
        operator = await served()
        before = entry(operator)
        operator.change(NAMESPACES, "berth-alpha", metadata={"deletionTimestamp": "2026-11-24T12:00:00Z"})
        refuse(operator)
        await reconcile(operator)
        assert entry(operator) == before
        assert tokens(operator) == [f"{ROBOT}.1"]
        listed = {e["name"] for e in operator.status(PROJECTS, "alpha")["inventory"]}
        assert {ROBOT, f"{ROBOT}.1", SECRET} <= listed


class TestRotation:
    """When a token is replaced."""

    def rotate(self, operator: Operator, value: str) -> None:
        note = {names.ANNOTATION_ROTATE_PULL_SECRETS: value}
        operator.change(PROJECTS, "alpha", metadata={"annotations": note})

    async def test_on_demand_once_for_each_value(self) -> None:
        operator = await served()
        first = held(operator)
        self.rotate(operator, "once")
        await reconcile(operator)
        second = held(operator)
        assert second != first
        assert tokens(operator) == [f"{ROBOT}.1", f"{ROBOT}.2"]
        await reconcile(operator)
        assert (held(operator), operator.api.writes) == (second, [])

    async def test_the_earlier_token_goes_when_the_new_one_was_used(self) -> None:
        operator = await served()
        self.rotate(operator, "once")
        await reconcile(operator)
        operator.change(ACCESS_TOKENS, f"{ROBOT}.2", status={"lastUsed": "2026-11-24T12:00:00Z"})
        await reconcile(operator)
        assert tokens(operator) == [f"{ROBOT}.2"]

    async def test_after_the_interval_a_new_one_is_made_and_the_old_one_ends_later(self) -> None:
        operator = await served()
        interval = operator.context.settings.pull_secret_rotation
        operator.pass_time(interval - 10)
        assert await reconcile(operator) == pytest.approx(10)
        operator.pass_time(10)
        await reconcile(operator)
        assert tokens(operator) == [f"{ROBOT}.1", f"{ROBOT}.2"]
        operator.pass_time(interval)
        await reconcile(operator)
        assert f"{ROBOT}.1" not in tokens(operator)

    async def test_a_taken_number_is_passed_over(self) -> None:
        operator = await served()
        owner = {"kind": "User", "name": "ann"}
        operator.put(manifest(ACCESS_TOKENS, f"{ROBOT}.2", owner=owner, sha256="c" * 64, scopes=["download"]))
        self.rotate(operator, "once")
        await reconcile(operator)
        assert f"{ROBOT}.3" in tokens(operator)

    @pytest.mark.parametrize("error", [FORBIDDEN, invalid(), NotFoundError("gone", status=404)])
    async def test_a_token_whose_secret_cannot_be_written_is_removed_again(self, error: Any) -> None:
        operator = await served()
        self.rotate(operator, "once")
        operator.api.refusals["apply", "Secret", SECRET] = error
        await reconcile(operator)
        assert tokens(operator) == [f"{ROBOT}.1"]
        assert entry(operator)["served"] is False


async def test_the_next_check_is_never_sooner_than_a_second() -> None:
    operator = await served()
    operator.pass_time(SERVED_CHECK_SECONDS - 0.5)
    live = operator.caches.live(PROJECTS, ("", "alpha"))
    assert live is not None
    found = await operator.context.pull_secrets.serve(Project.model_validate(live))
    assert found.resync_after == 1.0


def secret_of(operator: Operator) -> Manifest | None:
    return operator.live(SECRETS, SECRET, NAMESPACE)


async def test_a_secret_in_another_form_is_replaced() -> None:
    operator = await served()
    live = secret_of(operator)
    assert live is not None
    operator.change(SECRETS, SECRET, NAMESPACE, data={".dockerconfigjson": base64.b64encode(b"{}").decode()})
    operator.pass_time(SERVED_CHECK_SECONDS)
    await reconcile(operator)
    assert secret_of(operator) != live
    assert len(tokens(operator)) == 2
