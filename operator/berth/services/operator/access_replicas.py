"""Policy revisions of the replicas of access, one request each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp

from berth.api.names import PATH_POLICY_REVISION

_TIMEOUT: Final = aiohttp.ClientTimeout(total=3)  # seconds; a replica waits for its watches for two of them
_RESPONSE_LIMIT: Final = 64 * 1024  # bytes


class AccessReplicas:
    """Requests revisions by the addresses of pods. `service_token` reads the present ServiceAccount token."""

    def __init__(self, session: aiohttp.ClientSession, service_token: Callable[[], str]) -> None:
        self._session = session
        self._service_token = service_token

    async def __call__(self, address: str, port: int, wanted: Mapping[str, int]) -> Mapping[str, int] | None:
        """The resource versions that the replica has, by plural of the kind; None without a valid response."""
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._session.get(
                f"http://{host}:{port}{PATH_POLICY_REVISION}",
                params=dict(wanted),
                headers={"Authorization": f"Bearer {self._service_token()}"},
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    return None
                return _resource_versions(json.loads(await response.content.read(_RESPONSE_LIMIT)))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None


def _resource_versions(document: Any) -> Mapping[str, int] | None:
    versions = document.get("resourceVersions") if isinstance(document, dict) else None
    if not isinstance(versions, dict) or not all(isinstance(version, int) for version in versions.values()):
        return None
    return versions
