"""What the replicas of access are asked, one by one: how far their policy has come."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp

from berth.api.names import PATH_POLICY_REVISION

_TIMEOUT: Final = aiohttp.ClientTimeout(total=3)  # seconds; for two of them a replica waits for its watches
_ANSWER_LIMIT: Final = 64 * 1024  # bytes


class AccessReplicas:
    """Asks replicas by their pods' addresses. `service_token` reads the present ServiceAccount token."""

    def __init__(self, session: aiohttp.ClientSession, service_token: Callable[[], str]) -> None:
        self._session = session
        self._service_token = service_token

    async def __call__(self, address: str, port: int, wanted: Mapping[str, int]) -> Mapping[str, int] | None:
        """How far the replica has come, by plural of the kind; None when it gives no such answer."""
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
                return _versions(json.loads(await response.content.read(_ANSWER_LIMIT)))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None


def _versions(document: Any) -> Mapping[str, int] | None:
    seen = document.get("resourceVersions") if isinstance(document, dict) else None
    if not isinstance(seen, dict) or not all(isinstance(version, int) for version in seen.values()):
        return None
    return seen
