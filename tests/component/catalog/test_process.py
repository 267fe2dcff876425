"""The catalog as a process, against a real API server: it starts, serves, is killed, and loses nothing."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from berth.oci import manifest as manifests
from tests.kit.catalog.cluster import Cluster, eventually, shown
from tests.kit.catalog.contents import digest, image
from tests.kit.control_plane import free_ports

_RUN = """
import sys
from pathlib import Path
from berth.runtime.logs import configure_logs
from berth.runtime.supervisor import run_process
from berth.services.catalog.process import serve
from berth.settings import CatalogSettings
configure_logs("catalog")
run_process(serve(CatalogSettings(), Path(sys.argv[1])))
"""


@dataclass
class Catalog:
    """A catalog process on a database file that outlives it."""

    cluster: Cluster
    directory: Path
    token: str
    namespace: str
    port: int
    metrics_port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (self.directory / "token").write_text("unused")
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "BERTH_HOST": "registry.example.org",
            "BERTH_NAMESPACE": self.namespace,
            "BERTH_PORT": str(self.port),
            "BERTH_METRICS_PORT": str(self.metrics_port),
            "BERTH_DATABASE_URL": f"sqlite+aiosqlite:///{self.directory}/catalog.db",
            "BERTH_ACCESS_URL": "http://127.0.0.1:9",
            "BERTH_ACCESS_TOKEN_FILE": str(self.directory / "token"),
        }
        with (self.directory / "catalog.log").open("ab") as log:
            program = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-c", _RUN, str(self.cluster.kubeconfig)]
            self.process = subprocess.Popen(program, env=environment, stdout=log, stderr=log)

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        return code

    async def ready(self) -> None:
        for _ in range(600):
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            try:
                if (await self.call("GET", "/readyz"))[0] == 200:
                    return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)
        raise TimeoutError(self.log())

    def log(self) -> str:
        return (self.directory / "catalog.log").read_text()

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"http://127.0.0.1:{self.port}{path}", json=body, headers=headers) as response,
        ):
            json = response.content_type == "application/json"
            return response.status, await response.json() if json else await response.text()

    async def push(self, path: str, body: bytes, tag: str) -> None:
        announcement = {
            "kind": "push",
            "project": self.cluster.project,
            "repository": path,
            "reference": tag,
            "digest": digest(body),
            "mediaType": manifests.OCI_MANIFEST,
            "by": "curator",
            "client": "",
        }
        status, document = await self.call("POST", "/v1/writes", announcement)
        assert status == 201, document
        manifest = {"manifest": base64.b64encode(body).decode()}
        status, document = await self.call("POST", f"/v1/writes/{document['id']}/commit", manifest)
        assert status == 200, document

    async def tags(self, path: str) -> dict[str, str]:
        status, document = await self.call("GET", f"/v1/projects/{self.cluster.project}/repositories/{path}/tags")
        assert status == 200, document
        return {tag["name"]: tag["digest"] for tag in document["tags"]}


@pytest.fixture
def catalog(cluster: Cluster, tmp_path: Path) -> Iterator[Catalog]:
    plane = cluster.plane
    namespace = plane.namespace("berth-system")
    plane.service_account(namespace, "berth-access")
    token = plane.token(namespace, "berth-access", audience="berth-catalog")
    discovery = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": namespace},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:service-account-issuer-discovery",
        },
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": cluster.user}],
    }
    plane.apply(discovery)
    port, metrics_port = free_ports(2)
    made = Catalog(cluster, tmp_path, token, namespace, port, metrics_port)
    made.start()
    try:
        yield made
    finally:
        if made.process is not None:
            made.end(signal.SIGKILL)


async def test_a_push_through_the_process_shows_in_the_cluster(catalog: Catalog) -> None:
    await catalog.ready()
    await catalog.push("aligner", image(), "v1")
    status = await eventually(shown(catalog.cluster, "aligner"))
    assert status["tags"][0]["digest"] == digest(image())


async def test_a_killed_catalog_has_everything_that_it_acknowledged(catalog: Catalog) -> None:
    await catalog.ready()
    acknowledged: dict[str, str] = {}
    running = True

    async def pushes() -> None:
        for number in range(100_000):
            body = image(salt=str(number))
            try:
                await catalog.push("aligner", body, f"v{number}")
            except aiohttp.ClientError:
                assert not running, "the catalog went away before it was killed"
                return
            acknowledged[f"v{number}"] = digest(body)

    pushing = asyncio.create_task(pushes())
    await eventually(lambda: len(acknowledged) >= 20)
    running = False
    assert catalog.end(signal.SIGKILL) == -signal.SIGKILL
    await pushing

    catalog.start()
    await catalog.ready()
    assert acknowledged.items() <= (await catalog.tags("aligner")).items()
    wanted = len(await catalog.tags("aligner"))
    await eventually(lambda: (shown(catalog.cluster, "aligner")() or {}).get("tagCount") == wanted)


async def test_a_restarted_catalog_writes_nothing_to_the_cluster(catalog: Catalog) -> None:
    await catalog.ready()
    await catalog.push("aligner", image(), "v1")
    await eventually(shown(catalog.cluster, "aligner"))
    assert catalog.end(signal.SIGTERM) == 0, catalog.log()
    mark = catalog.cluster.plane.audit_position()

    catalog.start()
    await catalog.ready()
    looked = 'berth_catalog_publish_total{result="unchanged"}'

    async def metrics() -> str:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{catalog.metrics_port}/metrics") as response,
        ):
            return await response.text()

    async with asyncio.timeout(20):
        while looked not in await metrics():  # noqa: ASYNC110 - another process sends no event
            await asyncio.sleep(0.05)
    assert catalog.cluster.writes(mark) == []


async def test_the_token_for_another_audience_is_refused_by_the_process(catalog: Catalog) -> None:
    await catalog.ready()
    catalog.token = catalog.cluster.plane.token(catalog.namespace, "berth-access", audience="berth-access")
    status, answer = await catalog.call("POST", "/v1/writes", {})
    assert status == 401
    assert "audience berth-catalog" in answer["error"]
