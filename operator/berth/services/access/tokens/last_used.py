"""Writes the time of the last use of each `AccessToken` into its status.

To the hour and no finer, so that every replica writes the same value and a token costs at most one write in an hour.
A write carries the resourceVersion of the object that it is based on: of two replicas that write at the same time one
gets a conflict and retries, so an older time never replaces a newer one.
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
_WRITE_INTERVAL_SECONDS: Final = 5.0

Write = Callable[[Mapping[str, Any]], Awaitable[Manifest]]
"""Applies an AccessToken's status and returns the resulting object. Raises KubeError."""


class LastUse:
    """Records uses in memory at once, and writes them in the task `run`.

    `present` returns an object by its name from the watch cache, `observe` adds the result of a write to that cache.
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
        self._recorded: set[str] = set()  # tokens whose use in this hour is written, or queued
        self._queued: dict[str, datetime] = {}
        self._wake = asyncio.Event()
        self._log = structlog.get_logger("berth.access.lastuse")

    def used(self, name: str) -> None:
        """Record a login with the token of this name."""
        hour = self._now().replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._hour, self._recorded = hour, set()
        if name not in self._recorded:
            self._recorded.add(name)
            self._queued[name] = hour
            self._wake.set()

    async def run(self) -> None:
        """Write recorded uses until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()
            await self._sleep(_WRITE_INTERVAL_SECONDS)

    async def flush(self) -> None:
        """Write queued uses.

        They stay queued while the API server does not respond. A use that it refuses is dropped, so that it does not
        delay other tokens.
        """
        for name, hour in list(self._queued.items()):
            try:
                await self._write_use(name, hour)
            except ConflictError:
                self._wake.set()
                continue
            except UnavailableError:
                self._wake.set()
                return
            except KubeError as error:
                self._log.warning("last use of a token could not be written", token=name, error=str(error))
            if self._queued.get(name) == hour:
                del self._queued[name]

    async def _write_use(self, name: str, hour: datetime) -> None:
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
