"""Who stands at the door: the gateway, proved by its ServiceAccount token, and nobody else in its name."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Final

from berth.api.names import AUDIENCE_ACCESS
from berth.identity.service_account import NOBODY, Holder, ServiceAccountTokenError, ServiceAccountVerifier
from berth.runtime.bounded_cache import BoundedCache

GATEWAY_TOKEN: Final = "berth-gateway-token"
_LONGEST_AGENT: Final = 200
_LONGEST_REQUEST_ID: Final = 64  # nginx makes 32 hexadecimal digits
_CACHED_ADDRESSES: Final = 1000
_CACHED_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from. All are empty when nothing trustworthy says it."""

    address: str = ""  # the client's IP address, as the gateway vouches for it
    agent: str = ""  # what the client calls itself; anything may stand there
    request_id: str = ""  # under which the gateway has the request in its own log


UNKNOWN_CALLER: Final = Caller()


@dataclass(frozen=True, slots=True)
class _Recognized:
    """The gateway's token that came last, so that the next request with it takes no digest."""

    token: str = field(repr=False)
    holder: Holder


class GatewayAuthenticator:
    """Recognizes calls of the gateway. `accounts` are its ServiceAccounts, as `namespace/name`.

    `trusted_hops` is the number of proxies between clients and gateway that append to X-Forwarded-For.
    """

    def __init__(self, *, verifier: ServiceAccountVerifier, accounts: frozenset[str], trusted_hops: int = 0) -> None:
        self._verifier = verifier
        self._accounts = accounts
        self._trusted_hops = trusted_hops
        self._last = _Recognized("", NOBODY)
        # By X-Forwarded-For: parsing one takes longer than finding it here.
        self._addresses: BoundedCache[str, str] = BoundedCache(max_entries=_CACHED_ADDRESSES, max_bytes=_CACHED_BYTES)

    def authenticate(self, headers: Mapping[str, str]) -> Caller | Awaitable[Caller]:
        """The caller behind a call of the gateway: at once for a token that was verified before and still holds.

        Otherwise an awaitable that verifies it. It raises ServiceAccountTokenError, with one sentence, for a call that
        is not the gateway's.
        """
        token = headers.get(GATEWAY_TOKEN, "")
        known = self._last
        if token != known.token or not self._verifier.holds(known.holder):
            holder = self._verifier.remembered(token, AUDIENCE_ACCESS) if token else None
            if holder is None or holder.account not in self._accounts:
                return self._verified(token, headers)
            self._last = _Recognized(token, holder)
        return self._caller(headers)

    def identify(self, headers: Mapping[str, str]) -> Caller | Awaitable[Caller]:
        """Like `authenticate`, with UNKNOWN_CALLER for a call that is not the gateway's."""
        if not headers.get(GATEWAY_TOKEN):
            return UNKNOWN_CALLER
        caller = self.authenticate(headers)
        return caller if isinstance(caller, Caller) else _or_unknown(caller)

    async def identified(self, headers: Mapping[str, str]) -> Caller:
        """The result of `identify`, awaited where that is needed."""
        caller = self.identify(headers)
        return caller if isinstance(caller, Caller) else await caller

    async def _verified(self, token: str, headers: Mapping[str, str]) -> Caller:
        if not token:
            raise ServiceAccountTokenError(
                "Only the gateway may call this: send its ServiceAccount token in the header Berth-Gateway-Token."
            )
        account = await self._verifier.verify(token, AUDIENCE_ACCESS)
        if account not in self._accounts:
            raise ServiceAccountTokenError(
                f"The ServiceAccount {account} is not the gateway; only the gateway may call this."
            )
        return self._caller(headers)

    def _caller(self, headers: Mapping[str, str]) -> Caller:
        forwarded_for = headers.get("x-forwarded-for", "")
        address = self._addresses.get(forwarded_for)
        if address is None:
            address = client_address(forwarded_for, self._trusted_hops)
            self._addresses.put(forwarded_for, address)
        return Caller(
            address,
            headers.get("user-agent", "")[:_LONGEST_AGENT],
            headers.get("x-request-id", "")[:_LONGEST_REQUEST_ID],
        )


async def _or_unknown(caller: Awaitable[Caller]) -> Caller:
    try:
        return await caller
    except ServiceAccountTokenError:
        return UNKNOWN_CALLER


def client_address(forwarded_for: str, trusted_hops: int) -> str:
    """The client's address in the X-Forwarded-For that the gateway sent on; empty when no address stands there.

    The gateway wrote the last entry and each trusted proxy before it one more; whatever stands before those is the
    client's own invention. With fewer entries than that, a request has gone around a proxy: the first one counts.
    """
    entries = forwarded_for.split(",")
    entry = entries[max(len(entries) - 1 - trusted_hops, 0)].strip()
    try:
        return str(ipaddress.ip_address(entry))
    except ValueError:
        return ""
