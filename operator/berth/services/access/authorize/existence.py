"""Whether a repository exists of which the policy has no object.

The object of a repository appears a moment after its first push, or once the API server is back. The catalog has the
push before the client has its response. It is also queried about repositories that the policy conceals from the
caller, so that the response takes as long as for one that does not exist (ADR 10).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from berth.api.policy import Action
from berth.api.text import full_name
from berth.authz.actor import Actor, actor_of
from berth.authz.decide import depends_on_content
from berth.authz.model import AccessRequest, Identity, Snapshot
from berth.oci.request import split_name
from berth.oci.scope import REPOSITORY, Scope
from berth.services.access.upstream.ports import Catalog, CatalogUnavailableError


def needs_catalog(snapshot: Snapshot, identity: Identity, request: AccessRequest, now: datetime) -> bool:
    """Whether the decision depends on what only the catalog has.

    No shortcut for known names: the response time would disclose them.
    """
    return depends_on_content(snapshot, actor_of(snapshot, identity, now), request, now)


async def with_existence(catalog: Catalog, request: AccessRequest) -> AccessRequest:
    """The request, with what the catalog has about its repository."""
    return replace(request, absent=not await _has_content(catalog, request))


async def with_existence_if_needed(
    catalog: Catalog, snapshot: Snapshot, identity: Identity, request: AccessRequest, now: datetime
) -> AccessRequest:
    """Like `with_existence`, if the decision depends on it; else unchanged."""
    needed = needs_catalog(snapshot, identity, request, now)
    return await with_existence(catalog, request) if needed else request


async def existence_by_name(
    catalog: Catalog, snapshot: Snapshot, actor: Actor, scopes: Sequence[Scope], now: datetime
) -> Mapping[str, bool]:
    """Whether repositories of these scopes exist, by full name.

    Only those whose decision depends on the catalog.
    """
    names = {scope.name: split_name(scope.name) for scope in scopes if scope.type == REPOSITORY}
    requests = [AccessRequest(Action.PULL, *parts) for parts in names.values() if parts is not None]
    unknown = [request for request in requests if depends_on_content(snapshot, actor, request, now)]
    found = await asyncio.gather(*(_has_content(catalog, request) for request in unknown))
    return {
        full_name(request.project, request.repository): exists for request, exists in zip(unknown, found, strict=True)
    }


async def _has_content(catalog: Catalog, request: AccessRequest) -> bool:
    """Whether anything was pushed.

    False while the catalog is unavailable: no push can succeed meanwhile.
    """
    try:
        return await catalog.has_content(request.project, request.repository)
    except CatalogUnavailableError:
        return False
