"""Can somebody tell by the time of an answer whether a user exists? A simple classifier tries.

    python -m bench.login_timing [TRIES]

Logins with an unknown name and with a known name and a wrong password are made in random order, with the hashes that
Berth makes in production. A threshold on the time is learned on one half and tried on the other: an accuracy near 0.5
means that it learned nothing. The known user's hash may be argon2id with the usual parameters, or bcrypt, whose time is
what whoever made the hash chose: with bcrypt the two are told apart.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import argon2
import bcrypt

from berth.services.access.passwords import Passwords
from tests.unit.services.access.world import World


async def measure(tries: int, known_hash: str) -> tuple[list[float], list[float]]:
    """Seconds of each login: unknown names, and the known one with a wrong password."""
    with tempfile.TemporaryDirectory() as directory:
        passwords = Passwords(monotonic=time.monotonic)
        world = World(Path(directory), passwords=passwords)
        world.change_user("ann", password_hash=known_hash)
        seconds: dict[bool, list[float]] = {True: [], False: []}
        order = [True, False] * tries
        random.Random(1).shuffle(order)  # noqa: S311 - an order, no secret
        for number, known in enumerate(order):
            source = f"198.51.{number // 250 % 250}.{number % 250}"
            began = time.perf_counter()
            await world.ask_token("ann" if known else f"user-{number}", password=f"wrong {number}", source=source)
            seconds[known].append(time.perf_counter() - began)
        passwords.close()
        return seconds[False], seconds[True]


def accuracy(unknown: list[float], known: list[float]) -> float:
    """How many of the second half are told rightly by the threshold that is best for the first."""
    half = len(unknown) // 2
    learned = [(value, 0) for value in unknown[:half]] + [(value, 1) for value in known[:half]]

    def right(sample: list[tuple[float, int]], threshold: float, above: int) -> float:
        return sum((above if value > threshold else 1 - above) == label for value, label in sample) / len(sample)

    threshold, above = max(
        ((value, above) for value, _ in learned for above in (0, 1)), key=lambda rule: right(learned, *rule)
    )
    tried = [(value, 0) for value in unknown[half:]] + [(value, 1) for value in known[half:]]
    return right(tried, threshold, above)


def main() -> None:
    """Print medians and accuracies."""
    tries = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    hashes = {
        "argon2id, Berth's own": argon2.PasswordHasher().hash("right"),
        "bcrypt, cost 10": bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode(),
    }
    for name, present in hashes.items():
        unknown, known = asyncio.run(measure(tries, present))
        print(
            f"{name}: unknown {statistics.median(unknown) * 1e3:.1f} ms, known {statistics.median(known) * 1e3:.1f} ms,"
            f" accuracy {accuracy(unknown, known):.2f}"
        )


if __name__ == "__main__":
    main()
