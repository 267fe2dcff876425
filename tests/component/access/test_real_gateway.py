"""A standard client through the real gateway to the service, a real registry behind it: the sentence reaches people."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from berth.api.policy import PolicyState
from berth.api.reasons import Reason
from tests.kit.access.served import Served
from tests.kit.access.world import PASSWORDS, sentence_of
from tests.kit.control_plane import tool
from tests.kit.gateway.running import gateway_settings, run_gateway, write_certificate


@dataclass
class Client:
    """crane, logged in as one user, in front of the gateway."""

    service: Served
    host: str
    ca_file: Path
    directory: Path

    async def crane(self, user: str | None, *arguments: str, password: str = "") -> tuple[int, str]:
        """Exit code and everything that crane printed."""
        home = self.directory / f"{user}-{bool(password)}"
        home.mkdir(exist_ok=True)
        if user is not None:
            pair = base64.b64encode(f"{user}:{password or PASSWORDS[user]}".encode()).decode()
            (home / "config.json").write_text(json.dumps({"auths": {self.host: {"auth": pair}}}))
        process = await asyncio.create_subprocess_exec(
            *(str(tool("crane")), *arguments),
            env={"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(home), "SSL_CERT_FILE": str(self.ca_file)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, printed.decode()

    async def push(self, user: str, image: str = "genomics/aligner:v1", password: str = "") -> tuple[int, str]:
        """Push an image of one small layer."""
        layer = self.directory / "layer.tar"
        with tarfile.open(layer, "w") as archive:
            archive.add(self.ca_file, arcname="file")
        return await self.crane(user, "append", "-f", str(layer), "-t", f"{self.host}/{image}", password=password)

    async def pull(self, user: str | None, image: str = "genomics/aligner:v1", password: str = "") -> tuple[int, str]:
        """Read the manifest of an image."""
        return await self.crane(user, "manifest", f"{self.host}/{image}", password=password)


@pytest.fixture
async def client(service: Served, tmp_path: Path) -> AsyncIterator[Client]:
    """The gateway in front of the service, as the chart puts it there."""
    folder = tmp_path / "gateway"
    folder.mkdir()
    port = int(service.url.rpartition(":")[2])
    settings = gateway_settings(folder, port)
    settings.gateway_token_file.write_text(service.world.service_account("berth-gateway"))
    write_certificate(settings.tls_dir)
    # Without a port: the gateway knows this name as the one of its upstream group.
    deps = replace(service.world.deps, host=settings.host, upstream_self="http://localhost")
    service.world.rebuild(deps)
    starting = run_gateway(settings)
    gateway = await asyncio.to_thread(starting.__enter__)
    try:
        yield Client(service, settings.host, gateway.ca_file, tmp_path)
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)


async def test_a_push_and_a_pull_by_tag_and_digest(client: Client) -> None:
    code, printed = await client.push("ann")
    assert code == 0, printed
    (write,) = client.service.world.catalog.writes.values()
    assert (write["state"], write["intent"].by, write["intent"].client) == ("committed", "ann", "127.0.0.1")
    for image in ("genomics/aligner:v1", f"genomics/aligner@{write['intent'].digest}"):
        assert (await client.pull("bob", image)) == (0, write["manifest"].decode())


@pytest.mark.parametrize(
    ("user", "password", "reason"),
    [("eve", "", Reason.NOT_FOUND), ("ann", "wrong", Reason.BAD_CREDENTIALS), (None, "", Reason.NOT_AUTHENTICATED)],
)
async def test_a_refused_pull_says_why(client: Client, user: str | None, password: str, reason: Reason) -> None:
    code, printed = await client.pull(user, password=password)
    assert code == 1
    who = user if user and reason is Reason.NOT_FOUND else ""
    assert f"DENIED: {sentence_of(reason, who)}" in printed


async def test_a_refused_push_says_why_and_leaves_nothing(client: Client) -> None:
    code, printed = await client.push("dora")
    assert code == 1
    assert f"DENIED: {sentence_of(Reason.NOT_CERTIFIED, 'dora')}" in printed
    assert client.service.world.catalog.writes == {}


async def test_a_pull_from_the_trash_reports_the_trash(client: Client) -> None:
    assert (await client.push("ann"))[0] == 0
    client.service.world.change("genomics", state=PolicyState.TRASHED)
    code, printed = await client.pull("bob")
    assert code == 1
    assert f"DENIED: {sentence_of(Reason.PROJECT_TRASHED, 'bob')}" in printed


async def test_a_push_that_the_catalog_cannot_record_reports_it(client: Client) -> None:
    client.service.world.catalog.away = True
    code, printed = await client.push("ann")
    assert code == 1
    assert f"DENIED: {sentence_of(Reason.CATALOG_UNAVAILABLE, 'ann')}" in printed
    client.service.world.catalog.away = False
    assert "MANIFEST_UNKNOWN" in (await client.pull("bob"))[1]


async def test_tags_and_repositories_are_listed(client: Client) -> None:
    assert (await client.push("ann"))[0] == 0
    assert await client.crane("bob", "ls", f"{client.host}/genomics/aligner") == (0, "v1\n")
    assert await client.crane("bob", "catalog", client.host) == (0, "genomics/aligner\ngenomics/tools/viewer\n")
