"""The audit log: one JSON line for each decision, with who, what, why and from where, and with no secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from berth.access.model import Identity
from berth.api.reasons import Reason


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
        client: str,
        generation: int,
    ) -> None:
        """One decision on one repository. `client` is an address, empty when no gateway vouches for it."""
        self._log.info(
            "decision",
            endpoint=endpoint,
            who=identity.name,
            credential=identity.credential.value,
            action=action,
            repository=repository,
            allowed=allowed,
            reason=str(reason) if reason else None,
            client=client,
            generation=generation,
        )

    def token_issued(
        self, identity: Identity, *, granted: Sequence[str], asked: Sequence[str], client: str, generation: int
    ) -> None:
        """One token: what was asked for and what it grants, as scopes."""
        self._log.info(
            "token",
            endpoint="token",
            who=identity.name,
            credential=identity.credential.value,
            action="token",
            repository=" ".join(asked),
            granted=" ".join(granted),
            allowed=identity.failure is None,
            reason=identity.failure.value if identity.failure else None,
            client=client,
            generation=generation,
        )
