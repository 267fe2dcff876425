"""Authentication of calls from the gateway by its ServiceAccount token."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Final

from berth.api.names import AUDIENCE_ACCESS
from berth.identity.service_account import NO_ACCOUNT, ServiceAccountTokenError, ServiceAccountVerifier, VerifiedAccount
from berth.runtime.bounded_cache import BoundedCache

GATEWAY_TOKEN: Final = "berth-gateway-token"
_MAX_AGENT_LENGTH: Final = 200
_MAX_REQUEST_ID_LENGTH: Final = 64  # nginx makes 32 hexadecimal digits
_CACHED_ADDRESSES: Final = 1000
_CACHED_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Caller:
    """The origin of a request, as the gateway reports it; empty for calls that are not the gateway's."""

    address: str = ""  # the client's IP address
    agent: str = ""  # the client's User-Agent, an arbitrary text
    request_id: str = ""  # the request's id in the gateway's log


UNKNOWN_CALLER: Final = Caller()


@dataclass(frozen=True, slots=True)
class _LastToken:
    """The token of the last call, so that the next call with it needs no digest."""

    token: str = field(repr=False)
    account: VerifiedAccount


class GatewayAuthenticator:
    """Authenticates calls from the gateway by its ServiceAccount token.

    `accounts` are the gateway's ServiceAccounts, as `namespace/name`. `trusted_hops` is the number of proxies between
    clients and gateway that append to X-Forwarded-For.
    """

    def __init__(self, *, verifier: ServiceAccountVerifier, accounts: frozenset[str], trusted_hops: int = 0) -> None:
        self._verifier = verifier
        self._accounts = accounts
        self._trusted_hops = trusted_hops
        self._last = _LastToken("", NO_ACCOUNT)
        # By X-Forwarded-For: parsing one takes longer than finding it here.
        self._addresses: BoundedCache[str, str] = BoundedCache(max_entries=_CACHED_ADDRESSES, max_bytes=_CACHED_BYTES)

    def authenticate(self, headers: Mapping[str, str]) -> Caller | Awaitable[Caller]:
        """The caller behind a call from the gateway, or an awaitable of it while the token has to be verified first.

        The awaitable raises ServiceAccountTokenError for a call that is not from the gateway.
        """
        token = headers.get(GATEWAY_TOKEN, "")
        last = self._last
        if token != last.token or not self._verifier.is_current(last.account):
            cached = self._verifier.cached(token, AUDIENCE_ACCESS) if token else None
            if cached is None or cached.account not in self._accounts:
                return self._verified(token, headers)
            self._last = _LastToken(token, cached)
        return self._caller(headers)

    def identify(self, headers: Mapping[str, str]) -> Caller | Awaitable[Caller]:
        """Like `authenticate`, with UNKNOWN_CALLER for a call that is not from the gateway."""
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
            headers.get("user-agent", "")[:_MAX_AGENT_LENGTH],
            headers.get("x-request-id", "")[:_MAX_REQUEST_ID_LENGTH],
        )


async def _or_unknown(caller: Awaitable[Caller]) -> Caller:
    try:
        return await caller
    except ServiceAccountTokenError:
        return UNKNOWN_CALLER


def client_address(forwarded_for: str, trusted_hops: int) -> str:
    """The client's address in the X-Forwarded-For of the gateway; empty when it is no address.

    The gateway wrote the last entry, and each trusted proxy one entry before it. Earlier entries come from the client
    and are ignored. With fewer entries the request bypassed a proxy, and the first entry counts.
    """
    entries = forwarded_for.split(",")
    entry = entries[max(len(entries) - 1 - trusted_hops, 0)].strip()
    try:
        return str(ipaddress.ip_address(entry))
    except ValueError:
        return ""
