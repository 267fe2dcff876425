"""Does the time of a response show whether a user exists? A simple classifier tries.

    python -m bench.login_timing [TRIES]

Failed logins of every kind run one after the other in random order, with the hashes that Berth makes in production:
once with immediate responses, and once with Berth's delay, here a quarter of a second instead of a whole one. A
threshold on the time is learned on one half and tried on the other: an accuracy near 0.5 means that it learned
nothing. With 100 tries it takes about four minutes.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import argon2
import bcrypt

from bench.table import Row, at_most
from berth.identity.failure_delay import FailureDelay
from berth.identity.passwords import PasswordVerifier
from tests.kit.access.classifier import accuracy, timed
from tests.kit.access.world import World

PAUSE = 0.25  # seconds; longer than each of the hashes takes
GUESSING = 0.75  # an accuracy that luck reaches with so few tries
UNKNOWN = "unknown user"
HASHES: dict[str, Callable[[], str | None]] = {
    "wrong password, argon2id": lambda: argon2.PasswordHasher().hash("right"),
    "wrong password, bcrypt cost 10": lambda: bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode(),
    "wrong password, bcrypt cost 11": lambda: bcrypt.hashpw(b"right", bcrypt.gensalt(11)).decode(),
    "user without a password": lambda: None,
}


async def measure(tries: int, failures: FailureDelay) -> dict[str, list[float]]:
    """Seconds of each login, by what is wrong with it."""
    with tempfile.TemporaryDirectory() as directory:
        passwords = PasswordVerifier(monotonic=time.monotonic)
        world = World(Path(directory), passwords=passwords, failures=failures)
        requests: dict[str, Callable[[int], Awaitable[object]]] = {UNKNOWN: _login(world, "unknown")}
        for user, (kind, present) in zip(("ann", "bob", "dora", "eve"), HASHES.items(), strict=True):
            world.change_user(user, password_hash=present())
            requests[kind] = _login(world, user)
        seconds = await timed(requests, tries)
        passwords.close()
        return seconds


def _login(world: World, user: str) -> Callable[[int], Awaitable[object]]:
    def login(number: int) -> Awaitable[object]:
        source = f"198.51.{number // 250 % 250}.{number % 250}"
        name = f"{user}-{number}" if user == "unknown" else user
        return world.ask_token(name, password=f"wrong {number}", source=source)

    return login


async def _at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


def rows(tries: int = 30) -> list[Row]:
    """How well failed logins of known users are distinguished from those of unknown ones, at worst."""
    seconds = asyncio.run(measure(tries, FailureDelay(pause=PAUSE, monotonic=time.monotonic)))
    found = {kind: accuracy(seconds[UNKNOWN], taken) for kind, taken in seconds.items() if kind != UNKNOWN}
    return [
        at_most(
            "known users distinguished from unknown ones by the time of a failed login (0.5 is guessing)",
            GUESSING,
            max(found.values()),
            unit="",
            figures=f"{tries} tries each; " + ", ".join(f"{kind} {value:.2f}" for kind, value in found.items()),
        )
    ]


def main() -> None:
    """Print medians and accuracies against unknown users."""
    tries = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    ways = {
        "immediate": FailureDelay(pause=60, monotonic=time.monotonic, sleep=_at_once),
        f"after {PAUSE} s": FailureDelay(pause=PAUSE, monotonic=time.monotonic),
    }
    for way, failures in ways.items():
        seconds = asyncio.run(measure(tries, failures))
        for kind, found in seconds.items():
            note = "" if kind == UNKNOWN else f", accuracy {accuracy(seconds[UNKNOWN], found):.2f}"
            print(f"{way}: {kind}: median {statistics.median(found) * 1e3:.1f} ms{note}")


if __name__ == "__main__":
    main()
