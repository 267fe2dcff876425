"""Client of one project's registry: list, inspect, and probe its storage.

Sources: OCI distribution spec 1.1; CNCF Distribution 3.1 (`registry/handlers`, `registry/storage/catalog.go`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from yarl import URL

from berth.api import names
from berth.oci.manifest import MEDIA_TYPES
from berth.registry.errors import RegistryError, RegistryRefusedError, RegistryUnavailableError
from berth.registry.token_source import TokenSource

PAGE_SIZE: Final = 1000
"""Names of one page; Distribution refuses more than `catalog.maxentries`, 1000 by default."""

PROBE_REPOSITORY: Final = "berth-probe"
"""Repository for write probes. It never has a manifest, so no list includes it."""

_PROBE: Final = b"Berth writes this to see whether the registry's storage takes writes.\n" * 64
_PROBE_DIGEST: Final = "sha256:" + hashlib.sha256(_PROBE).hexdigest()
_MAX_MANIFEST_BYTES: Final = 4 * 1024 * 1024  # as in Distribution
_MAX_RESPONSE_BYTES: Final = 16 * 1024 * 1024  # a page of names
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=5, sock_read=30)
_ACCEPT: Final = {"Accept": ", ".join(MEDIA_TYPES)}
_OCTETS: Final = {"Content-Type": "application/octet-stream"}
_DIGEST = re.compile(names.DIGEST_PATTERN)


@dataclass(frozen=True, slots=True)
class ManifestHead:
    """The headers of a manifest (HEAD)."""

    digest: str
    media_type: str
    size: int  # bytes of the manifest itself


@dataclass(frozen=True, slots=True)
class ManifestBody:
    """A manifest with its bytes."""

    digest: str
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    headers: Mapping[str, str]
    body: bytes


class RegistryClient:
    """One registry. `base_url` is its address without path; names are full (`project/path`).

    Every method raises RegistryUnavailableError without a usable response and RegistryRefusedError for a final refusal.
    """

    def __init__(self, session: aiohttp.ClientSession, base_url: str, tokens: TokenSource) -> None:
        self._session = session
        self._base = URL(base_url)
        self._tokens = tokens

    async def repositories(self, project: str) -> AsyncIterator[str]:
        """Full names of the project's repositories that hold, or ever held, a manifest."""
        # The catalog's scope names no project, so that of a repository beside it makes the token one for this registry.
        scopes = ("registry:catalog:*", _scope(f"{project}/{PROBE_REPOSITORY}", "pull"))
        async for name in self._pages("/v2/_catalog", "repositories", scopes):
            if name.startswith(f"{project}/"):
                yield name

    async def tags(self, name: str) -> AsyncIterator[str]:
        """Tags of a repository; none when it has no tags or does not exist."""
        async for tag in self._pages(f"/v2/{name}/tags/list", "tags", (_scope(name, "pull"),)):
            yield tag

    async def head_manifest(self, name: str, reference: str) -> ManifestHead | None:
        """The present manifest of a tag or digest; None when it does not exist."""
        response = await self._send("HEAD", _manifest(name, reference), (_scope(name, "pull"),), headers=_ACCEPT)
        if response.status == 404:
            return None
        self._expect(response, 200, f"HEAD of {name}:{reference}")
        digest = response.headers.get("Docker-Content-Digest", "")
        size = response.headers.get("Content-Length", "")
        if not _DIGEST.match(digest) or not size.isdigit():
            raise RegistryUnavailableError(
                f"The registry at {self._base} answered HEAD of {name}:{reference} incompletely."
            )
        return ManifestHead(digest, response.headers.get("Content-Type", ""), int(size))

    async def get_manifest(self, name: str, digest: str) -> ManifestBody | None:
        """A manifest by digest; None when it does not exist. Its bytes are verified."""
        response = await self._send("GET", _manifest(name, digest), (_scope(name, "pull"),), headers=_ACCEPT)
        if response.status == 404:
            return None
        self._expect(response, 200, f"GET of {name}@{digest}")
        algorithm = digest.partition(":")[0]
        if (
            len(response.body) > _MAX_MANIFEST_BYTES
            or f"{algorithm}:{hashlib.new(algorithm, response.body).hexdigest()}" != digest
        ):
            raise RegistryRefusedError(f"The registry at {self._base} returned other bytes than {name}@{digest}.")
        return ManifestBody(digest, response.headers.get("Content-Type", ""), response.body)

    async def probe_write(self, project: str) -> None:
        """Verify that the registry's storage accepts writes: upload a small blob and read it back.

        `/v2/` is not sufficient: it responds with 200 on a volume that refuses writes. No list includes the blob,
        because Distribution only lists repositories with manifests. The blob is always the same, so all probes take the
        space of one. (A cancelled upload would leak space: Distribution stores the state of its hash again after the
        cleanup, and never removes it.)
        """
        name = f"{project}/{PROBE_REPOSITORY}"
        scopes = (_scope(name, "pull", "push"),)
        started = await self._send("POST", f"/v2/{name}/blobs/uploads/", scopes)
        self._expect(started, 202, "the start of an upload")
        upload = self._location(started).update_query(digest=_PROBE_DIGEST)
        written = await self._send("PUT", str(upload), scopes, headers=_OCTETS, data=_PROBE)
        self._expect(written, 201, "the bytes of an upload")
        read = await self._send("GET", f"/v2/{name}/blobs/{_PROBE_DIGEST}", scopes)
        self._expect(read, 200, "GET of what was just uploaded")
        if read.body != _PROBE:
            raise RegistryUnavailableError(
                f"The registry at {self._base} returned other bytes than were just uploaded."
            )

    async def _pages(self, path: str, field: str, scopes: tuple[str, ...]) -> AsyncIterator[str]:
        last = ""
        while True:
            query = {"n": str(PAGE_SIZE), **({"last": last} if last else {})}
            response = await self._send("GET", str(URL(path).with_query(query)), scopes)
            if response.status == 404:
                return
            self._expect(response, 200, f"GET of {path}")
            page = self._names(response, field)
            for name in page:
                yield name
            # The link itself is not followed, because it could lead to any host.
            if not page or 'rel="next"' not in response.headers.get("Link", "") or page[-1] == last:
                return
            last = page[-1]

    def _names(self, response: _Response, field: str) -> list[str]:
        try:
            found = json.loads(response.body).get(field) or []
        except (ValueError, AttributeError):
            found = None
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise RegistryUnavailableError(f"The registry at {self._base} answered without a list of {field}.")
        return found

    def _location(self, response: _Response) -> URL:
        """Path and query of the Location header, without its host."""
        location = URL(response.headers.get("Location", ""), encoded=True)
        return URL.build(path=location.raw_path, query_string=location.raw_query_string, encoded=True)

    def _expect(self, response: _Response, status: int, what: str) -> None:
        if response.status == status:
            return
        kind = RegistryUnavailableError if response.status == 429 or response.status >= 500 else RegistryRefusedError
        details = _first_error(response.body)
        raise kind(
            f"The registry at {self._base} answered {what} with status {response.status}{details}.",
            status=response.status,
        )

    async def _send(
        self,
        method: str,
        target: str,
        scopes: tuple[str, ...],
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> _Response:
        response = await self._once(method, target, scopes, headers or {}, data)
        if response.status == 401:
            self._tokens.forget(scopes)
            response = await self._once(method, target, scopes, headers or {}, data)
        return response

    async def _once(
        self, method: str, target: str, scopes: tuple[str, ...], headers: Mapping[str, str], data: bytes | None
    ) -> _Response:
        token = await self._tokens.token(scopes)
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        url = self._base.join(URL(target, encoded=True))
        try:
            async with self._session.request(
                method, url, headers={**headers, **authorization}, data=data, timeout=_TIMEOUT, allow_redirects=False
            ) as reply:
                body = await _read(reply)
                return _Response(reply.status, reply.headers, body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RegistryUnavailableError(
                f"The registry at {self._base} did not answer: {type(error).__name__}."
            ) from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > _MAX_RESPONSE_BYTES:
            raise RegistryUnavailableError(f"The registry's response is larger than {_MAX_RESPONSE_BYTES} bytes.")
        parts.append(part)
    return b"".join(parts)


def _scope(name: str, *actions: str) -> str:
    return f"repository:{name}:{','.join(actions)}"


def _manifest(name: str, reference: str) -> str:
    return f"/v2/{name}/manifests/{reference}"


def _first_error(body: bytes) -> str:
    """Code and message of the first error in a response, in parentheses; empty when there is none."""
    try:
        first: Any = json.loads(body)["errors"][0]
        text = f"{first['code']}: {first['message']}"[:200]
    except (ValueError, LookupError, TypeError):
        return ""
    return f" ({' '.join(text.split())})"


__all__ = ["ManifestBody", "ManifestHead", "RegistryClient", "RegistryError"]
