"""The client of one project's registry: list, inspect, and prove that its storage takes writes.

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
"""Names asked for at once; Distribution refuses more than its `catalog.maxentries`, which is 1000 by default."""

PROBE_REPOSITORY: Final = "berth-probe"
"""Path below a project in which storage is probed. It never has a manifest, so no listing shows it."""

_PROBE: Final = b"Berth writes this to see whether the registry's storage takes writes.\n" * 64
_PROBE_DIGEST: Final = "sha256:" + hashlib.sha256(_PROBE).hexdigest()
_MANIFEST_LIMIT: Final = 4 * 1024 * 1024  # bytes; Distribution takes no larger one
_ANSWER_LIMIT: Final = 16 * 1024 * 1024  # bytes of a page of names
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=5, sock_read=30)
_ACCEPT: Final = {"Accept": ", ".join(MEDIA_TYPES)}
_OCTETS: Final = {"Content-Type": "application/octet-stream"}
_DIGEST = re.compile(names.DIGEST_PATTERN)


@dataclass(frozen=True, slots=True)
class ManifestHead:
    """What a registry says about a manifest without its bytes."""

    digest: str
    media_type: str
    size: int  # bytes of the manifest itself


@dataclass(frozen=True, slots=True)
class ManifestBody:
    """A manifest as it is stored."""

    digest: str
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class RegistryClient:
    """One registry. `base_url` is its address without path; names are full (`project/path`).

    Every method raises RegistryUnavailable when there is no useful answer, and RegistryRefused when there is one that
    trying again will not change.
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
        """What a tag or digest stands for at the moment; None when there is no such manifest."""
        answer = await self._send("HEAD", _manifest(name, reference), (_scope(name, "pull"),), headers=_ACCEPT)
        if answer.status == 404:
            return None
        self._expect(answer, 200, f"HEAD of {name}:{reference}")
        digest = answer.headers.get("Docker-Content-Digest", "")
        size = answer.headers.get("Content-Length", "")
        if not _DIGEST.match(digest) or not size.isdigit():
            raise RegistryUnavailableError(
                f"The registry at {self._base} answered HEAD of {name}:{reference} incompletely."
            )
        return ManifestHead(digest, answer.headers.get("Content-Type", ""), int(size))

    async def get_manifest(self, name: str, digest: str) -> ManifestBody | None:
        """A manifest by digest; None when there is none. Bytes that do not have the digest are an error."""
        answer = await self._send("GET", _manifest(name, digest), (_scope(name, "pull"),), headers=_ACCEPT)
        if answer.status == 404:
            return None
        self._expect(answer, 200, f"GET of {name}@{digest}")
        algorithm = digest.partition(":")[0]
        if (
            len(answer.body) > _MANIFEST_LIMIT
            or f"{algorithm}:{hashlib.new(algorithm, answer.body).hexdigest()}" != digest
        ):
            raise RegistryRefusedError(f"The registry at {self._base} gave other bytes than {name}@{digest}.")
        return ManifestBody(digest, answer.headers.get("Content-Type", ""), answer.body)

    async def probe_write(self, project: str) -> None:
        """Prove that the registry's storage takes writes and gives them back: upload a small blob and read it.

        `/v2/` alone proves nothing, it answers 200 on a volume that refuses the first push. No listing shows the
        blob, because Distribution lists a repository once it has manifests; and it is always the same, so that
        a thousand probes take no more room than one. (An upload that is begun and cancelled would: Distribution
        stores the state of its hash again after it removed everything, and never sweeps that.)
        """
        name = f"{project}/{PROBE_REPOSITORY}"
        scopes = (_scope(name, "pull", "push"),)
        begun = await self._send("POST", f"/v2/{name}/blobs/uploads/", scopes)
        self._expect(begun, 202, "the start of an upload")
        upload = self._location(begun).update_query(digest=_PROBE_DIGEST)
        written = await self._send("PUT", str(upload), scopes, headers=_OCTETS, data=_PROBE)
        self._expect(written, 201, "the bytes of an upload")
        read = await self._send("GET", f"/v2/{name}/blobs/{_PROBE_DIGEST}", scopes)
        self._expect(read, 200, "GET of what was just uploaded")
        if read.body != _PROBE:
            raise RegistryUnavailableError(f"The registry at {self._base} gave other bytes than were just uploaded.")

    async def _pages(self, path: str, field: str, scopes: tuple[str, ...]) -> AsyncIterator[str]:
        last = ""
        while True:
            query = {"n": str(PAGE_SIZE), **({"last": last} if last else {})}
            answer = await self._send("GET", str(URL(path).with_query(query)), scopes)
            if answer.status == 404:
                return
            self._expect(answer, 200, f"GET of {path}")
            page = self._names(answer, field)
            for name in page:
                yield name
            # Only the last name of a page is taken from it: a link could lead anywhere.
            if not page or 'rel="next"' not in answer.headers.get("Link", "") or page[-1] == last:
                return
            last = page[-1]

    def _names(self, answer: _Answer, field: str) -> list[str]:
        try:
            found = json.loads(answer.body).get(field) or []
        except (ValueError, AttributeError):
            found = None
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise RegistryUnavailableError(
                f"The registry at {self._base} answered with something that lists no {field}."
            )
        return found

    def _location(self, answer: _Answer) -> URL:
        """Path and query of an answer's Location; whatever host it names, this registry is meant."""
        location = URL(answer.headers.get("Location", ""), encoded=True)
        return URL.build(path=location.raw_path, query_string=location.raw_query_string, encoded=True)

    def _expect(self, answer: _Answer, status: int, what: str) -> None:
        if answer.status == status:
            return
        kind = RegistryUnavailableError if answer.status == 429 or answer.status >= 500 else RegistryRefusedError
        told = _told(answer.body)
        raise kind(
            f"The registry at {self._base} answered {what} with status {answer.status}{told}.", status=answer.status
        )

    async def _send(
        self,
        method: str,
        target: str,
        scopes: tuple[str, ...],
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> _Answer:
        answer = await self._once(method, target, scopes, headers or {}, data)
        if answer.status == 401:
            self._tokens.forget(scopes)
            answer = await self._once(method, target, scopes, headers or {}, data)
        return answer

    async def _once(
        self, method: str, target: str, scopes: tuple[str, ...], headers: Mapping[str, str], data: bytes | None
    ) -> _Answer:
        token = await self._tokens.token(scopes)
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        url = self._base.join(URL(target, encoded=True))
        try:
            async with self._session.request(
                method, url, headers={**headers, **authorization}, data=data, timeout=_TIMEOUT, allow_redirects=False
            ) as response:
                body = await _read(response)
                return _Answer(response.status, response.headers, body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RegistryUnavailableError(
                f"The registry at {self._base} gave no answer: {type(error).__name__}."
            ) from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > _ANSWER_LIMIT:
            raise RegistryUnavailableError(f"The registry's answer is larger than {_ANSWER_LIMIT} bytes.")
        parts.append(part)
    return b"".join(parts)


def _scope(name: str, *actions: str) -> str:
    return f"repository:{name}:{','.join(actions)}"


def _manifest(name: str, reference: str) -> str:
    return f"/v2/{name}/manifests/{reference}"


def _told(body: bytes) -> str:
    """The registry's own words, if it has any: code and message of its first error."""
    try:
        first: Any = json.loads(body)["errors"][0]
        words = f"{first['code']}: {first['message']}"[:200]
    except (ValueError, LookupError, TypeError):
        return ""
    return f" ({' '.join(words.split())})"


__all__ = ["ManifestBody", "ManifestHead", "RegistryClient", "RegistryError"]
