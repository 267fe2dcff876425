"""Reads the public keys of identity providers over HTTPS."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from berth.identity.jwks import FetchKeys
from berth.identity.oidc import oidc_keys
from berth.settings import OidcIssuer

_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)  # seconds; a login waits for it
_LARGEST: Final = 512 * 1024  # bytes of one document


def fetching_keys(session: aiohttp.ClientSession, issuer: OidcIssuer) -> FetchKeys:
    """The way to read this issuer's keys, trusting the CAs that it is configured with, or else the public ones."""

    async def get_json(url: str) -> Mapping[str, Any]:
        # Read anew each time, for a mounted bundle may be replaced.
        trust = ssl.create_default_context(cafile=str(issuer.ca_file) if issuer.ca_file else None)
        async with session.get(url, ssl=trust, timeout=_TIMEOUT, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            content = await response.content.read(_LARGEST + 1)
            while len(content) <= _LARGEST and (more := await response.content.read(_LARGEST + 1)):
                content += more
            if len(content) > _LARGEST:
                raise ValueError("the document is too large")
            document = json.loads(content)
        if not isinstance(document, dict):
            raise TypeError("the document is no JSON object")
        return document

    return oidc_keys(issuer, get_json)
