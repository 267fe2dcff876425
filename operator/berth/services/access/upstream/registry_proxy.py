"""Forwards writes to the projects' registries, byte for byte.

They carry the client's own token. The registry verifies that token itself, so this service needs no permission of its
own there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
import structlog
from yarl import URL

from berth.services.access.http.messages import Response
from berth.services.access.upstream.ports import RegistryUnreachableError

_TIMEOUT: Final = aiohttp.ClientTimeout(total=120, sock_connect=5)  # seconds; the registry may be on slow storage
# Headers about one connection (RFC 9110, 7.6.1) or about the encoding of its body.
_NOT_FORWARDED: Final = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class RegistryProxy:
    """Calls registries at the address `base(project)` (`http://host:port`)."""

    def __init__(self, session: aiohttp.ClientSession, *, base: Callable[[str], str]) -> None:
        self._session = session
        self._base = base
        self._log = structlog.get_logger("berth.access.registry")

    async def forward(
        self, project: str, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response:
        """Forward a request and return the response.

        Raises RegistryUnreachableError when there is none.
        """
        try:
            async with self._session.request(
                method,
                URL(self._base(project) + target, encoded=True),
                headers=dict(headers),
                data=body,
                timeout=_TIMEOUT,
                allow_redirects=False,
                skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
            ) as response:
                forwarded = [
                    (name.lower(), value)
                    for name, value in response.headers.items()
                    if name.lower() not in _NOT_FORWARDED
                ]
                return Response(response.status, tuple(forwarded), await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._log.warning("a registry does not respond", project=project, method=method, error=type(error).__name__)
            # Without a connection, the registry has not received the request.
            raise RegistryUnreachableError(untouched=isinstance(error, aiohttp.ClientConnectorError)) from error
