"""The access service in front of a real registry, served by the real server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import uvicorn
from yarl import URL

from berth.oci.manifest import MEDIA_TYPES
from berth.services.access.http.messages import Handled, Receive, Request, Scope, Send
from berth.services.access.process import server_config
from berth.services.access.upstream.registry_proxy import RegistryProxy
from tests.kit.access.world import AUTHORITY, ClientResponse, World
from tests.kit.catalog.registries import RunningRegistry, running_registry
from tests.kit.control_plane import free_ports
from tests.kit.pki import Authority


@dataclass
class Served:
    """The service, its registry, and what a client and the gateway do with them."""

    world: World
    url: str
    registry: RunningRegistry
    session: aiohttp.ClientSession

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> ClientResponse:
        """One request, byte for byte."""
        async with self.session.request(
            method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
        ) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return ClientResponse(response.status, found, await response.read())

    async def through_gateway(
        self, method: str, target: str, token: str, body: bytes | None = None, content_type: str = ""
    ) -> ClientResponse:
        """A client's request: judged at `/authz`, then made to where the service says."""
        decided = await self.ask(
            "GET",
            f"{self.url}/authz",
            {
                "berth-gateway-token": self.world.service_account("berth-gateway"),
                "berth-original-method": method,
                "berth-original-uri": target,
                "authorization": f"Bearer {token}",
            },
        )
        if decided.status != 200:
            return decided
        headers = {"authorization": f"Bearer {token}", "accept": ", ".join(MEDIA_TYPES)}
        if content_type:
            headers["content-type"] = content_type
        return await self.ask(method, decided.headers["berth-upstream"], headers, body)


class _Present:
    """The application that the world has at the time of a request."""

    def __init__(self, world: World) -> None:
        self._world = world

    def handle(self, request: Request) -> Handled:
        return self._world.app.handle(request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._world.app(scope, receive, send)


@contextlib.asynccontextmanager
async def serving(app_world: World, port: int) -> AsyncIterator[None]:
    """Serve the application until the block ends."""
    config = server_config(app_world.deps, port)
    config.host = "127.0.0.1"

    config.app = _Present(app_world)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield
    finally:
        await server.shutdown()


@contextlib.asynccontextmanager
async def served(directory: Path, trusted: Authority = AUTHORITY) -> AsyncIterator[Served]:
    """Everything together; `directory` is empty. `trusted` is what the registry verifies tokens by."""
    keys, data = directory / "keys", directory / "registry"
    keys.mkdir()
    data.mkdir()
    (port,) = free_ports(1)
    with running_registry(data, trusted) as registry:
        async with aiohttp.ClientSession() as session, aiohttp.ClientSession(auto_decompress=False) as upstream:
            world = World(keys)
            world.rebuild(
                replace(
                    world.deps,
                    registries=RegistryProxy(upstream, base=lambda _project: registry.url),
                    registry_base=lambda _project: registry.url,
                    upstream_self=f"http://127.0.0.1:{port}",
                )
            )
            await _answers(session, registry)
            async with serving(world, port):
                yield Served(world, f"http://127.0.0.1:{port}", registry, session)
            world.passwords.close()


async def _answers(session: aiohttp.ClientSession, registry: RunningRegistry) -> None:
    async with asyncio.timeout(30):
        while True:
            assert registry.process.poll() is None, (registry.data.parent / "registry.log").read_text()
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(f"{registry.url}/v2/"):
                    return
            await asyncio.sleep(0.05)  # the interval of the poll; the condition is awaited by the loop
