"""Kopf's part: it watches Berth's own kinds and wakes keys. Nothing is decided here (docs/adr/0001-kopf.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from berth.api.names import GROUP, VERSION
from berth.kube.resources import (
    ACCESS_TOKENS,
    CERTIFICATIONS,
    DOCKER_REPOSITORIES,
    PROJECTS,
    REGISTRY_TEAMS,
    REGISTRY_USERS,
)
from berth.reconcile.queue import Key


def register(registry: kopf.OperatorRegistry, add: Callable[[Key], None]) -> None:
    """Register the handlers of Berth's own kinds. `add` must be safe to call from Kopf's thread.

    What Kopf only lists (`type` is None) was listed by the reflectors as well, and woken: once is enough at a start.
    """

    @kopf.on.event(GROUP, VERSION, PROJECTS.plural, registry=registry)
    async def project(type: str | None, name: str, **_: Any) -> None:
        if type is not None:
            add(Key(PROJECTS.kind, name))

    @kopf.on.event(GROUP, VERSION, DOCKER_REPOSITORIES.plural, registry=registry)
    async def repository(type: str | None, namespace: str | None, name: str, **_: Any) -> None:
        if type is not None:
            add(Key(DOCKER_REPOSITORIES.kind, f"{namespace}/{name}"))

    @kopf.on.event(GROUP, VERSION, REGISTRY_USERS.plural, registry=registry)
    async def user(type: str | None, name: str, **_: Any) -> None:
        if type is not None:
            add(Key(REGISTRY_USERS.kind, name))

    @kopf.on.event(GROUP, VERSION, REGISTRY_TEAMS.plural, registry=registry)
    async def team(name: str, **_: Any) -> None:
        add(Key(REGISTRY_TEAMS.kind, name))

    @kopf.on.event(GROUP, VERSION, ACCESS_TOKENS.plural, registry=registry)
    async def token(name: str, **_: Any) -> None:
        add(Key(ACCESS_TOKENS.kind, name))

    @kopf.on.event(GROUP, VERSION, CERTIFICATIONS.plural, registry=registry)
    async def certification(type: str | None, name: str, **_: Any) -> None:
        if type is not None:
            add(Key(CERTIFICATIONS.kind, name))
