"""A real registry on loopback with the configuration that Berth gives it, and a token service that it trusts."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from berth.api import names
from berth.desired.inputs import ProjectInputs, TokenAuthorities
from berth.desired.registry.config import dump_config, registry_config
from berth.oci import manifest as manifests
from berth.registry.client import RegistryClient
from berth.registry.token_source import RegistryTokenSource
from tests.kit.catalog.contents import digest, image
from tests.kit.control_plane import free_ports, tool
from tests.kit.pki import Authority, Leaf

PROJECT = "genomics"
SERVICE_TOKEN = "service-account-token"
_OCTETS = "application/octet-stream"


@dataclass
class RunningRegistry:
    """A registry process; its data stay when it is stopped."""

    url: str
    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def start_again(self) -> None:
        """After `stop`."""
        self.process = _start(self.directory)


@contextmanager
def running_registry(directory: Path, authority: Authority, project: str = PROJECT) -> Iterator[RunningRegistry]:
    """Start Distribution; `directory` gets its configuration and data."""
    port, debug_port = free_ports(2)
    data = directory / "data"
    data.mkdir(exist_ok=True)
    (directory / "ca.crt").write_bytes(authority.certificate_pem)
    config = registry_config(project, project_inputs(authority))
    config["http"] |= {"addr": f"127.0.0.1:{port}", "debug": {"addr": f"127.0.0.1:{debug_port}"}}
    config["storage"]["filesystem"]["rootdirectory"] = str(data)
    config["auth"]["token"]["rootcertbundle"] = str(directory / "ca.crt")
    (directory / "config.yml").write_text(dump_config(config))
    running = RunningRegistry(f"http://127.0.0.1:{port}", directory, _start(directory))
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


def _start(directory: Path) -> subprocess.Popen[bytes]:
    with (directory / "registry.log").open("ab") as log:
        program = ["setpriv", "--pdeathsig", "KILL", str(tool("registry"))]  # ends with the tests, however they end
        return subprocess.Popen([*program, "serve", str(directory / "config.yml")], stdout=log, stderr=log)


@dataclass
class TokenService:
    """A stand-in for `access`: it grants Berth's own processes the scopes that they request."""

    authority: Authority
    url: str = ""
    requested: list[tuple[str, ...]] = field(default_factory=list)
    grants: bool = True

    def __post_init__(self) -> None:
        self._leaf: Leaf = self.authority.issue("berth-token")

    async def handle(self, request: web.Request) -> web.Response:
        expected = base64.b64encode(f"berth:{SERVICE_TOKEN}".encode()).decode()
        assert request.headers["Authorization"] == f"Basic {expected}"
        scopes = tuple(request.query.getall("scope"))
        self.requested.append(scopes)
        return web.json_response({"token": self.sign(scopes), "expires_in": 300})

    def sign(self, scopes: tuple[str, ...]) -> str:
        certificate = x509.load_pem_x509_certificate(self._leaf.certificate_pem)
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": "berth",
            "sub": "",
            "aud": [names.registry_audience(PROJECT)],
            "exp": now + 300,
            "nbf": now,
            "iat": now,
            "jti": uuid.uuid4().hex,
            "access": [_entry(scope) for scope in scopes] if self.grants else [],
        }
        leaf = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
        return jwt.encode(claims, self._leaf.key_pem.decode(), algorithm="ES256", headers={"x5c": [leaf]})


@asynccontextmanager
async def running_tokens(authority: Authority) -> AsyncIterator[TokenService]:
    """Serve tokens on loopback."""
    service = TokenService(authority)
    app = web.Application()
    app.router.add_get("/token", service.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    (port,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    service.url = f"http://127.0.0.1:{port}"
    try:
        yield service
    finally:
        await runner.cleanup()


@dataclass
class Registry:
    """A registry, a client as in Berth's processes, and a way to push as a user."""

    server: RunningRegistry
    tokens: TokenService
    client: RegistryClient
    session: aiohttp.ClientSession

    async def answers(self) -> None:
        """Wait until the registry answers."""
        for _ in range(400):
            assert self.server.process.poll() is None, (self.server.directory / "registry.log").read_text()
            try:
                async with self.session.get(f"{self.server.url}/v2/") as response:
                    assert response.status == 401
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
        raise TimeoutError("the registry does not answer")

    async def push_image(self, path: str, tag: str, salt: str = "") -> bytes:
        """Push an image of one layer; the manifest's bytes."""
        layer, config = b"layer" + salt.encode(), b"{}" + b" " * len(salt)
        await self.push_blob(path, layer)
        await self.push_blob(path, config)
        body = image(
            config={
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest(config),
                "size": len(config),
            },
            layers=[{"mediaType": "application/octet-stream", "digest": digest(layer), "size": len(layer)}],
        )
        await self.push(path, body, tag, manifests.OCI_MANIFEST)
        return body

    async def push_blob(self, path: str, data: bytes) -> str:
        found = "sha256:" + hashlib.sha256(data).hexdigest()
        name = f"{PROJECT}/{path}"
        begun = await self._call("POST", f"/v2/{name}/blobs/uploads/", name)
        location = begun.headers["Location"]
        done = await self._call("PUT", f"{location}&digest={found}", name, data)
        assert done.status == 201, await done.text()
        return found

    async def push(self, path: str, body: bytes, reference: str, media_type: str) -> None:
        name = f"{PROJECT}/{path}"
        done = await self._call("PUT", f"/v2/{name}/manifests/{reference}", name, body, media_type)
        assert done.status == 201, await done.text()

    async def delete(self, path: str, reference: str) -> None:
        """Delete a tag, or a manifest with all its tags."""
        name = f"{PROJECT}/{path}"
        done = await self._call("DELETE", f"/v2/{name}/manifests/{reference}", name)
        assert done.status == 202, await done.text()

    async def _call(
        self,
        method: str,
        target: str,
        name: str,
        data: bytes | None = None,
        media_type: str = "application/octet-stream",
    ) -> aiohttp.ClientResponse:
        token = self.tokens.sign((f"repository:{name}:pull,push,delete",))
        url = target if target.startswith("http") else self.server.url + target
        headers = {"Authorization": f"Bearer {token}", "Content-Type": media_type}
        async with self.session.request(method, url, data=data, headers=headers) as response:
            await response.read()
            return response


@asynccontextmanager
async def registry_with_client(directory: Path) -> AsyncIterator[Registry]:
    """Everything above, together."""
    authority = Authority.create("berth-token-ca")
    with running_registry(directory, authority) as server:
        async with running_tokens(authority) as tokens, aiohttp.ClientSession() as session:
            client = RegistryClient(
                session, server.url, RegistryTokenSource(session, tokens.url, lambda: SERVICE_TOKEN)
            )
            registry = Registry(server, tokens, client, session)
            await registry.answers()
            yield registry


def _entry(scope: str) -> dict[str, Any]:
    kind, name, actions = scope.split(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


def project_inputs(authority: Authority) -> ProjectInputs:
    return ProjectInputs(
        registry_image="registry",
        registry_version="3.1.2",
        registry_pull_policy="Never",
        token_authorities=TokenAuthorities(authority.certificate_pem.decode(), frozenset(), frozenset()),
        http_secret="0" * 64,
        host="registry.example.org",
        berth_namespace="berth-system",
        instance="berth",
        cluster_domain="cluster.local",
        operator_service_account="berth-operator",
        project_cluster_role="berth-project-operator",
    )
