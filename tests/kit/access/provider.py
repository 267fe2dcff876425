"""A real OpenID provider on loopback, and a person who logs in there as in a browser."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import aiohttp

from tests.kit.access.world import basic
from tests.kit.control_plane import tool

CLIENT: Final = "web"
SUBJECT: Final = "id1"
SCOPES_PREFIX: Final = "registry:"
_SECRET: Final = "secret"
_USER: Final = "test-user@localhost"
_PASSWORD: Final = "verysecure"
_CALLBACK: Final = "http://localhost:9999/auth/callback"


@contextlib.asynccontextmanager
async def provider(port: int, log: Path, session: aiohttp.ClientSession) -> AsyncIterator[str]:
    """The provider with a new signing key; its issuer. It knows one person."""
    issuer = f"http://localhost:{port}/"
    with log.open("ab") as stream:
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", str(tool("oidc-provider"))),
            env={"PATH": os.environ["PATH"], "PORT": str(port)},
            stdout=stream,
            stderr=stream,
        )
    try:
        async with asyncio.timeout(30):
            while not await _answers(session, issuer):
                assert process.returncode is None, f"the provider ended, see {log}"
                await asyncio.sleep(0.05)  # the interval of the poll; the condition is awaited by the loop
        yield issuer
    finally:
        process.terminate()
        await process.wait()


async def _answers(session: aiohttp.ClientSession, issuer: str) -> bool:
    with contextlib.suppress(aiohttp.ClientConnectionError):
        async with session.get(f"{issuer}.well-known/openid-configuration") as response:
            return bool((await response.json())["issuer"] == issuer)
    return False


async def log_in(issuer: str) -> str:
    """The access token that the person gets by the authorization code flow (OpenID Connect Core 1.0, 3.1)."""
    query = {
        "client_id": CLIENT,
        "redirect_uri": _CALLBACK,
        "response_type": "code",
        "scope": f"openid profile {SCOPES_PREFIX}download",
        "state": "s",
    }
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.get(f"{issuer}.well-known/openid-configuration") as response:
            endpoints = await response.json()
        page = await _redirected(browser, "GET", f"{endpoints['authorization_endpoint']}?{urlencode(query)}")
        request = parse_qs(urlsplit(page).query)["authRequestID"][0]
        form = {"username": _USER, "password": _PASSWORD, "id": request}
        after = await _redirected(browser, "POST", urljoin(issuer, urlsplit(page).path), form)
        answered = await _redirected(browser, "GET", after)
        code = parse_qs(urlsplit(answered).query)["code"][0]
        exchange = {"grant_type": "authorization_code", "code": code, "redirect_uri": _CALLBACK}
        headers = {"authorization": basic(CLIENT, _SECRET)}
        async with browser.post(endpoints["token_endpoint"], data=exchange, headers=headers) as response:
            assert response.status == 200, await response.text()
            return str((await response.json())["access_token"])


async def _redirected(browser: aiohttp.ClientSession, method: str, url: str, form: dict[str, str] | None = None) -> str:
    async with browser.request(method, url, data=form, allow_redirects=False) as response:
        assert response.status == 302, (url, response.status, await response.text())
        return urljoin(url, response.headers["location"])
