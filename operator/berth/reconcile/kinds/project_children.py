"""Write and prune the children of a project."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from berth.api import names
from berth.api.project import InventoryEntry, Project
from berth.desired.project import desired_project
from berth.desired.registry.claim import CLAIM_NAME, retained_volume
from berth.kube.apply import PRUNABLE, Reference
from berth.kube.resources import ACCESS_POLICIES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from berth.reconcile.context import Context
from berth.reconcile.observe.children import first_failure
from berth.reconcile.observe.inputs import project_inputs
from berth.status.observed import ApplyFailure, ObservedNamespace

RIGHTS_LIMIT: Final = 3.0  # seconds; how long a pass waits until its own new RoleBinding takes effect


_GROUND: Final = 2  # the first manifests: the namespace and the operator's own binding in it


@dataclass(frozen=True, slots=True)
class Applied:
    """What one pass did, as far as the status needs it."""

    inventory: tuple[InventoryEntry, ...]
    failure: ApplyFailure | None = None
    keys_ready: bool = True
    ground: bool = True  # the namespace is there and the project's
    policy: bool = False  # the AccessPolicy says what the spec says


async def apply_children(context: Context, project: Project, space: ObservedNamespace | None) -> Applied:
    """Write what differs, prune what is not wanted; nothing at all where the namespace is not (or no longer) ours."""
    before = project.status.inventory
    if space is not None and (space.terminating or space.project != project.project_id):
        return Applied(before, ground=False)
    inputs = project_inputs(project, context.caches, context.settings, context.version)
    if inputs is None:
        return Applied(before, keys_ready=False, ground=False)
    desired = desired_project(project, inputs)
    references = [Reference.of(manifest) for manifest in desired]
    ground = await context.applier.apply_all(desired[:_GROUND])
    failure = first_failure(ground) or await _await_rights(context, project)
    if failure is not None:
        return Applied(_inventory(references[:_GROUND], before), failure, ground=False)
    rest = await context.applier.apply_all(desired[_GROUND:])
    pruned = await context.applier.prune(_candidates(context, project), desired)
    kept = [*references, *(refusal.reference for refusal in pruned.refusals)]
    policy = all(refusal.reference.kind != ACCESS_POLICIES.kind for refusal in rest.refusals)
    return Applied(_inventory(kept, ()), first_failure(rest) or first_failure(pruned), policy=policy)


def _inventory(references: Iterable[Reference], before: Iterable[InventoryEntry]) -> tuple[InventoryEntry, ...]:
    """What stands there now, each object once: nothing leaves the inventory before it is pruned."""
    entries = {reference: reference.entry() for reference in references}
    for entry in before:
        reference = Reference.from_entry(entry)
        if reference is not None:
            entries.setdefault(reference, entry)
    return tuple(entries.values())


async def _await_rights(context: Context, project: Project) -> ApplyFailure | None:
    """Wait until the operator may read the Secrets of the namespace: its own binding takes a moment to take effect."""
    known = context.caches.follow_secrets(names.project_namespace(project.project_id))
    try:
        await asyncio.wait_for(known.wait(), RIGHTS_LIMIT)
    except TimeoutError:
        sentence = f"ClusterRole {context.settings.project_cluster_role} does not give the operator its rights yet"
        return ApplyFailure("RoleBinding", "berth-operator", sentence)
    return None


def _candidates(context: Context, project: Project) -> Iterable[Reference]:
    """What may be pruned: children by label, and what the inventory names. Children of repositories are theirs."""
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
