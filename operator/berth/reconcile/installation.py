"""One pass over the installation itself: its keys and certificates (docs/architecture.md, "Keys")."""

from __future__ import annotations

from typing import Final

from berth.desired.installation import FoundMaterial, complete_material, desired_installation
from berth.kube.resources import SECRETS
from berth.reconcile.context import Context
from berth.reconcile.gather import found_material
from berth.reconcile.outcome import Done, Outcome, Retrying
from berth.reconcile.wake import INSTALLATION_SECRETS

LOOK_AGAIN: Final = 3600.0  # seconds; certificates are renewed when two thirds of their life are over


async def reconcile_installation(context: Context, _name: str) -> Outcome:
    """Make what is missing, renew what is due, keep everything else to the byte."""
    settings = context.settings
    found = await _found(context)
    material = complete_material(found, settings.host, context.now(), generate_tls=settings.tls_mode == "Generated")
    desired = desired_installation(material, settings.namespace, settings.instance, context.version)
    applied = await context.applier.apply_all(desired)
    if applied.writes:
        context.waker.installation_changed()
    if applied.refusals:
        return Retrying(applied.refusals[0].error.sentence)
    return Done(LOOK_AGAIN)


async def _found(context: Context) -> FoundMaterial:
    """What the cluster holds. A Secret that the cache lacks is asked for, because a missing key is made anew."""
    namespace = context.settings.namespace
    for name in INSTALLATION_SECRETS:
        if context.caches.live(SECRETS, (namespace, name)) is None:
            live = await context.client.get(SECRETS, name, namespace)
            if live is not None:
                context.caches.observe(live)
    return found_material(context.caches, namespace, INSTALLATION_SECRETS)
