"""Client of the catalog: writes and their results, content, referrers.

Each call is retried for as long as a write may wait, because a push that the catalog cannot record is refused.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import structlog
import tenacity

from berth.services.access.upstream.ports import CatalogUnavailableError, WriteIntent

_ATTEMPT_SECONDS: Final = 3.0
_RETRY_STATUSES: Final = frozenset({401, 408, 425, 429})


class _RetryableError(Exception):
    """An attempt failed, and the next one may succeed."""


class CatalogClient:
    """Calls one catalog.

    `read_token` returns the present ServiceAccount token and may raise OSError. `patience` is the time in seconds after
    which a call raises CatalogUnavailableError.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        base_url: str,
        read_token: Callable[[], str],
        patience: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._session = session
        self._base = base_url.rstrip("/")
        self._read_token = read_token
        self._patience = patience
        self._sleep = sleep
        self._log = structlog.get_logger("berth.access.catalog")

    async def announce(self, intent: WriteIntent) -> str:
        """Record that a write begins, and return its id."""
        body = {
            "kind": intent.kind,
            "project": intent.project,
            "repository": intent.repository,
            "reference": intent.reference,
            "digest": intent.digest,
            "mediaType": intent.media_type,
            "by": intent.by,
            "client": intent.client,
        }
        document = await self._call("POST", "/v1/writes", body)
        write_id = document.get("id")
        if not isinstance(write_id, str | int) or not str(write_id):
            raise CatalogUnavailableError("the catalog returned no id")
        return str(write_id)

    async def commit(self, write_id: str, manifest: bytes | None) -> None:
        """Record that the registry has carried out a write.

        `manifest` holds the bytes of a push.
        """
        body = {} if manifest is None else {"manifest": base64.b64encode(manifest).decode("ascii")}
        await self._call("POST", f"/v1/writes/{quote(write_id, safe='')}/commit", body)

    async def abandon(self, write_id: str) -> None:
        """Record that the registry has not carried out a write."""
        await self._call("POST", f"/v1/writes/{quote(write_id, safe='')}/abandon", {})

    async def referrers(self, project: str, repository: str, digest: str) -> Sequence[Mapping[str, Any]]:
        """OCI descriptors of the manifests whose subject is this digest."""
        document = await self._call("GET", f"/v1/projects/{project}/repositories/{repository}/referrers/{digest}", None)
        found = document.get("referrers")
        return found if isinstance(found, list) else []

    async def has_content(self, project: str, repository: str) -> bool:
        """Whether the repository holds a manifest.

        Tried once, because a pull waits for it.
        """
        try:
            document = await self._attempt("GET", f"/v1/projects/{project}/repositories/{repository}/content", None)
        except _RetryableError as error:
            raise CatalogUnavailableError("the catalog does not respond") from error
        return document.get("content") is True

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_RetryableError),
            stop=tenacity.stop_after_delay(self._patience),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=1.0),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return await asyncio.wait_for(attempts(self._attempt, method, path, body), self._patience + 1.0)
        except (_RetryableError, TimeoutError) as error:
            self._log.warning("the catalog does not respond", method=method, error=str(error))
            raise CatalogUnavailableError("the catalog does not respond") from error

    async def _attempt(self, method: str, path: str, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
        timeout = aiohttp.ClientTimeout(total=min(_ATTEMPT_SECONDS, self._patience))
        try:
            headers = {"authorization": f"Bearer {self._read_token()}"}
            async with self._session.request(
                method, self._base + path, json=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status >= 500 or response.status in _RETRY_STATUSES:
                    raise _RetryableError(f"status {response.status}")
                if response.status >= 300:
                    self._log.error("the catalog refused a call", method=method, status=response.status)
                    raise CatalogUnavailableError(f"the catalog responded with status {response.status}")
                document = await response.json()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _RetryableError(type(error).__name__) from error
        return document if isinstance(document, dict) else {}
