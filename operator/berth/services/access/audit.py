"""The audit log: one JSON line for each decision, with who, what, why and from where, and with no secret.

What a client may choose freely (its name, what it asks for, what it calls itself) stands in JSON strings alone, in
ASCII, so that it can neither begin a line nor end one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from berth.access.model import Identity
from berth.api.reasons import Reason
from berth.services.access.door import Caller


class Logger(Protocol):
    """What the audit log needs of a structlog logger."""

    def info(self, event: str, **fields: Any) -> Any:
        """Write one line."""
        ...


class AuditLog:
    """Writes decisions. `logger` is a structlog logger that renders JSON."""

    def __init__(self, logger: Logger) -> None:
        self._log = logger

    def decided(
        self,
        endpoint: str,
        identity: Identity,
        *,
        action: str,
        repository: str,
        allowed: bool,
        reason: Reason | str | None,
        caller: Caller,
        generation: int,
    ) -> None:
        """One decision on one repository."""
        self._log.info(
            "decision",
            endpoint=endpoint,
            **_who(identity),
            action=action,
            repository=repository,
            allowed=allowed,
            reason=str(reason) if reason else None,
            **_whence(caller),
            generation=generation,
        )

    def token_issued(
        self,
        identity: Identity,
        *,
        granted: Sequence[str],
        asked: Sequence[str],
        failure: Reason | None,
        caller: Caller,
        generation: int,
    ) -> None:
        """One token: what was asked for and what it grants, as scopes. With a failure it only carries the refusal."""
        self._log.info(
            "token",
            endpoint="token",
            **_who(identity),
            action="token",
            repository=" ".join(asked),
            granted=" ".join(granted),
            allowed=failure is None,
            reason=failure.value if failure else None,
            **_whence(caller),
            generation=generation,
        )


def _who(identity: Identity) -> dict[str, str]:
    """`token` is the name of the AccessToken object, never anything of its secret."""
    return {"who": identity.name, "credential": identity.credential.value, "token": identity.token}


def _whence(caller: Caller) -> dict[str, str]:
    return {"client": caller.agent, "address": caller.address}
