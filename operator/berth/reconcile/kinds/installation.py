"""Reconcile the installation itself: its keys and certificates (docs/keys.md)."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Final

import structlog

from berth.api import names
from berth.desired.installation import keys
from berth.desired.installation.authority import SuccessorRollout
from berth.desired.installation.manifests import (
    SEED,
    TOKEN_CA,
    FoundMaterial,
    Material,
    complete_material,
    desired_installation,
)
from berth.desired.registry.config import CA_KEY
from berth.desired.registry.deployment import read_start_state
from berth.desired.registry.secret import SECRET_NAME
from berth.kube.apply import Change
from berth.kube.resources import DEPLOYMENTS, PROJECTS, SECRETS, Manifest
from berth.reconcile.context import Context
from berth.reconcile.observe import children
from berth.reconcile.observe.inputs import found_material
from berth.reconcile.outcome import Done, Outcome, Retrying
from berth.reconcile.watch.mappings import INSTALLATION_SECRETS

RENEWAL_CHECK_SECONDS: Final = 3600.0  # certificates are renewed when two thirds of their life are over
ROLLOUT_CHECK_SECONDS: Final = 5.0  # while the next token authority waits for every registry to run with it

_log = structlog.get_logger(__name__)


async def reconcile_installation(context: Context) -> Outcome:
    """Create what is missing, renew what is due or requested, keep everything else to the byte."""
    settings, now = context.settings, context.now()
    found = await _found(context)
    rollout = SuccessorRollout(_successor_is_everywhere(context, found), timedelta(seconds=settings.authority_overlap))
    generate = settings.tls_mode == "Generated"
    material = complete_material(found, settings.host, now, generate_tls=generate, rollout=rollout)
    desired = desired_installation(material, settings.namespace, settings.instance, context.version)
    applied = await context.applier.apply_all(desired)
    changed = {reference.name for reference, change in applied.changes if change is not Change.UNCHANGED}
    if changed & {TOKEN_CA, SEED}:  # no other key is an input of a project
        context.enqueuer.all_projects()
    if applied.refusals:
        return Retrying(applied.refusals[0].error.sentence)
    _log_changes(found, material)
    return Done(ROLLOUT_CHECK_SECONDS if material.token_ca.due_since else RENEWAL_CHECK_SECONDS)


async def _found(context: Context) -> FoundMaterial:
    """The present keys. A Secret that the cache lacks is read, because a missing key is replaced by a new one."""
    namespace = context.settings.namespace
    for name in INSTALLATION_SECRETS:
        if context.caches.live(SECRETS, (namespace, name)) is None:
            live = await context.client.get(SECRETS, name, namespace)
            if live is not None:
                context.caches.observe(live)
    return found_material(context.caches, namespace, INSTALLATION_SECRETS)


def _successor_is_everywhere(context: Context, found: FoundMaterial) -> bool:
    """Whether every project's registry runs with the next token authority among those that it trusts."""
    if found.token_ca is None or found.token_ca.successor is None:
        return False
    successor = found.token_ca.successor.certificate
    return all(_runs_with(context, live, successor) for live in context.caches.objects(PROJECTS).values())


def _runs_with(context: Context, project: Manifest, certificate: str) -> bool:
    """Whether the registry's Secret has the certificate, and every pod was started with it."""
    namespace = names.project_namespace(project["metadata"]["name"])
    secret = context.caches.live(SECRETS, (namespace, SECRET_NAME))
    deployment = context.caches.live(DEPLOYMENTS, (namespace, names.REGISTRY_NAME))
    rollout = children.observe_deployment(context.caches, namespace)
    if secret is None or deployment is None or rollout is None:
        return False
    if certificate.encode() not in base64.b64decode((secret.get("data") or {}).get(CA_KEY, "")):
        return False
    return (
        keys.fingerprint(certificate) in read_start_state(deployment).authorities
        and rollout.observed_generation >= rollout.generation
        and rollout.current == rollout.updated == rollout.replicas
    )


def _log_changes(found: FoundMaterial, material: Material) -> None:
    """Log what changed, never a key itself."""
    if found.token_leaf is not None and found.token_leaf != material.token_leaf:
        _log.info("token signing key rotated")
    before, after = found.token_ca, material.token_ca
    if before is None or before == after:
        return
    if before.current != after.current:
        _log.info("token authority rotated")
    elif after.due_since and not before.due_since:
        _log.info("token authority rotation pending: every registry has to start with the next one first")
    elif len(after.retired) < len(before.retired):
        _log.info("former token authorities removed")
