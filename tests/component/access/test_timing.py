"""What an attacker learns from response times, measured on the served application.

Nothing here depends on how fast the machine is: a classifier learns on one half of the responses and is tried on the
other. By chance it may seem to have learned something, so it has to succeed in every one of a few rounds; and a control
shows that it does learn where there is something to be learned.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import bcrypt
import pytest

from berth.api.sharing import SharingLevel
from berth.authz.model import ProjectPolicy, RepositoryPolicy
from berth.identity.failure_delay import FailureDelay
from berth.identity.passwords import PasswordVerifier
from tests.kit.access.classifier import accuracy, timed
from tests.kit.access.served import serving
from tests.kit.access.world import HASHER, World, basic, rules
from tests.kit.control_plane import free_ports

ROUNDS = 3
LEARNED = 0.65  # guessing gives 0.5; so much by chance in one round is rare, in every round it is no chance
PAUSE = 0.1  # seconds; many times what the slowest hash here takes, which has the lowest priority on a busy machine
TRIES = 60  # of each kind, where each takes the pause
NAMES = ("unknown", "ann", "bob", "dora", "eve")


class Asker:
    """The application, served on loopback, and requests of strangers at ever new addresses."""

    def __init__(self, world: World, url: str, session: aiohttp.ClientSession) -> None:
        self.world = world
        self._url = url
        self._session = session
        self._gateway = world.service_account("berth-gateway")
        self._requests = 0

    def wrong_password(self, user: str) -> Callable[[int], Awaitable[object]]:
        """Logins of that user with ever another wrong password."""

        async def ask(number: int) -> object:
            self._requests += 1
            headers = {
                "authorization": basic(user if user != "unknown" else f"user-{number}", f"wrong {self._requests}"),
                "berth-gateway-token": self._gateway,
                "x-forwarded-for": f"198.51.{self._requests // 250}.{self._requests % 250}",
            }
            async with self._session.get(f"{self._url}/token", headers=headers) as response:
                assert response.status == 401
                return await response.read()

        return ask

    def manifest(self, project: str, token: str, repository: str = "aligner") -> Callable[[int], Awaitable[object]]:
        """The gateway's questions about a pull from that project."""
        headers = {
            "authorization": f"Bearer {token}",
            "berth-gateway-token": self._gateway,
            "berth-original-method": "GET",
            "berth-original-uri": f"/v2/{project}/{repository}/manifests/1",
            "x-forwarded-for": "198.51.100.7",
        }

        async def ask(_number: int) -> object:
            async with self._session.get(f"{self._url}/authz", headers=headers) as response:
                assert response.headers["berth-status"] == "403"
                return await response.read()

        return ask


async def asking(directory: Path, failures: FailureDelay) -> AsyncIterator[Asker]:
    """ann's hash is bcrypt, which takes much longer than the one for unknown users; bob's too, who is disabled."""
    passwords = PasswordVerifier(monotonic=time.monotonic, hasher=HASHER)
    world = World(directory, passwords=passwords, failures=failures)
    slow = bcrypt.hashpw(b"right", bcrypt.gensalt(6)).decode()
    world.change_user("ann", password_hash=slow)
    world.change_user("bob", password_hash=slow, disabled=True)
    world.change_user("dora", password_hash=None)
    world.change_user("eve", password_hash=None, robot=True)
    (port,) = free_ports(1)
    async with serving(world, port), aiohttp.ClientSession() as session:
        yield Asker(world, f"http://127.0.0.1:{port}", session)
    passwords.close()


@pytest.fixture
async def even(tmp_path: Path) -> AsyncIterator[Asker]:
    """As in production, with a shorter pause."""
    async for client in asking(tmp_path, FailureDelay(pause=PAUSE, monotonic=time.monotonic)):
        yield client


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Asker]:
    """Failures are reported without a delay."""

    async def at_once(_seconds: float) -> None:
        await asyncio.sleep(0)

    async for client in asking(tmp_path, FailureDelay(pause=60, monotonic=time.monotonic, sleep=at_once)):
        yield client


async def learned_at_best(
    requests: Mapping[str, Callable[[int], Awaitable[object]]], against: str, each: int
) -> dict[str, float]:
    """For each other kind of request the accuracy against that one, in the round in which the classifier did worst."""
    worst = {kind: 1.0 for kind in requests if kind != against}
    for _ in range(ROUNDS):
        seconds = await timed(requests, each)
        for kind in worst:
            worst[kind] = min(worst[kind], accuracy(seconds[against], seconds[kind]))
        if max(worst.values()) < LEARNED:
            break
    return worst


async def test_a_classifier_cannot_separate_unknown_users_from_other_failed_logins(
    even: Asker,
) -> None:
    found = await learned_at_best({user: even.wrong_password(user) for user in NAMES}, "unknown", TRIES)
    assert max(found.values()) < LEARNED, found


async def test_the_same_classifier_separates_them_without_the_failure_delay(hasty: Asker) -> None:
    slower = bcrypt.hashpw(b"right", bcrypt.gensalt(7)).decode()  # many times what a busy machine adds
    hasty.world.change_user("ann", password_hash=slower)
    hasty.world.change_user("bob", password_hash=slower, disabled=True)
    found = await learned_at_best(
        {user: hasty.wrong_password(user) for user in ("unknown", "ann", "bob")}, "unknown", 60
    )
    assert min(found["ann"], found["bob"]) > LEARNED, found


async def test_a_classifier_cannot_separate_absent_projects_from_foreign_ones(
    hasty: Asker,
) -> None:
    world = hasty.world
    world.change_user("eve", password_hash=HASHER.hash("canary-password-of-eve"))
    crowd = rules(*((f"user-{number}", SharingLevel.EDIT) for number in range(200)))
    private = ProjectPolicy("private", rules=crowd, repositories={"aligner": RepositoryPolicy("aligner")})
    world.add(private)
    token = await world.token("eve", "repository:private/aligner:pull", "repository:absent/aligner:pull")
    found = await learned_at_best(
        {project: hasty.manifest(project, token) for project in ("absent", "private")}, "absent", 400
    )
    assert found["private"] < LEARNED, found


async def test_a_classifier_cannot_separate_absent_repositories_from_hidden_ones(hasty: Asker) -> None:
    world = hasty.world
    hidden = RepositoryPolicy("hidden", rules=rules(*((f"user-{number}", SharingLevel.EDIT) for number in range(200))))
    world.add(ProjectPolicy("shared", rules=rules(("dora", SharingLevel.DOWNLOAD)), repositories={"hidden": hidden}))
    world.change_user("dora", password_hash=HASHER.hash("canary-password-of-dora"))
    token = await world.token("dora", "repository:shared/hidden:pull", "repository:shared/absent:pull")
    requests = {name: hasty.manifest("shared", token, name) for name in ("absent", "hidden")}
    found = await learned_at_best(requests, "absent", 400)
    assert found["hidden"] < LEARNED, found
