"""When each `AccessToken` was last used, written into its status.

To the hour and no finer, so that every replica writes the same value and a token costs at most one write in an hour,
however many use it. A write names the version of the object that it was decided on: of two replicas one is refused
and looks again, and no older time ever replaces a newer one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from pydantic import ValidationError

from berth.api.base import rfc3339
from berth.api.token import AccessToken
from berth.kube.errors import ConflictError, KubeError, UnavailableError
from berth.kube.resources import ACCESS_TOKENS, Manifest

FIELD_MANAGER: Final = "berth-access"
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAUSE: Final = 5.0  # seconds between two rounds of writes

Write = Callable[[Mapping[str, Any]], Awaitable[Manifest]]
"""Applies an AccessToken's status and answers the object as it is then. Raises KubeError."""


class LastUse:
    """Notes uses (at once, in memory) and writes them as a task: `run` it.

    `present` gives an object by its name as it is known here, `observe` takes the answer to a write.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        present: Callable[[str], Manifest | None],
        write: Write,
        observe: Callable[[Manifest], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now = now
        self._present = present
        self._write = write
        self._observe = observe
        self._sleep = sleep
        self._hour = _NEVER
        self._noted: set[str] = set()  # tokens whose use in this hour is written, or about to be
        self._waiting: dict[str, datetime] = {}
        self._work = asyncio.Event()
        self._log = structlog.get_logger("berth.access.lastuse")

    def used(self, name: str) -> None:
        """Somebody has logged in with the token of this name."""
        hour = self._now().replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._hour, self._noted = hour, set()
        if name not in self._noted:
            self._noted.add(name)
            self._waiting[name] = hour
            self._work.set()

    async def run(self) -> None:
        """Write what is noted, for ever. Ends by cancellation alone."""
        while True:
            await self._work.wait()
            self._work.clear()
            await self.flush()
            await self._sleep(_PAUSE)

    async def flush(self) -> None:
        """Write what waits. While the API server does not answer, it goes on waiting; what it refuses is given up,
        so that no token stands in the way of the others.
        """
        for name, hour in list(self._waiting.items()):
            try:
                await self._record(name, hour)
            except ConflictError:
                self._work.set()
                continue
            except UnavailableError:
                self._work.set()
                return
            except KubeError as error:
                self._log.warning("the last use of a token could not be written", token=name, error=str(error))
            if self._waiting.get(name) == hour:
                del self._waiting[name]

    async def _record(self, name: str, hour: datetime) -> None:
        found = self._present(name)
        if found is None or _last_used(found) >= hour:
            return
        metadata = {key: found["metadata"][key] for key in ("name", "uid", "resourceVersion")}
        status = {"lastUsed": rfc3339(hour)}
        self._observe(
            await self._write(
                {
                    "apiVersion": ACCESS_TOKENS.api_version,
                    "kind": ACCESS_TOKENS.kind,
                    "metadata": metadata,
                    "status": status,
                }
            )
        )


def _last_used(manifest: Manifest) -> datetime:
    try:
        last_used = AccessToken.model_validate(manifest).status.last_used
    except ValidationError:
        last_used = None
    return last_used or _NEVER
