"""Rotation of the tokens of pull secrets, in memory."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from berth.api import names
from berth.kube.errors import NotFoundError
from berth.kube.resources import (
    ACCESS_TOKENS,
    PROJECTS,
    SECRETS,
    Manifest,
)
from berth.reconcile.pull_secrets.service import SERVED_CHECK_SECONDS
from tests.kit.operator.memory import Operator, invalid, manifest
from tests.kit.operator.pulling import (
    FORBIDDEN,
    NAMESPACE,
    ROBOT,
    SECRET,
    entry,
    held,
    reconcile,
    served,
    tokens,
)


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
