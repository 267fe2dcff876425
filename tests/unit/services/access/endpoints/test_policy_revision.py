"""The revision of a replica's policy, for Berth's own processes alone."""

from __future__ import annotations

import json

import pytest

from tests.kit.access.world import World


async def test_the_operator_reads_the_policy_revision(world: World) -> None:
    token = world.service_account("berth-operator")
    response = await world.call("GET", "/policy-revision?projects=7", {"authorization": f"Bearer {token}"})
    assert (response.status, json.loads(response.body)) == (200, {"resourceVersions": {"projects": 7}})


@pytest.mark.parametrize("account", ["berth-gateway", "other"])
async def test_no_other_account_reads_it(world: World, account: str) -> None:
    token = world.service_account(account)
    assert (await world.call("GET", "/policy-revision?projects=7", {"authorization": f"Bearer {token}"})).status == 401
    assert (await world.call("GET", "/policy-revision?projects=7")).status == 401


@pytest.mark.parametrize("query", ["projects", "projects=x", "projects=7&y"])
async def test_a_malformed_query_is_refused(world: World, query: str) -> None:
    token = world.service_account("berth-operator")
    response = await world.call("GET", f"/policy-revision?{query}", {"authorization": f"Bearer {token}"})
    assert response.status == 400
