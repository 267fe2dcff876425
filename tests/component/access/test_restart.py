"""A process that is started while the API server is away goes on by the policy that the one before it stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from berth.api.reasons import Reason
from berth.authz.messages import MessageFacts, sentence
from berth.snapshot.store import PolicyStore
from tests.kit.access.running import (
    BERTH,
    PASSWORD,
    Running,
    certification,
    install,
    ready,
    rule,
    shared_project,
    started,
    until,
    user,
)
from tests.kit.access.world import claims
from tests.kit.control_plane import running as running_control_plane

SCOPE = "repository:alpha/a:pull,push"
PULL, PUSH = ("GET", "/v2/alpha/a/manifests/v1"), ("PUT", "/v2/alpha/a/manifests/v1")


async def _outcomes(process: Running, gateway: str) -> list[int]:
    token = await process.token("ann", PASSWORD, SCOPE)
    return [(await process.authz(method, target, token, gateway))[0] for method, target in (PULL, PUSH)]


async def test_pulls_are_served_forever_and_pushes_until_the_policy_is_too_old(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    with running_control_plane(tmp_path_factory.mktemp("plane")) as plane:
        kubeconfig = install(plane)
        plane.apply(*shared_project("alpha", rule("ann", "Edit")), *user("ann"), certification("ann"))
        gateway = plane.token(BERTH, "berth-gateway", "berth-access")
        async with started(plane, kubeconfig, tmp_path) as process:
            await ready(process)
            store = PolicyStore(process.state)

            async def stored() -> bool:
                saved = store.load()
                return saved is not None and "alpha" in saved.snapshot.projects and bool(saved.cluster_keys)

            await until(stored, "the policy is stored")
        plane.stop()
        async with started(plane, kubeconfig, tmp_path) as process:
            await ready(process)
            assert await _outcomes(process, gateway) == [200, 200]
        saved = store.load()
        assert saved is not None
        store.save(replace(saved, last_event_at=saved.last_event_at - 1000))
        async with started(plane, kubeconfig, tmp_path) as process:
            await ready(process)
            assert await _outcomes(process, gateway) == [200, 403]
            pushing = await process.token("ann", PASSWORD, SCOPE)
            assert claims(pushing)["access"][0]["actions"] == ["pull"]
            _, headers = await process.authz(*PUSH, pushing, gateway)
            assert sentence(Reason.POLICY_STALE, MessageFacts(project="alpha", repository="a")) in headers["berth-body"]


async def test_without_a_stored_policy_it_is_not_ready_while_the_api_server_is_away(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    with running_control_plane(tmp_path_factory.mktemp("plane")) as plane:
        kubeconfig = install(plane)
        plane.stop()
        async with started(plane, kubeconfig, tmp_path) as process:

            async def tried_in_vain() -> bool:
                return "watch interrupted" in process.log.read_text()

            await until(tried_in_vain, "the watches have tried")
            status, parts, _ = await process.get("/readyz")
            assert (status, parts["policy"], parts["clusterKeys"]) == (503, False, False)
