"""Interfaces of the services behind access: the catalog and the registries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from berth.services.access.http.messages import Response


class CatalogUnavailableError(Exception):
    """The catalog did not carry out a call in time."""


class RegistryUnreachableError(Exception):
    """A registry did not respond. `untouched`: it has not received the request."""

    def __init__(self, *, untouched: bool) -> None:
        super().__init__("the registry did not respond")
        self.untouched = untouched


@dataclass(frozen=True, slots=True)
class WriteIntent:
    """A write of a manifest that is about to happen.

    `digest` is None where only the registry knows it.
    """

    kind: str  # push or delete
    project: str
    repository: str
    reference: str
    digest: str | None
    media_type: str
    by: str
    client: str  # address of the client, empty when unknown


class Catalog(Protocol):
    """What this service needs of the catalog.

    Every call raises CatalogUnavailableError when it fails.
    """

    async def announce(self, intent: WriteIntent) -> str:
        """Record that a write begins, and return its id."""
        ...

    async def commit(self, write_id: str, manifest: bytes | None) -> None:
        """Record that the registry has carried out a write.

        `manifest` holds the bytes of a push.
        """
        ...

    async def abandon(self, write_id: str) -> None:
        """Record that the registry has not carried out a write."""
        ...

    async def referrers(self, project: str, repository: str, digest: str) -> Sequence[Mapping[str, Any]]:
        """OCI descriptors of the manifests whose subject is this digest."""
        ...

    async def has_content(self, project: str, repository: str) -> bool:
        """Whether the repository holds a manifest.

        True as soon as the client has the response to its first push.
        """
        ...


class Registries(Protocol):
    """What this service needs of the projects' registries."""

    async def forward(
        self, project: str, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response:
        """Forward a request, byte for byte, and return the response.

        Raises RegistryUnreachableError when there is none.
        """
        ...
