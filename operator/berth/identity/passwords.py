"""Verification of passwords against argon2id and bcrypt hashes, off the event loop and bounded.

A verification takes tens of milliseconds by design. So a small pool of threads has a bounded queue, equal concurrent
requests share one verification, and matches are cached for a minute. The cache key is a salted digest of name, password
and present hash, so that a change of the user or the Secret takes effect at once.
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

MATCH_CACHED_SECONDS: Final = 60.0
_LOWEST_PRIORITY: Final = 19
_CACHED_MATCHES: Final = 10_000
_CACHED_BYTES: Final = 2 * 1024 * 1024
_BCRYPT_PREFIXES: Final = ("$2a$", "$2b$", "$2y$")
_BCRYPT_MAX_BYTES: Final = 72  # bcrypt ignores the rest


class TooBusyError(Exception):
    """The queue of verifications is full."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a verification, and its start by `monotonic`, after the wait for a thread."""

    matches: bool
    started_at: float


class PasswordVerifier:
    """A bounded pool of password verifications. `close` it at the end.

    `threads` run at the same time and `waiting` more can queue. `monotonic` is in seconds. `hasher` makes the dummy
    hash for unknown users.
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
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="password", initializer=_lower_priority)
        self._limit = threads + waiting
        self._salt = random_bytes(32)
        self._hasher = hasher or argon2.PasswordHasher()
        # Verified for unknown users, so that they take as long as known ones.
        self._dummy_hash = self._hasher.hash(random_bytes(32).hex())
        self._matches: BoundedCache[bytes, float] = BoundedCache(max_entries=_CACHED_MATCHES, max_bytes=_CACHED_BYTES)
        self._running: dict[bytes, asyncio.Future[Verification]] = {}

    def close(self) -> None:
        """Let running verifications end and start no others."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def verify(self, user: str, password: str, present_hash: str | None) -> Verification:
        """Verify a password against the user's present hash. None never matches and takes as long.

        Raises TooBusyError when the queue is full.
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
        # A disconnected client must not cancel a verification that others wait for.
        verification = await asyncio.shield(running)
        if verification.matches:
            self._matches.put(key, self._monotonic() + MATCH_CACHED_SECONDS)
        return verification

    def _key(self, user: str, password: str, present_hash: str) -> bytes:
        digest = hmac.new(self._salt, digestmod=hashlib.sha256)
        for part in (user, password, present_hash):
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.digest()

    def _verify(self, password: str, present_hash: str | None) -> Verification:
        """Runs in a thread of the pool."""
        started_at = self._monotonic()
        return Verification(self._matches_hash(password, present_hash), started_at)

    def _matches_hash(self, password: str, present_hash: str | None) -> bool:
        """Whether the password matches. A hash of an unknown scheme never matches and takes as long."""
        if present_hash and present_hash.startswith(_BCRYPT_PREFIXES):
            return _bcrypt_matches(password, present_hash)
        known = present_hash if present_hash and present_hash.startswith("$argon2id$") else None
        try:
            self._hasher.verify(known or self._dummy_hash, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError, UnicodeEncodeError):
            return False
        return known is not None


def _lower_priority() -> None:
    """Give the calling thread, and those that it starts, the lowest CPU priority.

    Otherwise wrong passwords, which anybody can send, would slow down requests that need no verification. Only Linux
    has a priority for each thread (`man 2 setpriority`).
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)


def _bcrypt_matches(password: str, present_hash: str) -> bool:
    encoded = password.encode("utf-8", "surrogatepass")
    try:
        return len(encoded) <= _BCRYPT_MAX_BYTES and bcrypt.checkpw(encoded, present_hash.encode("ascii"))
    except ValueError:
        return False
