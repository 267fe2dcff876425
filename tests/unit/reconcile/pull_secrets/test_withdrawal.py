"""Withdrawal of pull secrets, in memory."""

from __future__ import annotations

import pytest

from berth.kube.resources import (
    NAMESPACES,
    PROJECTS,
    REGISTRY_USERS,
    SECRETS,
)
from berth.reconcile.pull_secrets.service import REFUSED_CHECK_SECONDS
from tests.kit.operator.memory import namespace_of
from tests.kit.operator.pulling import (
    NAMESPACE,
    ROBOT,
    SECRET,
    accounts_of,
    entries,
    entry,
    reconcile,
    refuse,
    served,
    tokens,
)


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
