"""Pull secrets, in memory: consent, what is checked when, and what is removed."""

from __future__ import annotations

import pytest

from berth.api import names
from berth.api.project import Project
from berth.kube.errors import ConflictError, ForbiddenError, UnavailableError
from berth.kube.resources import (
    ACCESS_POLICIES,
    ACCESS_TOKENS,
    PROJECTS,
    REGISTRY_USERS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from berth.reconcile.dispatch import CONFLICT_RETRY_SECONDS
from berth.reconcile.pull_secrets.service import CONSENT_CHECK_SECONDS, REFUSED_CHECK_SECONDS, SERVED_CHECK_SECONDS
from tests.kit.operator.memory import CONSENT, Operator, Write, invalid, manifest, namespace_of, project
from tests.kit.operator.pulling import (
    NAMESPACE,
    ROBOT,
    SECRET,
    accounts_of,
    agree,
    entries,
    entry,
    held,
    reconcile,
    refuse,
    served,
    tokens,
)


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


async def test_the_next_check_is_never_sooner_than_a_second() -> None:
    operator = await served()
    operator.pass_time(SERVED_CHECK_SECONDS - 0.5)
    live = operator.caches.live(PROJECTS, ("", "alpha"))
    assert live is not None
    found = await operator.context.pull_secrets.serve(Project.model_validate(live))
    assert found.resync_after == 1.0
