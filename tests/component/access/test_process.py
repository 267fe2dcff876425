"""The whole process against a real API server: what it watches, when it is ready, how it ends, what it logs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.component.controlplane import ControlPlane, free_ports, tool
from tests.unit.services.access.world import HASHER, basic, claims, write_keys

REPOSITORY = Path(__file__).parents[3]
BERTH = "berth-access-tests"
PASSWORD = "canary-password"
_PROGRAM = """
import sys, uvloop
from pathlib import Path
from berth.services.access.process import serve
from berth.services.logs import configure_logs
from berth.settings import AccessSettings
configure_logs("access", "debug")
sys.exit(0 if uvloop.run(serve(AccessSettings(), Path(sys.argv[1]))) else 1)
"""


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> Path:
    """Berth's kinds, its namespace and the rights that the chart gives to access; a kubeconfig with these rights."""
    for crd in sorted((REPOSITORY / "crds").glob("*.yaml")):
        control_plane.kubectl("apply", "--server-side", "-f", str(crd), check=True)
    control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s", check=True)
    control_plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": BERTH}})
    for account in ("berth-access", "berth-gateway", "berth-operator"):
        control_plane.service_account(BERTH, account)
    command = [str(tool("helm")), "template", "berth", str(REPOSITORY / "charts/berth"), "-n", BERTH]
    command += ["--set", "host=registry.example.org", "-s", "templates/rbac-services.yaml"]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ}).stdout
    control_plane.kubectl("-n", BERTH, "apply", "--server-side", "-f", "-", input=rendered, check=True)
    return control_plane.kubeconfig_of(BERTH, "berth-access")


@dataclass
class Running:
    """The process, and ways to call it."""

    process: asyncio.subprocess.Process
    url: str
    metrics: str
    keys: Path
    log: Path
    session: aiohttp.ClientSession
    plane: ControlPlane

    async def get(self, path: str, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Status, JSON body and headers of a GET."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(self.url + path, headers=named) as response:
            return response.status, await response.json(), {k.lower(): v for k, v in response.headers.items()}

    async def token(self, user: str, password: str, scope: str) -> str:
        """A registry token."""
        status, document, _ = await self.get(f"/token?scope={scope}", authorization=basic(user, password))
        assert status == 200
        return str(document["token"])

    async def authz(self, method: str, target: str, token: str) -> tuple[int, dict[str, str]]:
        """The gateway's question: status and headers."""
        status, _, headers = await self.get_raw(
            "/authz",
            berth_gateway_token=self.plane.token(BERTH, "berth-gateway", "berth-access"),
            berth_original_method=method,
            berth_original_uri=target,
            authorization=f"Bearer {token}",
        )
        return status, headers

    async def get_raw(self, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of a GET."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(self.url + path, headers=named) as response:
            return response.status, await response.read(), {k.lower(): v for k, v in response.headers.items()}


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until a condition holds."""
    try:
        async with asyncio.timeout(30):
            while not await holds():  # noqa: ASYNC110 - another process has no event to wait for
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"never came true: {what}") from None


@pytest.fixture
async def running(control_plane: ControlPlane, installed: Path, tmp_path: Path) -> AsyncIterator[Running]:
    """The process, started; its signing key is not there yet."""
    port, metrics = free_ports(2)
    keys, log = tmp_path / "keys", tmp_path / "log"
    keys.mkdir()
    settings = {
        "BERTH_HOST": "registry.example.org",
        "BERTH_NAMESPACE": BERTH,
        "BERTH_PORT": str(port),
        "BERTH_METRICS_PORT": str(metrics),
        "BERTH_SIGNING_DIR": str(keys),
        "BERTH_CATALOG_URL": "http://127.0.0.1:1",
        "BERTH_RECORD_TIMEOUT": "0.2",
    }
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", sys.executable, "-c", _PROGRAM, str(installed)),
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY / "operator"), **settings},
            stdout=stream,
            stderr=stream,
        )
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}"
        made = Running(process, url, f"http://127.0.0.1:{metrics}/metrics", keys, log, session, control_plane)

        async def answers() -> bool:
            assert process.returncode is None, log.read_text()
            with contextlib.suppress(aiohttp.ClientConnectionError):
                return (await made.get("/healthz"))[0] == 200
            return False

        await until(answers, "the process answers")
        yield made
        if process.returncode is None:
            process.terminate()
            await process.wait()


def policy(project: str, name: str = "project", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "AccessPolicy",
        "metadata": {"name": name, "namespace": f"berth-{project}"},
        "spec": {"project": project, **spec},
    }


def project(name: str, **spec: Any) -> dict[str, Any]:
    storage = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
    return {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Project",
        "metadata": {"name": name},
        "spec": {"displayName": name, "storage": storage, **spec},
    }


def user(name: str) -> list[dict[str, Any]]:
    reference = {"name": f"{name}-password", "key": "passwordHash"}
    value = base64.b64encode(HASHER.hash(PASSWORD).encode()).decode()
    return [
        {"apiVersion": "berth.dev/v1alpha1", "kind": "RegistryUser", "metadata": {"name": name}}
        | {"spec": {"passwordSecretRef": reference}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": reference["name"], "namespace": BERTH}}
        | {"data": {"passwordHash": value}},
    ]


def certification(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Certification",
        "metadata": {"name": name},
        "spec": {"subject": {"kind": "User", "name": name}, "certifiedBy": "office"},
    }


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"berth-{name}"}}


async def ready(running: Running) -> None:
    write_keys(running.keys)

    async def holds() -> bool:
        return (await running.get("/readyz"))[0] == 200

    await until(holds, "the process is ready")


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
    rules = [{"kind": "User", "name": name, "level": "Edit", "actions": ["view", "pull", "push"], "source": "Sharing"}]
    plane.apply(namespace(unique), project(unique), policy(unique, rules=rules), *user(name), certification(name))
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
        _, told = await running.authz("POST", target, token)
        return reason in told.get("berth-body", "")

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


async def test_it_ends_in_order_when_told_to(running: Running) -> None:
    await ready(running)
    running.process.send_signal(signal.SIGTERM)
    assert await running.process.wait() == 0


async def test_no_secret_stands_in_its_logs_and_metrics(running: Running, unique: str) -> None:
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
