"""Write and prune the children of a project."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from berth.api import names
from berth.api.project import InventoryEntry, Project
from berth.desired.project import desired_namespace, desired_project
from berth.desired.registry.claim import CLAIM_NAME, retained_volume
from berth.kube.apply import PRUNABLE, Reference
from berth.kube.resources import (
    ACCESS_POLICIES,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    Manifest,
)
from berth.reconcile.context import Context
from berth.reconcile.observe.children import first_failure
from berth.reconcile.observe.inputs import RegistryKeys, namespace_inputs, project_inputs, registry_keys
from berth.status.observed import ApplyFailure, ObservedNamespace

RIGHTS_TIMEOUT_SECONDS: Final = 3.0  # how long a reconcile waits until its own new RoleBinding takes effect


@dataclass(frozen=True, slots=True)
class NamespaceResult:
    """The namespace of a project and the operator's rights in it, after this reconcile wrote them."""

    namespace: ObservedNamespace | None
    keys: RegistryKeys | None  # None: the installation has none yet
    manifests: tuple[Manifest, ...] = ()  # empty: not written, because there are no keys or the namespace is not ours
    failure: ApplyFailure | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the children can be written."""
        return bool(self.manifests) and self.failure is None


@dataclass(frozen=True, slots=True)
class Applied:
    """What a reconcile did to the children, as far as the status needs it."""

    inventory: tuple[InventoryEntry, ...]
    failure: ApplyFailure | None = None
    policy_written: bool = False  # the AccessPolicy agrees with the spec


async def apply_namespace(context: Context, project: Project, namespace: ObservedNamespace | None) -> NamespaceResult:
    """Write the namespace and the operator's binding in it; nothing if it is not, or no longer, the project's."""
    keys = registry_keys(context.caches, context.settings.namespace)
    taken = namespace is not None and (namespace.terminating or namespace.project != project.project_id)
    if keys is None or taken:
        return NamespaceResult(namespace, keys)
    manifests = desired_namespace(project.project_id, namespace_inputs(context.settings, context.version))
    applied = await context.applier.apply_all(manifests)
    if all(refusal.reference.kind != NAMESPACES.kind for refusal in applied.refusals):
        namespace = ObservedNamespace(names.project_namespace(project.project_id), project=project.project_id)
    failure = first_failure(applied) or await _await_rights(context, project)
    return NamespaceResult(namespace, keys, manifests, failure)


async def apply_children(context: Context, project: Project, namespace_result: NamespaceResult) -> Applied:
    """Write what differs, prune what is not desired. Nothing is written before the namespace is ready."""
    before = project.status.inventory
    if namespace_result.keys is None or not namespace_result.manifests:
        return Applied(before)
    if namespace_result.failure is not None:
        return Applied(_inventory(map(Reference.of, namespace_result.manifests), before), namespace_result.failure)
    inputs = project_inputs(project, namespace_result.keys, context.caches, context.settings, context.version)
    desired = desired_project(project, inputs)
    applied = await context.applier.apply_all(desired[len(namespace_result.manifests) :])
    pruned = await context.applier.prune(_candidates(context, project), desired)
    kept = [*map(Reference.of, desired), *(refusal.reference for refusal in pruned.refusals)]
    policy_written = all(refusal.reference.kind != ACCESS_POLICIES.kind for refusal in applied.refusals)
    return Applied(_inventory(kept, ()), first_failure(applied) or first_failure(pruned), policy_written)


def _inventory(references: Iterable[Reference], before: Iterable[InventoryEntry]) -> tuple[InventoryEntry, ...]:
    """The present children, each once. Nothing leaves the inventory before it is pruned."""
    entries = {reference: reference.entry() for reference in references}
    for entry in before:
        reference = Reference.from_entry(entry)
        if reference is not None:
            entries.setdefault(reference, entry)
    return tuple(entries.values())


async def _await_rights(context: Context, project: Project) -> ApplyFailure | None:
    """Wait until the operator can read the Secrets of the namespace: a new binding takes a moment to take effect."""
    synced = context.caches.follow_secrets(names.project_namespace(project.project_id))
    try:
        await asyncio.wait_for(synced.wait(), RIGHTS_TIMEOUT_SECONDS)
    except TimeoutError:
        sentence = f"ClusterRole {context.settings.project_cluster_role} does not give the operator its rights yet"
        return ApplyFailure("RoleBinding", "berth-operator", sentence)
    return None


def _candidates(context: Context, project: Project) -> Iterable[Reference]:
    """What may be pruned: children by label, and the inventory. The children of repositories belong to those."""
    namespace = names.project_namespace(project.project_id)
    for resource in PRUNABLE:
        for live in context.caches.in_namespace(resource, namespace).values():
            labels = live["metadata"].get("labels") or {}
            if (
                labels.get(names.LABEL_PROJECT) == project.project_id
                and labels.get(names.LABEL_MANAGED_BY) == names.FIELD_MANAGER_OPERATOR
                and names.LABEL_REPOSITORY not in labels
            ):
                yield Reference.of(live)
    for entry in project.status.inventory:
        reference = Reference.from_entry(entry)
        if reference is not None and reference.namespace == namespace:
            yield reference


async def retain_volume(context: Context, project: Project) -> None:
    """Let the volume outlive its claim, whatever its class says."""
    namespace = names.project_namespace(project.project_id)
    claim = context.caches.live(PERSISTENT_VOLUME_CLAIMS, (namespace, CLAIM_NAME))
    volume_name = (claim or {}).get("spec", {}).get("volumeName")
    volume = context.caches.live(PERSISTENT_VOLUMES, ("", volume_name)) if volume_name else None
    if volume is None or volume["spec"].get("persistentVolumeReclaimPolicy") == "Retain":
        return
    written = await context.client.apply(
        PERSISTENT_VOLUMES, retained_volume(volume_name), field_manager=names.FIELD_MANAGER_OPERATOR
    )
    context.caches.observe(written)
