"""The audit log: one JSON line for each decision, with who, what, why and from where, and with no secret.

What a client may choose freely (its name, what it asks for, what it calls itself) stands in JSON strings alone, in
ASCII, so that it can neither begin a line nor end one.
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
"""A line without its time, without whoever asked, and without its last brace."""


class AuditLog:
    """Writes decisions, each as a whole line, by `write`; `now` is the time in UTC.

    Lines have the form of all others of the process, and are made here, because one is made for each request.
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
        """The line of one decision on one repository; `prepared` writes it, as often as it is acted upon."""
        return self._prepared(
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
        self, identity: Identity, *, granted: str, asked: str, failure: Reason | None, generation: int
    ) -> PreparedLine:
        """The line of one token: what was asked for and what it grants, as scopes with spaces between them.

        With a failure it only carries the refusal. `prepared` writes it, as often as such a token is issued.
        """
        return self._prepared(
            "token",
            endpoint="token",
            **_who(identity),
            action="token",
            repository=asked,
            granted=granted,
            allowed=failure is None,
            reason=failure.value if failure else None,
            generation=generation,
        )

    def prepared(self, line: PreparedLine, caller: Caller) -> None:
        """Write a line that was prepared, now and for this caller."""
        stamp = self._now().isoformat().replace("+00:00", "Z")
        agent, address, request_id = map(encode_basestring_ascii, (caller.agent, caller.address, caller.request_id))
        whence = f'"client": {agent}, "address": {address}, "requestId": {request_id}'
        self._write(f'{line}, {whence}, "timestamp": "{stamp}"}}\n')

    def _prepared(self, event: str, **fields: Any) -> PreparedLine:
        line = {"message": event, "level": "info", "process": "access", "logger": "berth.audit", **fields}
        return PreparedLine(json.dumps(line)[:-1])


def _who(identity: Identity) -> dict[str, str]:
    """`token` is the name of the AccessToken object, never anything of its secret."""
    return {"who": identity.name, "credential": identity.credential.value, "token": identity.token}
