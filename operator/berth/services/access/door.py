"""Who stands at the door: the gateway, proved by its ServiceAccount token, and nobody else in its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from berth.api.names import AUDIENCE_ACCESS
from berth.services.serviceaccount import NotServed, ServiceAccountVerifier

GATEWAY_TOKEN: Final = "berth-gateway-token"


class GatewayDoor:
    """Recognizes calls of the gateway. `accounts` are its ServiceAccounts, as `namespace/name`."""

    def __init__(self, *, verifier: ServiceAccountVerifier, accounts: frozenset[str]) -> None:
        self._verifier = verifier
        self._accounts = accounts

    async def admit(self, headers: Mapping[str, str]) -> None:
        """Raises NotServed, with one sentence, unless the call comes from the gateway."""
        token = headers.get(GATEWAY_TOKEN, "")
        if not token:
            raise NotServed(
                "Only the gateway may call this: send its ServiceAccount token in the header Berth-Gateway-Token."
            )
        account = await self._verifier.verify(token, AUDIENCE_ACCESS)
        if account not in self._accounts:
            raise NotServed(f"The ServiceAccount {account} is not the gateway; only the gateway may call this.")

    async def vouched_address(self, headers: Mapping[str, str]) -> str:
        """The client's address if this call comes from the gateway; empty on any other."""
        try:
            await self.admit(headers)
        except NotServed:
            return ""
        return client_address(headers)


def client_address(headers: Mapping[str, str]) -> str:
    """The client's address as the gateway saw it: the last of X-Forwarded-For. Believe it of the gateway alone."""
    return headers.get("x-forwarded-for", "").rpartition(",")[2].strip()[:64]
