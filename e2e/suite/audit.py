"""The API server's audit log: what each user wrote, and when."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from e2e.suite.world import now

WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})


class AuditLog:
    """The writes that are logged from now on; each line is read once. Reads do not count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened = now()
        self._position = path.stat().st_size
        self._writes: list[dict[str, Any]] = []

    def writes(self, user: str, since: datetime) -> list[dict[str, Any]]:
        """The writes of a user that the API server received from then on."""
        self._read_on()
        return [event for event in self._writes if event["user"]["username"] == user and _received(event) >= since]

    def last_write(self, user: str) -> datetime:
        """When the user's last write was received; when the log was opened, if there is none."""
        return max((_received(event) for event in self.writes(user, self._opened)), default=self._opened)

    def _read_on(self) -> None:
        if self._path.stat().st_size < self._position:  # the API server has begun another file
            self._position = 0
        with self._path.open("rb") as log:
            log.seek(self._position)
            whole, end, _ = log.read().rpartition(b"\n")
        self._position += len(whole) + len(end)
        for line in whole.splitlines():
            event = json.loads(line)
            if event["stage"] == "ResponseComplete" and event["verb"] in WRITES:
                self._writes.append(event)


def _received(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["requestReceivedTimestamp"])
