"""The finalizer `berth.dev/trash`: with it, a deleted object stays visible and its data is kept."""

from __future__ import annotations

from berth.api import names
from berth.kube.client import KubeClient
from berth.kube.resources import Manifest
from berth.reconcile.watch.caches import Caches


async def add(client: KubeClient, caches: Caches, live: Manifest) -> Manifest:
    """Add the finalizer when it is missing and can still be added; return the present object.

    Raises ConflictError when the object changed since it was cached.
    """
    finalizers = live["metadata"].get("finalizers") or []
    if names.FINALIZER in finalizers or "deletionTimestamp" in live["metadata"]:
        return live
    return await _set(client, caches, live, [*finalizers, names.FINALIZER])


async def remove(client: KubeClient, caches: Caches, live: Manifest) -> None:
    """Remove the finalizer, if it is there, so that the API server removes a deleted object."""
    finalizers = live["metadata"].get("finalizers") or []
    if names.FINALIZER in finalizers:
        await _set(client, caches, live, [name for name in finalizers if name != names.FINALIZER])


async def _set(client: KubeClient, caches: Caches, live: Manifest, finalizers: list[str]) -> Manifest:
    written = await client.set_finalizers(live, finalizers, field_manager=names.FIELD_MANAGER_OPERATOR)
    caches.observe(written)
    return written
