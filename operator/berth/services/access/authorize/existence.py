"""Whether something was pushed under a name of which the policy has no object.

A repository's object appears a moment after its first push, and not before the API server is back when that is away.
The catalog knows of it before the push is answered. It is asked as well where the policy conceals a repository, so
that the answer takes as long as for one that is not there (ADR 10).
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


async def informed(
    catalog: Catalog, snapshot: Snapshot, identity: Identity, wish: AccessRequest, now: datetime
) -> AccessRequest:
    """The wish, with what the catalog knows of its repository where the decision hangs on that."""
    return await with_content(catalog, wish) if is_unknown(snapshot, identity, wish, now) else wish


def is_unknown(snapshot: Snapshot, identity: Identity, wish: AccessRequest, now: datetime) -> bool:
    """Whether the decision hangs on what only the catalog knows.

    No short cut for names that are known: the time of the answer would tell of them.
    """
    return depends_on_content(snapshot, actor_of(snapshot, identity, now), wish, now)


async def with_content(catalog: Catalog, wish: AccessRequest) -> AccessRequest:
    """The wish, with what the catalog knows of its repository."""
    return replace(wish, absent=not await _has_content(catalog, wish))


async def content_of(
    catalog: Catalog, snapshot: Snapshot, actor: Actor, scopes: Sequence[Scope], now: datetime
) -> Mapping[str, bool]:
    """What the catalog had to be asked for: by full name, whether anything was pushed there."""
    names = {scope.name: split_name(scope.name) for scope in scopes if scope.type == REPOSITORY}
    wishes = [AccessRequest(Action.PULL, *parts) for parts in names.values() if parts is not None]
    asked = [wish for wish in wishes if depends_on_content(snapshot, actor, wish, now)]
    found = await asyncio.gather(*(_has_content(catalog, wish) for wish in asked))
    return {full_name(wish.project, wish.repository): there for wish, there in zip(asked, found, strict=True)}


async def _has_content(catalog: Catalog, wish: AccessRequest) -> bool:
    """While the catalog is away, what the policy does not know counts as absent: nobody can push meanwhile."""
    try:
        return await catalog.has_content(wish.project, wish.repository)
    except CatalogUnavailableError:
        return False
