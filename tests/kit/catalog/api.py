"""The API of a catalog, running on loopback, and calls of it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa

from berth.catalog.db.database import Database
from berth.identity.service_account import ServiceAccountVerifier
from berth.oci import manifest as manifests
from berth.services.catalog.deps import Deps
from berth.services.catalog.metrics import CatalogMetrics
from berth.services.catalog.process import server_config
from tests.kit.catalog.contents import Catalog, digest
from tests.kit.control_plane import free_ports

ISSUER = "https://kubernetes.default.svc"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def token(account: str = "berth-access", audience: str = "berth-catalog", key: Any = KEY) -> str:
    claims = {
        "iss": ISSUER,
        "aud": [audience],
        "sub": f"system:serviceaccount:berth-system:{account}",
        "exp": time.time() + 600,
    }
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "k"})


async def keys() -> dict[str, Any]:
    public = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    return {"issuer": ISSUER, "keys": [{**public, "kid": "k", "use": "sig"}]}


@dataclass
class Api:
    """The running API, called as `access` calls it unless the test says otherwise."""

    url: str
    session: aiohttp.ClientSession
    catalog: Catalog
    metrics: CatalogMetrics
    ended: dict[str, str] = field(default_factory=dict)
    migrated: bool = True

    async def call(
        self, method: str, path: str, body: Any = None, *, bearer: str | None = "", data: bytes | None = None
    ) -> tuple[int, Any]:
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer or token()}"}
        async with self.session.request(method, self.url + path, json=body, data=data, headers=headers) as response:
            if response.content_type == "application/json":
                return response.status, await response.json()
            return response.status, await response.text()

    async def announce(self, body: bytes, **changed: Any) -> tuple[int, Any]:
        announcement = {
            "kind": "push",
            "project": "genomics",
            "repository": "tools/aligner",
            "reference": "v1",
            "digest": digest(body),
            "mediaType": manifests.OCI_MANIFEST,
            "by": "curator",
            "client": "10.0.0.7",
        }
        present = {name: value for name, value in {**announcement, **changed}.items() if value is not ...}
        return await self.call("POST", "/v1/writes", present)

    async def push(self, body: bytes, **changed: Any) -> None:
        status, document = await self.announce(body, **changed)
        assert status == 201, document
        manifest = base64.b64encode(body).decode()
        status, document = await self.call("POST", f"/v1/writes/{document['id']}/commit", {"manifest": manifest})
        assert (status, document) == (200, {})


@asynccontextmanager
async def running_api(database: Database) -> AsyncIterator[Api]:
    catalog = Catalog(database)
    verifier = ServiceAccountVerifier(issuer=ISSUER, fetch_keys=keys)
    await verifier.load()
    metrics = CatalogMetrics()
    (port,) = free_ports(1)
    async with aiohttp.ClientSession() as session:
        api = Api(f"http://127.0.0.1:{port}", session, catalog, metrics)
        deps = Deps(
            database=database,
            write_log=catalog.write_log,
            verifier=verifier,
            accounts=frozenset({"berth-system/berth-access"}),
            metrics=metrics,
            migrated=lambda: api.migrated,
            ended=lambda: api.ended,
            monotonic=time.monotonic,
        )
        server = uvicorn.Server(server_config(deps, port))
        task = asyncio.create_task(server.serve())
        while not server.started:
            assert not task.done()
            await asyncio.sleep(0.01)
        try:
            yield api
        finally:
            await session.close()  # or the server waits for the connections that are kept open
            server.should_exit = True
            await task
