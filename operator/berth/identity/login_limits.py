"""How often wrong passwords may be tried: for each account and source, so that nobody locks anybody else out.

Failures count, successes do not. What is being tried at this moment counts as if it failed, equal passwords once, so
that many tries at the same time are no way around; and one source has only a part of the verifications for itself.
Names and addresses are kept as keyed digests. Why no library: docs/adr/0006-login-limits.md.
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
_CAPACITY: Final = 20_000
"""Accounts with failures that are remembered. Beyond them the one that failed least recently is forgotten: so many
failures take longer to make, at the speed at which passwords are verified, than is gained by forgetting one."""
_FROM_ONE_SOURCE: Final = 16  # different passwords verified at the same time
_IPV6_NETWORK: Final = 64  # bits that one customer has to himself (RFC 6177)


class TooManyAttemptsError(Exception):
    """This account has failed too often from this source. `retry_after` is in whole seconds, at least 1."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("too many failed logins")
        self.retry_after = max(1, math.ceil(retry_after))


@dataclass(slots=True)
class Attempt:
    """One try. Whoever makes it says when it has failed."""

    failed: bool = False


@dataclass(slots=True)
class _Running:
    """Tries that are under way, by fingerprint of the password."""

    of_account: dict[bytes, Counter[bytes]] = field(default_factory=dict)
    of_source: Counter[bytes] = field(default_factory=Counter)


class LoginLimits:
    """Counts failures in moving windows. `limits` are pairs of a number and the seconds in which it is allowed."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        limits: Sequence[tuple[int, float]] = ((10, MINUTE), (100, HOUR)),
        capacity: int = _CAPACITY,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._monotonic = monotonic
        self._limits = tuple(limits)
        self._longest = max(seconds for _, seconds in limits)
        self._most = max(number for number, _ in limits)
        self._capacity = capacity
        self._salt = random_bytes(32)
        self._failures: OrderedDict[bytes, deque[float]] = OrderedDict()  # the account that failed last is the last
        self._running = _Running()

    @property
    def remembered(self) -> int:
        """Accounts whose failures are remembered."""
        return len(self._failures)

    @contextlib.contextmanager
    def trying(self, account: str, source: str, password: str) -> Iterator[Attempt]:
        """A try of this password. Raises TooManyAttempts, without remembering it, when there were too many."""
        place = _network(source)
        key, origin = self._digest(account, place), self._digest(place)
        fingerprint = self._digest(password)
        self._admit(key, origin, fingerprint)
        attempt = Attempt()
        with self._counted(key, origin, fingerprint):
            yield attempt
        if attempt.failed:
            self._remember(key)

    @contextlib.contextmanager
    def _counted(self, key: bytes, origin: bytes, fingerprint: bytes) -> Iterator[None]:
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

    def _admit(self, key: bytes, origin: bytes, fingerprint: bytes) -> None:
        failures = self._failures.get(key, deque())
        now = self._monotonic()
        running = sum(1 for other in self._running.of_account.get(key, ()) if other != fingerprint)
        for number, seconds in self._limits:
            recent = [moment for moment in failures if moment > now - seconds]
            if len(recent) >= number:
                raise TooManyAttemptsError(recent[-number] + seconds - now)
            if len(recent) + running >= number:
                raise TooManyAttemptsError(1)
        known = fingerprint in self._running.of_account.get(key, ())
        if not known and self._running.of_source[origin] >= _FROM_ONE_SOURCE:
            raise TooManyAttemptsError(1)

    def _remember(self, key: bytes) -> None:
        now = self._monotonic()
        failures = self._failures.setdefault(key, deque(maxlen=self._most))
        failures.append(now)
        self._failures.move_to_end(key)
        while self._failures:
            oldest = next(iter(self._failures.values()))
            if len(self._failures) <= self._capacity and oldest[-1] > now - self._longest:
                return
            self._failures.popitem(last=False)

    def _digest(self, *parts: str) -> bytes:
        digest = hashlib.blake2b(key=self._salt, digest_size=16)
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.digest()


def _network(source: str) -> str:
    """An IPv6 source is the network that its customer may choose addresses from."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ipaddress.ip_network((int(address), _IPV6_NETWORK), strict=False))
    return str(address)


def _count_down(counter: Counter[bytes], key: bytes) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
