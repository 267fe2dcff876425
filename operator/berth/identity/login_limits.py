"""Rate limits of failed logins for each pair of account and source, so that no source can lock out another.

Failures count, successes do not. A running attempt counts as a failure, equal passwords once, so that concurrent
attempts cannot exceed a limit. One source can only use a part of the concurrent verifications. Names and addresses are
stored as keyed digests. Why no library: docs/adr/0006-login-limits.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import math
import os
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 3600.0
_MAX_ACCOUNTS: Final = 20_000
"""Accounts whose failures are stored. Beyond that the account that failed least recently is evicted. At the speed of
password verification, causing so many failures takes longer than evicting one account gains."""
_MAX_RUNNING_PER_SOURCE: Final = 16  # different passwords
_IPV6_PREFIX: Final = 64  # bits of the network of one customer (RFC 6177)


class TooManyAttemptsError(Exception):
    """Too many failed logins of an account from a source. `retry_after` is in whole seconds, at least 1."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("too many failed logins")
        self.retry_after = max(1, math.ceil(retry_after))


@dataclass(slots=True)
class Attempt:
    """A running login. The caller sets `failed`."""

    failed: bool = False


@dataclass(slots=True)
class _Running:
    """Running attempts, by fingerprint of the password."""

    of_account: dict[bytes, Counter[bytes]] = field(default_factory=dict)
    of_source: Counter[bytes] = field(default_factory=Counter)


class LoginLimits:
    """Counts failures in sliding windows. `limits` are pairs of a number and the seconds of its window."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        limits: Sequence[tuple[int, float]] = ((10, MINUTE), (100, HOUR)),
        capacity: int = _MAX_ACCOUNTS,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._monotonic = monotonic
        self._limits = tuple(limits)
        self._longest_window = max(seconds for _, seconds in limits)
        self._largest_limit = max(number for number, _ in limits)
        self._capacity = capacity
        self._salt = random_bytes(32)
        self._failures: OrderedDict[bytes, deque[float]] = OrderedDict()  # the account that failed last comes last
        self._running = _Running()

    @property
    def tracked_accounts(self) -> int:
        """The number of accounts with stored failures."""
        return len(self._failures)

    @contextlib.contextmanager
    def attempt(self, account: str, source: str, password: str) -> Iterator[Attempt]:
        """Limit one login. Raises TooManyAttemptsError, which does not count as a failure."""
        network = _network(source)
        key, origin = self._digest(account, network), self._digest(network)
        fingerprint = self._digest(password)
        self._check_limits(key, origin, fingerprint)
        attempt = Attempt()
        with self._count_running(key, origin, fingerprint):
            yield attempt
        if attempt.failed:
            self._record_failure(key)

    @contextlib.contextmanager
    def _count_running(self, key: bytes, origin: bytes, fingerprint: bytes) -> Iterator[None]:
        running, sources = self._running.of_account.setdefault(key, Counter()), self._running.of_source
        if fingerprint not in running:
            sources[origin] += 1
        running[fingerprint] += 1
        try:
            yield
        finally:
            _count_down(running, fingerprint)
            if fingerprint not in running:
                _count_down(sources, origin)
            if not running:
                self._running.of_account.pop(key, None)

    def _check_limits(self, key: bytes, origin: bytes, fingerprint: bytes) -> None:
        failures = self._failures.get(key, deque())
        now = self._monotonic()
        running = sum(1 for other in self._running.of_account.get(key, ()) if other != fingerprint)
        for number, seconds in self._limits:
            recent = [moment for moment in failures if moment > now - seconds]
            if len(recent) >= number:
                raise TooManyAttemptsError(recent[-number] + seconds - now)
            if len(recent) + running >= number:
                raise TooManyAttemptsError(1)
        is_running = fingerprint in self._running.of_account.get(key, ())
        if not is_running and self._running.of_source[origin] >= _MAX_RUNNING_PER_SOURCE:
            raise TooManyAttemptsError(1)

    def _record_failure(self, key: bytes) -> None:
        now = self._monotonic()
        failures = self._failures.setdefault(key, deque(maxlen=self._largest_limit))
        failures.append(now)
        self._failures.move_to_end(key)
        while self._failures:
            oldest = next(iter(self._failures.values()))
            if len(self._failures) <= self._capacity and oldest[-1] > now - self._longest_window:
                return
            self._failures.popitem(last=False)

    def _digest(self, *parts: str) -> bytes:
        digest = hashlib.blake2b(key=self._salt, digest_size=16)
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.digest()


def _network(source: str) -> str:
    """The source of an address: for IPv6 its network, because a customer has all of its addresses."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ipaddress.ip_network((int(address), _IPV6_PREFIX), strict=False))
    return str(address)


def _count_down(counter: Counter[bytes], key: bytes) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
