"""Kopf's part: it watches Berth's own kinds and tells what it sees. Nothing is decided here (docs/adr/0001-kopf.md)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import kopf

from berth.api.names import GROUP, VERSION
from berth.kube.resources import (
    ACCESS_TOKENS,
    CERTIFICATIONS,
    DOCKER_REPOSITORIES,
    PROJECTS,
    REGISTRY_TEAMS,
    REGISTRY_USERS,
    Resource,
)
from berth.reconcile.watch.missed_events import WatchEvent

WATCHED: Final = (PROJECTS, DOCKER_REPOSITORIES, REGISTRY_USERS, REGISTRY_TEAMS, ACCESS_TOKENS, CERTIFICATIONS)


def register(registry: kopf.OperatorRegistry, tell: Callable[[WatchEvent], None]) -> None:
    """Register the handlers of Berth's own kinds. `tell` must be safe to call from Kopf's thread.

    What Kopf only lists (`type` is None) was listed by the reflectors as well, and woken: once is enough at a start.
    """
    for resource in WATCHED:
        kopf.on.event(GROUP, VERSION, resource.plural, id=resource.plural, registry=registry)(_handler(resource, tell))


def _handler(resource: Resource, tell: Callable[[WatchEvent], None]) -> Callable[..., Awaitable[None]]:
    async def told(type: str | None, meta: Mapping[str, Any], **_: Any) -> None:
        if type is not None:
            key = (meta.get("namespace") or "", meta["name"])
            tell(WatchEvent(resource, key, int(meta["resourceVersion"]), gone=type == "DELETED"))

    return told
