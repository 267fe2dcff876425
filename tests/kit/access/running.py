"""The access process as the chart runs it, against an API server, and what a test does with both."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.kit.access.world import HASHER, basic, write_keys
from tests.kit.control_plane import ControlPlane, free_ports, tool

REPOSITORY = Path(__file__).parents[3]
BERTH = "berth-access-tests"
PASSWORD = "canary-password"
_PROGRAM = """
import sys
from pathlib import Path
from berth.runtime.logs import configure_logs
from berth.runtime.supervisor import run_process
from berth.services.access.process import serve
from berth.settings import AccessSettings
configure_logs("access", "debug")
run_process(serve(AccessSettings(), Path(sys.argv[1])))
"""


def install(control_plane: ControlPlane) -> Path:
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
    state: Path

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

    async def authz(
        self, method: str, target: str, token: str, gateway: str | None = None
    ) -> tuple[int, dict[str, str]]:
        """The question of a gateway (with this token of its own): status and headers."""
        status, _, headers = await self.get_raw(
            "/authz",
            berth_gateway_token=gateway or self.plane.token(BERTH, "berth-gateway", "berth-access"),
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


@contextlib.asynccontextmanager
async def started(plane: ControlPlane, kubeconfig: Path, directory: Path, **more: str) -> AsyncIterator[Running]:
    """The process, started, with these settings besides; its signing key is not there yet."""
    port, metrics = free_ports(2)
    keys, log, state = directory / "keys", directory / "log", directory / "state"
    for each in (keys, state):
        each.mkdir(exist_ok=True)
    settings = {
        "BERTH_HOST": "registry.example.org",
        "BERTH_NAMESPACE": BERTH,
        "BERTH_PORT": str(port),
        "BERTH_METRICS_PORT": str(metrics),
        "BERTH_SIGNING_DIR": str(keys),
        "BERTH_STATE_DIR": str(state),
        "BERTH_CATALOG_URL": "http://127.0.0.1:1",
        "BERTH_RECORD_TIMEOUT": "0.2",
    }
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", sys.executable, "-c", _PROGRAM, str(kubeconfig)),
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY / "operator"), **settings, **more},
            stdout=stream,
            stderr=stream,
        )
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}"
        made = Running(process, url, f"http://127.0.0.1:{metrics}/metrics", keys, log, session, plane, state)

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
    """An AccessPolicy of the project, as the operator writes it."""
    return {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "AccessPolicy",
        "metadata": {"name": name, "namespace": f"berth-{project}"},
        "spec": {"project": project, **spec},
    }


def project(name: str, **spec: Any) -> dict[str, Any]:
    """A Project."""
    storage = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
    return {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Project",
        "metadata": {"name": name},
        "spec": {"displayName": name, "storage": storage, **spec},
    }


def repository(project: str, name: str) -> dict[str, Any]:
    """A DockerRepository of the project: a name without one is absent, whatever the sharing says."""
    return {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "DockerRepository",
        "metadata": {"name": name, "namespace": f"berth-{project}"},
        "spec": {},
    }


def rule(name: str, level: str, kind: str = "User") -> dict[str, Any]:
    """A rule of a policy, as `spec.sharing` with one subject makes one."""
    return {"kind": kind, "name": name, "level": level, "actions": [], "source": "Sharing"}


def shared_project(name: str, *rules: dict[str, Any], repositories: tuple[str, ...] = ("a",)) -> list[dict[str, Any]]:
    """A project with these rules: all that the operator and its people would have made of it."""
    return [
        namespace(name),
        project(name),
        policy(name, rules=list(rules)),
        *(repository(name, path) for path in repositories),
    ]


def user(name: str) -> list[dict[str, Any]]:
    """A RegistryUser and the Secret with the hash of PASSWORD."""
    reference = {"name": f"{name}-password", "key": "passwordHash"}
    value = base64.b64encode(HASHER.hash(PASSWORD).encode()).decode()
    return [
        {"apiVersion": "berth.dev/v1alpha1", "kind": "RegistryUser", "metadata": {"name": name}}
        | {"spec": {"passwordSecretRef": reference}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": reference["name"], "namespace": BERTH}}
        | {"data": {"passwordHash": value}},
    ]


def certification(name: str) -> dict[str, Any]:
    """A certification of that user."""
    return {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Certification",
        "metadata": {"name": name},
        "spec": {"subject": {"kind": "User", "name": name}, "certifiedBy": "office"},
    }


def namespace(name: str) -> dict[str, Any]:
    """The namespace of a project."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"berth-{name}"}}


async def ready(running: Running) -> None:
    """Give the process its signing key and wait until it is ready."""
    write_keys(running.keys)

    async def holds() -> bool:
        return (await running.get("/readyz"))[0] == 200

    await until(holds, "the process is ready")
