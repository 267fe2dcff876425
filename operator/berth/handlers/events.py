"""Kopf's part: watches of Berth's own kinds. Nothing is decided here (docs/adr/0001-kopf.md)."""

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
from berth.reconcile.watch.missed_events import ObjectEvent

WATCHED: Final = (PROJECTS, DOCKER_REPOSITORIES, REGISTRY_USERS, REGISTRY_TEAMS, ACCESS_TOKENS, CERTIFICATIONS)


def register(registry: kopf.OperatorRegistry, on_event: Callable[[ObjectEvent], None]) -> None:
    """Register the handlers of Berth's own kinds. `on_event` must be safe to call from Kopf's thread.

    What Kopf only lists (`type` is None) is dropped: the reflectors list and enqueue it as well.
    """
    for resource in WATCHED:
        kopf.on.event(GROUP, VERSION, resource.plural, id=resource.plural, registry=registry)(
            _handler(resource, on_event)
        )


def _handler(resource: Resource, on_event: Callable[[ObjectEvent], None]) -> Callable[..., Awaitable[None]]:
    async def handle(type: str | None, meta: Mapping[str, Any], **_: Any) -> None:
        if type is not None:
            key = (meta.get("namespace") or "", meta["name"])
            on_event(ObjectEvent(resource, key, int(meta["resourceVersion"]), gone=type == "DELETED"))

    return handle
