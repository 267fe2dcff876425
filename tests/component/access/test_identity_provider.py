"""Logins with tokens of a real OpenID provider, which goes away and comes back with another key."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp

from tests.kit.access.provider import CLIENT, SCOPES_PREFIX, SUBJECT, log_in, provider
from tests.kit.access.running import PASSWORD, ready, rule, shared_project, started, until, user
from tests.kit.access.world import basic, claims
from tests.kit.control_plane import ControlPlane, free_ports


async def test_a_person_of_the_provider_pulls_and_its_absence_affects_no_other_login(
    control_plane: ControlPlane, installed: Path, tmp_path: Path, unique: str
) -> None:
    (port,) = free_ports(1)
    issuer = {
        "issuer": f"http://localhost:{port}/",
        "audience": CLIENT,
        "usernamePrefix": "idp:",
        "scopesPrefix": SCOPES_PREFIX,
    }
    scope, target = f"repository:{unique}/a:pull", f"/v2/{unique}/a/manifests/v1"
    control_plane.apply(*shared_project(unique, rule(f"idp:{SUBJECT}", "Download")), *user(unique))
    async with (
        aiohttp.ClientSession() as session,
        started(control_plane, installed, tmp_path, BERTH_OIDC_ISSUERS=json.dumps([issuer])) as process,
    ):
        await ready(process)

        async def pulls(password: str) -> bool:
            token = await process.token("any name", password, scope)
            return bool(claims(token)["access"]) and (await process.authz("GET", target, token))[0] == 200

        async def knows_the_keys() -> bool:
            lines = process.log.read_text().splitlines()
            return any("signing keys fetched" in line and issuer["issuer"] in line for line in lines)

        assert not await knows_the_keys(), "the process was ready while the provider was not there yet"
        async with provider(port, tmp_path / "provider.log", session) as address:
            first = await log_in(address)
            await until(knows_the_keys, "its keys are read, without any login")
        await until(lambda: pulls(first), "the person pulls while the provider is away")
        found = claims(await process.token("x", first, scope))
        assert (found["sub"], found["berth"]["cred"]) == (f"idp:{SUBJECT}", "OIDC")

        async with provider(port, tmp_path / "provider.log", session) as address:
            second = await log_in(address)

        async def is_refused_as_unavailable() -> bool:
            status, document, _ = await process.get("/token", authorization=basic("x", second))
            assert status == 401
            return bool(document["errors"][0]["message"].startswith("The identity provider localhost does not answer"))

        await until(is_refused_as_unavailable, "the provider is queried again, without success")
        status, _, _ = await process.get("/token", authorization=basic(unique, PASSWORD))
        assert status == 200

        async with provider(port, tmp_path / "provider.log", session) as address:
            third = await log_in(address)
            await until(lambda: pulls(third), "the new key is found")
            assert not await pulls(first)
            # Forged without the key: another person under the same signature.
            head, body, signature = third.split(".")
            assert not await pulls(f"{head}.{body[:-4]}AAAA.{signature}")
