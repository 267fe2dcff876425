"""Verification of passwords against argon2id and bcrypt hashes, off the event loop and bounded.

Slow by design (tens of milliseconds), so: a pool of few threads, a bounded queue before it, one computation for equal
questions at the same time, and a short memory of those that matched. The memory is keyed by a salted digest
of name, password and present hash: a changed Secret or user never finds it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import argon2
import bcrypt

from berth.runtime.bounded_cache import BoundedCache

REMEMBERED_SECONDS: Final = 60.0
_LOWEST_PRIORITY: Final = 19
_CACHED_MATCHES: Final = 10_000
_CACHED_BYTES: Final = 2 * 1024 * 1024
_BCRYPT_PREFIXES: Final = ("$2a$", "$2b$", "$2y$")
_BCRYPT_MAX_BYTES: Final = 72  # more than that bcrypt does not look at


class TooBusyError(Exception):
    """More passwords wait to be verified than are let in."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether a password fits, and when looking began: after the wait for a thread, by the clock of `Passwords`."""

    fits: bool
    began: float


class Passwords:
    """A bounded pool of password verifications. `close` it at the end.

    `threads` run at the same time, `waiting` more may queue; `monotonic` is in seconds; `hasher` makes the hash that
    unknown names are verified against.
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        threads: int = 2,
        waiting: int = 64,
        random_bytes: Callable[[int], bytes] = os.urandom,
        hasher: argon2.PasswordHasher | None = None,
    ) -> None:
        self._monotonic = monotonic
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="password", initializer=_give_way)
        self._limit = threads + waiting
        self._salt = random_bytes(32)
        self._hasher = hasher or argon2.PasswordHasher()
        # Verified for names that do not exist, so that they are as much work as those that do.
        self._nobody = self._hasher.hash(random_bytes(32).hex())
        self._matches: BoundedCache[bytes, float] = BoundedCache(max_entries=_CACHED_MATCHES, max_bytes=_CACHED_BYTES)
        self._running: dict[bytes, asyncio.Future[Verification]] = {}

    def close(self) -> None:
        """Let running verifications end and take no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def verify(self, user: str, password: str, present_hash: str | None) -> Verification:
        """Whether the password fits the user's present hash; None is as much work and never fits.

        Raises TooBusy when too many verifications wait already.
        """
        key = self._key(user, password, present_hash or "")
        now = self._monotonic()
        if (self._matches.get(key) or 0.0) > now:
            return Verification(True, now)
        running = self._running.get(key)
        if running is None:
            if len(self._running) >= self._limit:
                raise TooBusyError
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._pool, self._verify, password, present_hash)
            self._running[key] = running
            running.add_done_callback(lambda _done: self._running.pop(key, None))
        # A client that goes away must not cancel the verification that others wait for.
        found = await asyncio.shield(running)
        if found.fits:
            self._matches.put(key, self._monotonic() + REMEMBERED_SECONDS)
        return found

    def _key(self, user: str, password: str, present_hash: str) -> bytes:
        digest = hmac.new(self._salt, digestmod=hashlib.sha256)
        for part in (user, password, present_hash):
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.digest()

    def _verify(self, password: str, present_hash: str | None) -> Verification:
        """In a thread."""
        began = self._monotonic()
        return Verification(self._fits(password, present_hash), began)

    def _fits(self, password: str, present_hash: str | None) -> bool:
        """A hash of an unknown scheme fits nothing, and is as much work as one that is known."""
        if present_hash and present_hash.startswith(_BCRYPT_PREFIXES):
            return _bcrypt_matches(password, present_hash)
        known = present_hash if present_hash and present_hash.startswith("$argon2id$") else None
        try:
            self._hasher.verify(known or self._nobody, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError, UnicodeEncodeError):
            return False
        return known is not None


def _give_way() -> None:
    """The calling thread, and those that it starts, get the processor when nobody else in this process wants it.

    Otherwise wrong passwords, of which anybody may send many, would take it from those who are answered at once. Linux
    alone has a priority of each thread (`man 2 setpriority`).
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)


def _bcrypt_matches(password: str, present_hash: str) -> bool:
    encoded = password.encode("utf-8", "surrogatepass")
    try:
        return len(encoded) <= _BCRYPT_MAX_BYTES and bcrypt.checkpw(encoded, present_hash.encode("ascii"))
    except ValueError:
        return False
