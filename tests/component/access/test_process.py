"""The whole process against a real API server: what it watches, when it is ready, how it ends, what it logs."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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
from tests.kit.access.world import basic, claims
from tests.kit.control_plane import ControlPlane
from tests.kit.control_plane import running as running_control_plane


@pytest.fixture
async def running(control_plane: ControlPlane, installed: Path, tmp_path: Path) -> AsyncIterator[Running]:
    """The process, started; its signing key is not there yet."""
    async with started(control_plane, installed, tmp_path) as made:
        yield made


async def test_it_is_ready_once_policy_and_keys_are_there(running: Running) -> None:
    async def waits_for_the_key_alone() -> bool:
        status, parts, _ = await running.get("/readyz")
        assert status == 503
        return bool(parts == {"policy": True, "signingKey": False, "clusterKeys": True})

    await until(waits_for_the_key_alone, "only the signing key is missing")
    await ready(running)


async def test_the_policy_follows_the_cluster_and_revocations_need_no_operator(running: Running, unique: str) -> None:
    await ready(running)
    plane, name = running.plane, f"u{unique}"
    plane.apply(*shared_project(unique, rule(name, "Edit"), repositories=()), *user(name), certification(name))
    scope, target = f"repository:{unique}/a:pull,push", f"/v2/{unique}/a/blobs/uploads/"

    async def may_push() -> bool:
        return bool(claims(await running.token(name, PASSWORD, scope))["access"])

    await until(may_push, "the user may push")
    token = await running.token(name, PASSWORD, scope)
    status, headers = await running.authz("POST", target, token)
    assert (status, headers["berth-upstream"]) == (
        200,
        f"http://registry.berth-{unique}.svc.cluster.local:5000{target}",
    )

    async def refused_as(reason: str) -> bool:
        _, response = await running.authz("POST", target, token)
        return reason in response.get("berth-body", "")

    plane.kubectl("delete", "certification", name, check=True)
    await until(lambda: refused_as("is not certified to push"), "the withdrawn certification counts")
    plane.kubectl("patch", "project", unique, "--type=merge", "-p", '{"spec":{"trashed":true}}', check=True)
    await until(lambda: refused_as("is in the trash"), "the trash counts")
    plane.kubectl("delete", "registryuser", name, check=True)
    await until(lambda: refused_as("its user was removed"), "the removed user counts")


async def test_berths_own_processes_prove_themselves_with_tokens_of_this_cluster(running: Running) -> None:
    await ready(running)
    good = running.plane.token(BERTH, "berth-operator", "berth-access")
    assert claims(await running.token("x", good, "repository:p/r:pull"))["berth"]["cred"] == "Service"
    for account, audience in (("berth-operator", "berth-catalog"), ("berth-gateway", "berth-access")):
        token = await running.token("x", running.plane.token(BERTH, account, audience), "repository:p/r:pull")
        assert claims(token)["berth"]["failure"] == "BadCredentials"


async def test_it_ends_in_order_on_sigterm(running: Running) -> None:
    await ready(running)
    running.process.send_signal(signal.SIGTERM)
    assert await running.process.wait() == 0


async def test_no_secret_is_in_its_logs_and_metrics(running: Running, unique: str) -> None:
    await ready(running)
    name = f"u{unique}"
    running.plane.apply(*user(name))

    async def logged_in() -> bool:
        status, _, _ = await running.get("/token", authorization=basic(name, PASSWORD))
        return status == 200

    await until(logged_in, "the user can log in")
    token = await running.token(name, PASSWORD, "repository:p/r:pull")
    await running.token(name, PASSWORD + "-wrong", "repository:p/r:pull")
    await running.authz("GET", "/v2/p/r/manifests/1", token)
    form = {"grant_type": "password", "username": name, "password": PASSWORD, "scope": "repository:p/r:pull"}
    async with running.session.post(f"{running.url}/token", data=form) as response:
        assert response.status == 200
    async with running.session.get(running.metrics) as response:
        exported = await response.text()
    assert 'berth_access_requests_total{endpoint="authz",status="403"}' in exported
    running.process.terminate()
    await running.process.wait()
    written = running.log.read_text() + exported
    for secret in (PASSWORD, token, token.split(".")[2], "eyJ", "Basic ", "$argon2id$", "PRIVATE KEY"):
        assert secret not in written
    lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    decisions = [line for line in lines if line["message"] == "decision"]
    assert {line["process"] for line in lines} == {"access"}
    assert [(line["who"], line["credential"], line["reason"]) for line in decisions] == [(name, "Password", "NotFound")]


async def test_without_the_api_server_tokens_are_issued_and_requests_decided(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    with running_control_plane(tmp_path_factory.mktemp("plane")) as plane:
        async with started(plane, install(plane), tmp_path) as process:
            await ready(process)
            plane.apply(*shared_project("alpha", rule("ann", "Download")), *user("ann"))
            scope, target = "repository:alpha/a:pull", "/v2/alpha/a/manifests/v1"

            async def may_pull() -> bool:
                return bool(claims(await process.token("ann", PASSWORD, scope))["access"])

            await until(may_pull, "the user may pull")
            gateway = plane.token(BERTH, "berth-gateway", "berth-access")
            plane.stop()
            token = await process.token("ann", PASSWORD, scope)
            assert (await process.authz("GET", target, token, gateway))[0] == 200
            assert (await process.get("/readyz"))[0] == 200


async def test_a_replica_decides_by_every_change_that_its_policy_revision_holds(running: Running, unique: str) -> None:
    await ready(running)
    plane, name, target = running.plane, f"u{unique}", f"/v2/{unique}/a/manifests/v1"
    rules = [rule(name, "Download")]
    plane.apply(*shared_project(unique, *rules), *user(name))

    async def may_pull() -> bool:
        return bool(claims(await running.token(name, PASSWORD, f"repository:{unique}/a:pull"))["access"])

    await until(may_pull, "the user may pull")
    token = await running.token(name, PASSWORD, f"repository:{unique}/a:pull")
    gateway = plane.token(BERTH, "berth-gateway", "berth-access")
    operator = f"Bearer {plane.token(BERTH, 'berth-operator', 'berth-access')}"
    for wanted in [[], rules] * 10:
        patch = json.dumps({"spec": {"rules": wanted}})
        where = ("-n", f"berth-{unique}", "accesspolicy", "project", "-p", patch, "--type=merge")
        written = json.loads(plane.kubectl("patch", *where, "-o", "json", check=True).stdout)
        version = int(written["metadata"]["resourceVersion"])
        status, response, _ = await running.get(f"/policy-revision?accesspolicies={version}", authorization=operator)
        assert (status, response["resourceVersions"]["accesspolicies"] >= version) == (200, True)
        assert (await running.authz("GET", target, token, gateway))[0] == (200 if wanted else 403)
