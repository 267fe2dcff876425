"""Logins by tokens against a real API server: of its ServiceAccounts, of its objects, and of it as an OIDC issuer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from berth.authz.model import CredentialKind
from berth.authz.token_format import make_token, token_sha256
from berth.identity.oidc import IssuerUnavailableError, OidcAuthenticator, issuer_keys
from berth.settings import OidcIssuer
from tests.kit.access.running import BERTH, Running, ready, rule, shared_project, started, until, user
from tests.kit.access.world import claims
from tests.kit.control_plane import ISSUER, ControlPlane, free_ports

HOST = "registry.example.org"


@pytest.fixture
async def running(control_plane: ControlPlane, installed: Path, tmp_path: Path) -> AsyncIterator[Running]:
    """The process, ready."""
    async with started(control_plane, installed, tmp_path) as made:
        await ready(made)
        yield made


async def test_a_pods_token_for_the_host_pulls_what_is_shared_with_its_service_account(
    running: Running, unique: str
) -> None:
    plane = running.plane
    plane.service_account(BERTH, unique)
    plane.apply(*shared_project(unique, rule(f"{BERTH}/{unique}", "Download", "ServiceAccount")))
    pod = plane.token(BERTH, unique, HOST)

    async def may_pull() -> bool:
        return bool(claims(await running.token("x", pod, f"repository:{unique}/a:pull"))["access"])

    await until(may_pull, "the Pod may pull")
    for audience in (ISSUER, "berth-access", "other"):
        other = plane.token(BERTH, unique, audience)
        given = claims(await running.token("x", other, f"repository:{unique}/a:pull"))
        assert (given["access"], given["berth"]["failure"]) == ([], "BadCredentials")


async def test_the_last_use_of_a_token_is_written_once_to_its_status(running: Running, unique: str) -> None:
    plane, secret = running.plane, make_token(unique.encode().ljust(32, b"."))
    spec = {"owner": {"kind": "User", "name": unique}, "scopes": ["download"], "sha256": token_sha256(secret)}
    plane.apply(
        *user(unique),
        {"apiVersion": "berth.dev/v1alpha1", "kind": "AccessToken", "metadata": {"name": unique}, "spec": spec},
    )
    position = plane.audit_position()

    async def logs_in() -> bool:
        return bool(claims(await running.token("x", secret, "repository:p/r:pull"))["berth"]["cred"] == "AccessToken")

    await until(logs_in, "the token logs in")

    async def written() -> bool:
        return "lastUsed" in plane.get("accesstoken", unique)["status"]

    await until(written, "the last use is written")
    for _ in range(20):
        assert await logs_in()
    found = plane.get("accesstoken", unique, "--show-managed-fields")
    used = datetime.fromisoformat(found["status"]["lastUsed"])
    assert (used.minute, used.second) == (0, 0)
    assert 0 <= (datetime.now(UTC) - used).total_seconds() < 3700
    assert [m["manager"] for m in found["metadata"]["managedFields"] if m.get("subresource")] == ["berth-access"]
    writes = plane.writes(f"system:serviceaccount:{BERTH}:berth-access", after=position)
    assert [(each.resource, each.subresource, each.code) for each in writes] == [("accesstokens", "status", 200)]


async def test_the_api_servers_own_issuer_is_a_provider_like_any_other(
    control_plane: ControlPlane, unique: str
) -> None:
    control_plane.kubectl(
        *("create", "clusterrolebinding", unique, "--group=system:unauthenticated"),
        "--clusterrole=system:service-account-issuer-discovery",
        check=True,
    )
    space = control_plane.namespace()
    control_plane.service_account(space, unique)
    issuer = OidcIssuer(
        issuer=ISSUER,
        discovery_url=f"{control_plane.server}/.well-known/openid-configuration",
        audience="berth",
        ca_file=control_plane.ca_file,
        username_prefix="cluster:",
    )
    token = control_plane.token(space, unique, "berth", 600)
    async with aiohttp.ClientSession() as session:
        now = [time.time()]

        def logins(provider: OidcIssuer) -> OidcAuthenticator:
            return OidcAuthenticator(
                [provider],
                fetch_keys=lambda each: issuer_keys(session, each),
                clock=lambda: now[0],
                monotonic=time.monotonic,
            )

        known = logins(issuer)
        found = await known.identify(token, ISSUER)
        assert found is not None
        assert (found.credential, found.name) == (
            CredentialKind.OIDC,
            f"cluster:system:serviceaccount:{space}:{unique}",
        )
        assert await known.identify(control_plane.token(space, unique, "other"), ISSUER) is None
        now[0] += 700
        over = await known.identify(token, ISSUER)
        assert over is not None
        assert over.expires_at is not None
        assert over.expires_at.timestamp() < now[0]
        (closed,) = free_ports(1)
        away = issuer.model_copy(update={"discovery_url": f"https://127.0.0.1:{closed}/"})
        for unusable in (away, issuer.model_copy(update={"ca_file": None})):
            with pytest.raises(IssuerUnavailableError):
                await logins(unusable).identify(token, ISSUER)
