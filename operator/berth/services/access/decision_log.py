"""Records decisions: a line in the audit log, and a count of refusals."""

from __future__ import annotations

from berth.api.reasons import Reason
from berth.authz.model import Identity
from berth.identity.gateway_caller import Caller
from berth.services.access.audit import AuditLog, PreparedLine
from berth.services.access.metrics import CHALLENGE, AccessMetrics


class DecisionLog:
    """Records the decisions of one endpoint, which is named in each line and count."""

    def __init__(self, audit: AuditLog, metrics: AccessMetrics, *, endpoint: str) -> None:
        self._audit = audit
        self._metrics = metrics
        self._endpoint = endpoint

    def record(
        self,
        identity: Identity,
        caller: Caller,
        *,
        action: str,
        repository: str,
        generation: int,
        allowed: bool,
        reason: Reason | None = None,
    ) -> None:
        """Record one decision. A refusal without a reason is a challenge."""
        line = self._audit.decision(
            self._endpoint,
            identity,
            action=action,
            repository=repository,
            allowed=allowed,
            reason=reason if allowed or reason is not None else CHALLENGE,
            generation=generation,
        )
        self._audit.write(line, caller)
        if not allowed:
            self._metrics.count_refusal(self._endpoint, reason)

    def prepare(
        self,
        identity: Identity,
        *,
        action: str,
        repository: str,
        generation: int,
        allowed: bool = True,
        reason: Reason | None = None,
    ) -> PreparedLine:
        """The line of a decision that is going to be repeated."""
        return self._audit.decision(
            self._endpoint,
            identity,
            action=action,
            repository=repository,
            allowed=allowed,
            reason=reason,
            generation=generation,
        )

    def prepare_token(
        self, identity: Identity, *, granted: str, requested: str, failure: Reason | None, generation: int
    ) -> PreparedLine:
        """The line of a token.

        Scopes are separated by spaces; `failure` is the reason for which the token grants nothing.
        """
        return self._audit.token(identity, granted=granted, requested=requested, failure=failure, generation=generation)

    def repeat(self, line: PreparedLine, caller: Caller, *, failure: Reason | None = None) -> None:
        """Record a prepared decision for this caller; `failure` makes it a refusal."""
        self._audit.write(line, caller)
        if failure is not None:
            self._metrics.count_refusal(self._endpoint, failure)
