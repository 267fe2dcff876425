"""The client of the catalog against a server on loopback that fails as servers do."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from berth.services.access.upstream.catalog_client import CatalogClient
from berth.services.access.upstream.ports import CatalogUnavailableError, WriteIntent
from tests.kit.control_plane import free_ports

INTENT = WriteIntent("push", "genomics", "tools/viewer", "v1", "sha256:" + "a" * 64, "m/m", "ann", "198.51.100.7")


class StandIn:
    """A server that answers with the given statuses first, then as the catalog does."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.calls: list[tuple[str, Any]] = []
        self.tokens: set[str] = set()
        self.token = "first"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.tokens.add(request.headers.get("authorization", ""))
        body = await request.json() if request.can_read_body else None
        self.calls.append((f"{request.method} {request.raw_path}", body))
        if self.statuses:
            status = self.statuses.pop(0)
            if status == 0:
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            return web.json_response({"errors": []}, status=status)
        if request.path.endswith("/v1/writes"):
            return web.json_response({"id": "w1"}, status=201)
        if "/referrers/" in request.path:
            return web.json_response({"referrers": [{"digest": "sha256:" + "b" * 64}]})
        if request.path.endswith("/content"):
            return web.json_response({"content": request.path.endswith("/viewer/content")})
        return web.json_response({})


@pytest.fixture
async def stand_in() -> AsyncIterator[tuple[StandIn, CatalogClient]]:
    """The server and a client of it."""
    server = StandIn()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    (port,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with aiohttp.ClientSession() as session:
        client = CatalogClient(
            session, base_url=f"http://127.0.0.1:{port}/", read_token=lambda: server.token, patience=5.0
        )
        yield server, client
    await runner.cleanup()


async def test_a_write_is_announced_committed_and_abandoned(stand_in: tuple[StandIn, CatalogClient]) -> None:
    server, client = stand_in
    assert await client.announce(INTENT) == "w1"
    await client.commit("w1", b"\x00bytes")
    await client.commit("w1", None)
    await client.abandon("w1")
    assert server.calls == [
        (
            "POST /v1/writes",
            {
                "kind": "push",
                "project": "genomics",
                "repository": "tools/viewer",
                "reference": "v1",
                "digest": INTENT.digest,
                "mediaType": "m/m",
                "by": "ann",
                "client": "198.51.100.7",
            },
        ),
        ("POST /v1/writes/w1/commit", {"manifest": base64.b64encode(b"\x00bytes").decode()}),
        ("POST /v1/writes/w1/commit", {}),
        ("POST /v1/writes/w1/abandon", {}),
    ]
    assert server.tokens == {"Bearer first"}


@pytest.mark.parametrize("failures", [[503, 500, 502], [401], [429, 408], [0, 0]])
async def test_what_may_pass_is_tried_again(stand_in: tuple[StandIn, CatalogClient], failures: list[int]) -> None:
    server, client = stand_in
    server.statuses = list(failures)
    assert await client.announce(INTENT) == "w1"
    assert len(server.calls) == len(failures) + 1


async def test_a_call_that_the_catalog_refuses_is_not_repeated(stand_in: tuple[StandIn, CatalogClient]) -> None:
    server, client = stand_in
    server.statuses = [422]
    with pytest.raises(CatalogUnavailableError):
        await client.announce(INTENT)
    assert len(server.calls) == 1


async def test_a_renewed_token_is_used_at_the_next_try(stand_in: tuple[StandIn, CatalogClient]) -> None:
    server, client = stand_in
    await client.announce(INTENT)
    server.token = "second"
    await client.announce(INTENT)
    assert server.tokens == {"Bearer first", "Bearer second"}


async def test_referrers_are_queried_by_full_path(stand_in: tuple[StandIn, CatalogClient]) -> None:
    server, client = stand_in
    digest = "sha256:" + "a" * 64
    assert await client.referrers("genomics", "tools/viewer", digest) == [{"digest": "sha256:" + "b" * 64}]
    assert server.calls[0][0] == f"GET /v1/projects/genomics/repositories/tools/viewer/referrers/{digest}"


async def test_content_is_queried_by_full_path_and_once(
    stand_in: tuple[StandIn, CatalogClient],
) -> None:
    server, client = stand_in
    assert await client.has_content("genomics", "tools/viewer") is True
    assert await client.has_content("genomics", "tools/other") is False
    assert server.calls[0][0] == "GET /v1/projects/genomics/repositories/tools/viewer/content"
    for failure in (503, 401, 404):
        server.calls, server.statuses = [], [failure]
        with pytest.raises(CatalogUnavailableError):
            await client.has_content("genomics", "tools/viewer")
        assert len(server.calls) == 1


async def test_a_catalog_that_stays_away_is_given_up(tmp_path_factory: pytest.TempPathFactory) -> None:
    (port,) = free_ports(1)
    async with aiohttp.ClientSession() as session:
        client = CatalogClient(session, base_url=f"http://127.0.0.1:{port}", read_token=lambda: "x", patience=0.3)
        with pytest.raises(CatalogUnavailableError):
            await client.commit("w1", b"")


async def test_without_a_token_file_the_catalog_is_away(stand_in: tuple[StandIn, CatalogClient]) -> None:
    server, _client = stand_in

    def missing() -> str:
        raise FileNotFoundError

    async with aiohttp.ClientSession() as session:
        client = CatalogClient(session, base_url="http://127.0.0.1:1", read_token=missing, patience=0.1)
        with pytest.raises(CatalogUnavailableError):
            await client.announce(INTENT)
    assert server.calls == []
