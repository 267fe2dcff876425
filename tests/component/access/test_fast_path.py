"""The fast path over the wire: the same responses, in order, on connections that stay open."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlencode

from tests.kit.access.served import Served
from tests.kit.access.token_logins import LAPTOP, give_token
from tests.kit.access.world import HOST, basic

TARGET = "/token?" + urlencode({"service": HOST, "scope": "repository:genomics/aligner:pull"})


def request(target: str = TARGET, *headers: str, method: str = "GET", version: str = "1.1", body: str = "") -> bytes:
    lines = [f"{method} {target} HTTP/{version}", "Host: x", f"Authorization: {basic('x', LAPTOP)}", *headers, "", body]
    return "\r\n".join(lines).encode()


async def exchange(service: Served, sent: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Send bytes on a connection of their own and close this half; every response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rpartition(":")[2]))
    writer.write(sent)
    found: list[tuple[int, dict[str, str], bytes]] = []
    async with asyncio.timeout(30):
        for _ in range(sent.count(b"Host: x")):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            length = 0 if sent.startswith(b"HEAD") else int(headers["content-length"])
            found.append((int(head[0].split(" ")[1]), headers, await reader.readexactly(length)))
        if "close" in found[-1][1].get("connection", ""):
            assert await reader.read() == b""
    writer.close()
    return found


async def test_a_cached_request_gets_the_first_response(service: Served) -> None:
    give_token(service.world)
    (first,) = await exchange(service, request())
    (again,) = await exchange(service, request())
    assert first == again
    assert first[0] == 200
    assert first[1] == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "content-length": str(len(first[2])),
    }


async def test_pipelined_requests_are_answered_in_order(service: Served) -> None:
    give_token(service.world)
    await exchange(service, request())
    sent = request() + request("/healthz") + request() + request("/nowhere") + request()
    assert [status for status, _, _ in await exchange(service, sent)] == [200, 200, 200, 404, 200]
    bodies = [body for _, _, body in await exchange(service, sent)]
    assert bodies[0] == bodies[2] == bodies[4]
    assert bodies[1] == b'{"healthy":true}'


async def test_unusual_requests_get_the_usual_responses(service: Served) -> None:
    give_token(service.world)
    ((_, _, token),) = await exchange(service, request())
    for sent in (
        request(TARGET, "Connection: close"),
        request(version="1.0"),
        request(f"http://elsewhere{TARGET}"),
        request(TARGET, "Expect: 100-continue"),
        request(TARGET, "Content-Length: 4", body="body"),
    ):
        ((status, _, body),) = await exchange(service, sent)
        assert (status, body) == (200, token)
    ((status, _, _),) = await exchange(service, request(method="HEAD"))
    assert status == 405
    ((status, headers, _),) = await exchange(service, request(TARGET, "Connection: close"))
    assert (status, headers["connection"]) == (200, "close")


def fresh(name: str) -> bytes:
    """A request with a cached grant, whose response has to be signed."""
    return request(f"{TARGET}&client_id={name}")


async def test_concurrent_requests_get_a_token_each(service: Served) -> None:
    give_token(service.world)
    await exchange(service, request())
    found = await asyncio.gather(*(exchange(service, fresh(f"c{number}")) for number in range(50)))
    tokens = {json.loads(body)["token"] for ((status, _, body),) in found if status == 200}
    assert len(tokens) == 50


async def test_responses_keep_their_order_behind_a_deferred_one(service: Served) -> None:
    give_token(service.world)
    await exchange(service, request())
    sent = fresh("a") + request("/healthz") + fresh("b") + fresh("c") + request("/nowhere")
    found = await exchange(service, sent)
    assert [status for status, _, _ in found] == [200, 200, 200, 200, 404]
    assert found[1][2] == b'{"healthy":true}'
    assert len({json.loads(found[number][2])["token"] for number in (0, 2, 3)}) == 3


async def test_a_client_that_disconnects_early_does_not_affect_others(service: Served) -> None:
    give_token(service.world)
    await exchange(service, request())
    for number in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rpartition(":")[2]))
        writer.write(fresh(f"gone{number}"))
        writer.transport.abort()
    ((status, _, _),) = await exchange(service, fresh("stays"))
    assert status == 200
