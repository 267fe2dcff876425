"""The audit log: one JSON line for each decision, without any secret.

Each says who did what from where, and why it was allowed or refused. What a client chooses freely (its name, its
scopes, its user agent) is inside ASCII JSON strings alone, so that it can neither begin a line nor end one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from json.encoder import encode_basestring_ascii
from typing import Any, NewType

from berth.api.reasons import Reason
from berth.authz.model import Identity
from berth.identity.gateway_caller import Caller

PreparedLine = NewType("PreparedLine", str)
"""The constant part of an audit line: everything but timestamp, client and closing brace."""


class AuditLog:
    """Writes decisions, each as a whole line, by `write`; `now` is the time in UTC.

    Lines have the form of the other logs of the process. They are built here for speed: each request has one.
    """

    def __init__(self, write: Callable[[str], object], *, now: Callable[[], datetime]) -> None:
        self._write = write
        self._now = now

    def decision(
        self,
        endpoint: str,
        identity: Identity,
        *,
        action: str,
        repository: str,
        allowed: bool,
        reason: Reason | str | None,
        generation: int,
    ) -> PreparedLine:
        """The line of one decision on one repository.

        `write` it each time the decision is applied.
        """
        return self._prepare(
            "decision",
            endpoint=endpoint,
            **_who(identity),
            action=action,
            repository=repository,
            allowed=allowed,
            reason=str(reason) if reason else None,
            generation=generation,
        )

    def token(
        self, identity: Identity, *, granted: str, requested: str, failure: Reason | None, generation: int
    ) -> PreparedLine:
        """The line of one token.

        Requested and granted scopes are separated by spaces. `failure`: the token grants nothing and carries this
        reason. `write` it each time such a token is issued.
        """
        return self._prepare(
            "token",
            endpoint="token",
            **_who(identity),
            action="token",
            repository=requested,
            granted=granted,
            allowed=failure is None,
            reason=failure.value if failure else None,
            generation=generation,
        )

    def write(self, line: PreparedLine, caller: Caller) -> None:
        """Write a prepared line, with the present time and this caller."""
        timestamp = self._now().isoformat().replace("+00:00", "Z")
        agent, address, request_id = map(encode_basestring_ascii, (caller.agent, caller.address, caller.request_id))
        client = f'"client": {agent}, "address": {address}, "requestId": {request_id}'
        self._write(f'{line}, {client}, "timestamp": "{timestamp}"}}\n')

    def _prepare(self, event: str, **fields: Any) -> PreparedLine:
        line = {"message": event, "level": "info", "process": "access", "logger": "berth.audit", **fields}
        return PreparedLine(json.dumps(line)[:-1])


def _who(identity: Identity) -> dict[str, str]:
    """The identity's fields.

    `token` is the name of the AccessToken object, never anything of its secret.
    """
    return {"who": identity.name, "credential": identity.credential.value, "token": identity.token}
