"""The finalizer `berth.dev/trash`: while it stands, a deleted object stays visible and its data is kept."""

from __future__ import annotations

from berth.api import names
from berth.kube.client import KubeClient
from berth.kube.resources import Manifest
from berth.reconcile.watch.caches import Caches


async def hold(client: KubeClient, caches: Caches, live: Manifest) -> Manifest:
    """Set the finalizer when it is missing and may still be set; returns the present object.

    Raises Conflict when the object has changed since it was cached: the next pass has the new one.
    """
    finalizers = live["metadata"].get("finalizers") or []
    if names.FINALIZER in finalizers or "deletionTimestamp" in live["metadata"]:
        return live
    return await _set(client, caches, live, [*finalizers, names.FINALIZER])


async def release(client: KubeClient, caches: Caches, live: Manifest) -> None:
    """Take the finalizer away, so that the API server removes a deleted object. Nothing happens without one."""
    finalizers = live["metadata"].get("finalizers") or []
    if names.FINALIZER in finalizers:
        await _set(client, caches, live, [name for name in finalizers if name != names.FINALIZER])


async def _set(client: KubeClient, caches: Caches, live: Manifest, finalizers: list[str]) -> Manifest:
    written = await client.set_finalizers(live, finalizers, field_manager=names.FIELD_MANAGER_OPERATOR)
    caches.observe(written)
    return written
