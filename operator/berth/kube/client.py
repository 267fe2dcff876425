"""Client of the Kubernetes API: plain dictionaries in and out, typed errors (docs/adr/0015-small-plugin.md)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import aiohttp

from berth.kube.client_config import ClientConfig, in_cluster
from berth.kube.errors import (
    ConflictError,
    GoneError,
    InvalidError,
    KubeError,
    NotFoundError,
    UnavailableError,
    error_for,
)
from berth.kube.kubeconfig import load_kubeconfig
from berth.kube.resources import Manifest, ObjectKey, Resource, key_of, resource_of

PAGE_SIZE: Final = 500
REQUEST_TIMEOUT: Final = 30.0  # seconds for one request that is not a watch
WATCH_READ_TIMEOUT: Final = 120.0
"""Seconds without an event after which a watch counts as broken; there is a bookmark about once a minute."""
BUFFER_BYTES: Final = 2 << 20  # one line of a watch is a whole object, larger than aiohttp's default buffer

Manifests: TypeAlias = list[Manifest]
Propagation: TypeAlias = Literal["Background", "Foreground", "Orphan"]
EventType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


@dataclass(frozen=True, slots=True)
class Listing:
    """A complete list and the resource version at which a watch continues."""

    items: Manifests
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch. The object of a BOOKMARK only has a `metadata.resourceVersion`."""

    type: EventType
    object: Manifest


@dataclass(frozen=True, slots=True)
class Selection:
    """Objects of a resource: in all namespaces or in one, optionally by label and field selector."""

    resource: Resource
    namespace: str | None = None
    label_selector: str | None = None
    field_selector: str | None = None

    def query(self) -> list[tuple[str, str]]:
        """The selectors as query parameters."""
        pairs = [("labelSelector", self.label_selector), ("fieldSelector", self.field_selector)]
        return [(name, value) for name, value in pairs if value]


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """Address and credentials of the API server, for a library with its own client."""

    server: str
    ca_file: str | None
    certificate_file: str | None
    key_file: str | None
    authorization: str | None = field(repr=False)  # the value of the Authorization header


class KubeClient:
    """A connection pool to one API server. Created by `connect`."""

    def __init__(self, config: ClientConfig, session: aiohttp.ClientSession) -> None:
        self._config = config
        self._session = session

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, kubeconfig: Path | str | None = None, *, context: str = "", user_agent: str = "berth"
    ) -> AsyncIterator[KubeClient]:
        """Connect as the pod's ServiceAccount, or by a context of a kubeconfig, by default the current one.

        Raises NoClusterError without either, and OSError when a certificate cannot be read.
        """
        async with AsyncExitStack() as stack:
            if kubeconfig is None:
                config = in_cluster()
            else:
                config = await stack.enter_async_context(load_kubeconfig(str(kubeconfig), context))
            # Each watch takes a connection; their number is limited elsewhere.
            connector = aiohttp.TCPConnector(limit=0, ssl=config.ssl_context())
            session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    connector=connector,
                    headers={"User-Agent": user_agent},
                    trust_env=True,
                    read_bufsize=BUFFER_BYTES,
                )
            )
            yield cls(config, session)

    async def connection_info(self) -> ConnectionInfo:
        """The present address and credentials. Call it again after a refusal, because tokens rotate."""
        return ConnectionInfo(
            server=self._config.server,
            ca_file=self._config.ca_file,
            certificate_file=self._config.certificate_file,
            key_file=self._config.key_file,
            authorization=self._config.authorization(),
        )

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Manifest | None:
        """An object; None when it does not exist."""
        operation = f"Reading {resource.describe(name, namespace)}"
        try:
            return await self._json("GET", resource.path(namespace, name), operation)
        except NotFoundError:
            return None

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Manifests:
        """All objects of a resource, in all namespaces or in one."""
        return (await self.listing(Selection(resource, namespace, label_selector, field_selector))).items

    async def listing(self, selection: Selection) -> Listing:
        """A consistent list, read in pages. After an expired continue token it is read again in one request."""
        try:
            return await self._pages(selection, PAGE_SIZE)
        except GoneError:
            return await self._pages(selection, 0)

    async def _pages(self, selection: Selection, size: int) -> Listing:
        resource = selection.resource
        operation = f"Listing {resource.plural}" + (
            f" in namespace {selection.namespace}" if selection.namespace else ""
        )
        items: Manifests = []
        token = ""
        while True:
            query = [*selection.query()]
            if size:
                query.append(("limit", str(size)))
            if token:
                query.append(("continue", token))
            page = await self._json("GET", resource.path(selection.namespace), operation, query=query)
            items.extend(_typed(item, resource) for item in page.get("items") or ())
            token = page["metadata"].get("continue", "")
            if not token:
                return Listing(items, page["metadata"]["resourceVersion"])

    async def watch(
        self, selection: Selection, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[WatchEvent, None]:
        """The events since a resource version, until the API server ends the watch (after `timeout_seconds`).

        Raises GoneError when the version is too old, and UnavailableError when the connection breaks or stays silent.
        """
        resource = selection.resource
        operation = f"Watching {resource.plural}" + (
            f" in namespace {selection.namespace}" if selection.namespace else ""
        )
        query = [
            *selection.query(),
            ("watch", "1"),
            ("resourceVersion", resource_version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(timeout_seconds)),
        ]
        limits = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_TIMEOUT, sock_read=WATCH_READ_TIMEOUT)
        response = await self._send("GET", resource.path(selection.namespace), operation, query=query, limits=limits)
        try:
            while line := await response.content.readline():
                yield _watch_event(json.loads(line), resource, operation)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise UnavailableError(f"{operation} broke off: {type(error).__name__}.") from error
        finally:
            response.close()

    async def apply(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        field_manager: str,
        subresource: str | None = None,
    ) -> Manifest:
        """Server-side apply: create the object, or set the given fields and remove those of an earlier apply.

        A `metadata.uid` or `metadata.resourceVersion` in the body is a precondition. Raises ConflictError.
        """
        namespace, name = key_of(body)
        path = resource.path(namespace or None, name, subresource)
        operation = f"Applying {resource.describe(name, namespace or None)}" + (
            f" ({subresource})" if subresource else ""
        )
        query = [("fieldManager", field_manager), ("force", "true")]
        try:
            return await self._json(
                "PATCH", path, operation, query=query, body=body, content="application/apply-patch+yaml"
            )
        except InvalidError as error:
            # A uid other than the live object's is reported as an attempt to change it (422), not as 409.
            if "uid" in body["metadata"] and "metadata.uid" in error.sentence:
                raise ConflictError(error.sentence, status=error.status) from error
            raise

    async def create(self, resource: Resource, body: Mapping[str, Any], *, field_manager: str) -> Manifest:
        """Create an object, or send a review, which has no name. Raises ConflictError when the name is taken."""
        metadata = body.get("metadata") or {}
        namespace = metadata.get("namespace")
        operation = f"Creating {resource.describe(metadata.get('name', ''), namespace)}".rstrip()
        query = [("fieldManager", field_manager)]
        return await self._json("POST", resource.path(namespace), operation, query=query, body=body)

    async def merge(
        self, resource: Resource, key: ObjectKey, patch: Mapping[str, Any], *, field_manager: str
    ) -> Manifest:
        """JSON merge patch (RFC 7396): null removes a field, a list replaces the whole list.

        A `metadata.uid` or `metadata.resourceVersion` in the patch is a precondition. Raises ConflictError.
        """
        namespace, name = key
        return await self._json(
            "PATCH",
            resource.path(namespace or None, name),
            f"Patching {resource.describe(name, namespace or None)}",
            query=[("fieldManager", field_manager)],
            body=patch,
            content="application/merge-patch+json",
        )

    async def set_finalizers(
        self, manifest: Mapping[str, Any], finalizers: Sequence[str], *, field_manager: str
    ) -> Manifest:
        """Replace the finalizers of an object. Raises ConflictError when the object has changed since it was read."""
        resource = resource_of(manifest)
        metadata = manifest["metadata"]
        patch = {
            "metadata": {
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
                "finalizers": [*finalizers],
            }
        }
        return await self.merge(resource, key_of(manifest), patch, field_manager=field_manager)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        uid: str | None = None,
        propagation: Propagation = "Background",
    ) -> bool:
        """Delete an object; False when it does not exist. Raises ConflictError when the object has another uid."""
        body: dict[str, Any] = {"propagationPolicy": propagation}
        if uid:
            body["preconditions"] = {"uid": uid}
        operation = f"Deleting {resource.describe(name, namespace)}"
        try:
            await self._json("DELETE", resource.path(namespace, name), operation, body=body)
        except NotFoundError:
            return False
        return True

    async def raw_get(self, path: str) -> bytes:
        """The bytes at a path of the API server, such as `/openid/v1/jwks` or `/version`."""
        # The keys are only served as application/jwk-set+json; a request for plain JSON gets a 406.
        response = await self._send("GET", path, f"Reading {path}", accept="*/*")
        return await _body(response, f"Reading {path}")

    async def _json(
        self,
        method: str,
        path: str,
        operation: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
    ) -> Manifest:
        response = await self._send(method, path, operation, query=query, body=body, content=content)
        data: Manifest = json.loads(await _body(response, operation))
        return data

    async def _send(
        self,
        method: str,
        path: str,
        operation: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
        accept: str = "application/json",
        limits: aiohttp.ClientTimeout | None = None,
    ) -> aiohttp.ClientResponse:
        """Send a request. Returns the open response of a success, raises a KubeError otherwise."""
        try:
            headers = {"Accept": accept, "Content-Type": content}
            if authorization := self._config.authorization():
                headers["Authorization"] = authorization
            response = await self._session.request(
                method,
                self._config.server + path,
                params=[*query],
                data=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=limits or aiohttp.ClientTimeout(total=REQUEST_TIMEOUT),
                proxy=self._config.proxy,
                server_hostname=self._config.tls_server_name,
            )
            if response.status < 400:
                return response
            raise error_for(response.status, operation, _message(await response.read(), path))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(f"{operation} got no answer from the API server: {type(error).__name__}.") from error


async def _body(response: aiohttp.ClientResponse, operation: str) -> bytes:
    try:
        return await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UnavailableError(f"{operation} broke off: {type(error).__name__}.") from error


def _message(body: bytes, path: str) -> str:
    """The message of the Status in a response; for Secrets only its reason, because messages quote values."""
    try:
        status = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(status, dict):
        return ""
    return str(status.get("reason" if "/secrets" in path else "message") or "")


def _typed(item: Manifest, resource: Resource) -> Manifest:
    """An item of a list with apiVersion and kind, which the API server leaves out."""
    return {"apiVersion": resource.api_version, "kind": resource.kind, **item}


def _watch_event(line: Manifest, resource: Resource, operation: str) -> WatchEvent:
    kind, obj = line.get("type"), line.get("object") or {}
    if kind == "ERROR":
        raise error_for(int(obj.get("code") or 0), operation, str(obj.get("message") or ""))
    if kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
        raise InvalidError(f"{operation} returned an event of the unknown type {kind!r}.")
    return WatchEvent(kind, _typed(obj, resource))


__all__ = ["KubeClient", "KubeError", "Listing", "Manifests", "Selection", "WatchEvent"]
