"""The signing key changes under traffic, and no allowed request is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit.access.served import Served, served
from tests.kit.access.world import AUTHORITY
from tests.kit.pki import Authority, Leaf

SCOPE = "repository:genomics/aligner:pull,push"
TAGS, UPLOAD = "/v2/genomics/aligner/tags/list", "/v2/genomics/aligner/blobs/uploads/"
SUCCESSOR = Authority.create("berth token CA")


class Overlap(Authority):
    """Two authorities in one bundle, as registries and replicas have it while one follows the other."""

    @property
    def certificate_pem(self) -> bytes:
        return AUTHORITY.certificate_pem + SUCCESSOR.certificate_pem


BOTH = Overlap(AUTHORITY.certificate, AUTHORITY.key)


def replace_keys(directory: Path, leaf: Leaf) -> Iterator[str]:
    """New files one after the other; between any two they may be read, and a set that does not fit changes nothing."""
    for name, content in (
        ("ca.crt", BOTH.certificate_pem),
        ("tls.crt", leaf.certificate_pem),
        ("tls.key", leaf.key_pem),
    ):
        fresh = directory / f"{name}.new"
        fresh.write_bytes(content)
        fresh.rename(directory / name)
        yield name


@dataclass
class Traffic:
    """Clients that get a token and use it again and again, the same one for many requests."""

    service: Served
    tokens: list[str] = field(default_factory=list)
    refused: list[tuple[str, int]] = field(default_factory=list)
    served: int = 0
    leaves: set[str] = field(default_factory=set)

    async def run(self) -> None:
        while True:
            self.tokens.append(await self.service.world.token("ann", SCOPE))
            self.leaves.add(self.tokens[-1].split(".")[0])
            for token in {self.tokens[0], self.tokens[-1], self.tokens[len(self.tokens) // 2]}:
                for method, target in (("GET", TAGS), ("POST", UPLOAD)):
                    response = await self.service.through_gateway(method, target, token)
                    self.served += 1
                    if response.status not in (202, 404):  # no tags yet: the registry's own 404, past every check
                        self.refused.append((f"{method} {target}", response.status))

    async def more(self, leaves: int, count: int = 12) -> None:
        """Wait until tokens of so many leaves were given out, and for so many requests from then on."""
        async with asyncio.timeout(60):
            while len(self.leaves) < leaves:  # noqa: ASYNC110 - the tasks count
                await asyncio.sleep(0.005)
            goal = self.served + count
            while self.served < goal:  # noqa: ASYNC110 - the tasks count
                await asyncio.sleep(0.005)


async def test_twenty_leaves_and_a_new_authority_refuse_no_request_and_restart_no_registry(tmp_path: Path) -> None:
    async with served(tmp_path, BOTH) as service:
        process = service.registry.process.pid
        service.world.time -= 80  # it goes on by 130, and the registry allows for 60 either way
        list(replace_keys(service.world.signing_dir, AUTHORITY.issue("berth token signing")))
        traffic = Traffic(service)
        tasks = [asyncio.create_task(traffic.run()) for _ in range(3)]
        await traffic.more(leaves=1)
        for number in range(21):
            authority = AUTHORITY if number < 20 else SUCCESSOR
            for _ in replace_keys(service.world.signing_dir, authority.issue("berth token signing")):
                service.world.time += 2.1  # the files are looked at every other second
                await traffic.more(leaves=number + 1)
            await traffic.more(leaves=number + 2)
        await traffic.more(leaves=22, count=60)
        for task in tasks:
            assert not task.done(), task.exception()
            task.cancel()
        assert traffic.refused == []
        assert len(traffic.leaves) == 22
        assert traffic.served > 250
        assert service.registry.process.poll() is None
        assert service.registry.process.pid == process
