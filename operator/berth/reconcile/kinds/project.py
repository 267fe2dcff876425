"""One pass over a `Project`: finalizer, children, status. Level-triggered: it looks at what is, not at what changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from berth.api import names
from berth.api.conditions import ConditionType
from berth.api.project import InventoryEntry, Project
from berth.desired.project import desired_project
from berth.desired.registry.claim import CLAIM_NAME, retained_volume
from berth.desired.registry.secret import SECRET_NAME
from berth.desired.sharing.access_policy import build_project_policy
from berth.kube.apply import PRUNABLE, ChangeSet, Reference
from berth.kube.errors import Invalid
from berth.kube.resources import (
    ACCESS_POLICIES,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PROJECTS,
    SECRETS,
    Manifest,
)
from berth.reconcile.context import Context
from berth.reconcile.observe import children
from berth.reconcile.observe.decode import Unreadable, read, tell_unreadable
from berth.reconcile.observe.project import observe_project
from berth.reconcile.outcome import Done, Outcome, Retrying, Stalled, Waiting, sooner
from berth.reconcile.pull_secrets.service import PULL_KINDS, Served
from berth.reconcile.write import finalizer
from berth.reconcile.write.status import is_true
from berth.status.observed import ApplyFailure, NamespaceSeen
from berth.status.project import compute_project_status

RIGHTS_LIMIT: Final = 3.0  # seconds; how long a pass waits until its own new RoleBinding takes effect
LOOK_AGAIN: Final = 10.0  # seconds; fallback while something is under way, for what no watch tells (events)
STALLED_AGAIN: Final = 300.0  # seconds; for obstacles whose end no watch reports, such as somebody's webhook
_GROUND: Final = 2  # the first manifests: the namespace and the operator's own binding in it


@dataclass(frozen=True, slots=True)
class _Applied:
    """What one pass did, as far as the status needs it."""

    inventory: tuple[InventoryEntry, ...]
    failure: ApplyFailure | None = None
    keys_ready: bool = True
    ground: bool = True  # the namespace is there and the project's
    policy: bool = False  # the AccessPolicy says what the spec says


async def reconcile_project(context: Context, name: str) -> Outcome:
    """Make the project as its spec says; write its status when it differs."""
    caches = context.caches
    live = caches.live(PROJECTS, ("", name))
    if live is None:
        return await _gone(context, name)
    try:
        project = read(Project, live)
    except Unreadable as error:
        return await tell_unreadable(context, live, error)
    space = _namespace(context, project)
    if project.metadata.being_deleted and (space is None or space.project != name):
        await finalizer.release(context.client, caches, live)  # nothing is kept that it could stand for
        return Done()
    live = await finalizer.hold(context.client, caches, live)
    applied = await _apply(context, project, space)
    await _retain_volume(context, project)
    return await _tell(context, project, live, applied, await _serve(context, project, applied))


async def _gone(context: Context, name: str) -> Outcome:
    await context.pull_secrets.forget(name)
    context.probes.forget(name)
    context.statuses.forget(PROJECTS.kind, ("", name))
    context.caches.unfollow_secrets(names.project_namespace(name))
    return Done()


def _namespace(context: Context, project: Project) -> NamespaceSeen | None:
    """The project's namespace. One that Berth made stays the project's when somebody takes its label away."""
    name = names.project_namespace(project.project_id)
    seen = children.namespace_seen(context.caches, name)
    if seen is None or seen.project:
        return seen
    found = context.caches.live(NAMESPACES, ("", name)) or {"metadata": {}}
    made_here = names.ANNOTATION_DESIRED_HASH in (found["metadata"].get("annotations") or {})
    recorded = any(entry.kind == NAMESPACES.kind and entry.name == name for entry in project.status.inventory)
    return NamespaceSeen(name, seen.terminating, project.project_id) if made_here and recorded else seen


async def _apply(context: Context, project: Project, space: NamespaceSeen | None) -> _Applied:
    """Write what differs, prune what is not wanted; nothing at all where the namespace is not (or no longer) ours."""
    before = project.status.inventory
    if space is not None and (space.terminating or space.project != project.project_id):
        return _Applied(before, ground=False)
    inputs = children.project_inputs(project, context.caches, context.settings, context.version)
    if inputs is None:
        return _Applied(before, keys_ready=False, ground=False)
    desired = desired_project(project, inputs)
    references = [Reference.of(manifest) for manifest in desired]
    ground = await context.applier.apply_all(desired[:_GROUND])
    failure = first_failure(ground) or await _await_rights(context, project)
    if failure is not None:
        return _Applied(_inventory(references[:_GROUND], before), failure, ground=False)
    rest = await context.applier.apply_all(desired[_GROUND:])
    pruned = await context.applier.prune(_candidates(context, project), desired)
    kept = [*references, *(refusal.reference for refusal in pruned.refusals)]
    policy = all(refusal.reference.kind != ACCESS_POLICIES.kind for refusal in rest.refusals)
    return _Applied(_inventory(kept, ()), first_failure(rest) or first_failure(pruned), policy=policy)


def first_failure(changes: ChangeSet) -> ApplyFailure | None:
    """The first object that the API server did not take. What is invalid stays so until somebody changes something."""
    if not changes.refusals:
        return None
    refusal = changes.refusals[0]
    kind, name = refusal.reference.kind, refusal.reference.name
    return ApplyFailure(kind, name, refusal.error.sentence, permanent=isinstance(refusal.error, Invalid))


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


async def _retain_volume(context: Context, project: Project) -> None:
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


async def _serve(context: Context, project: Project, applied: _Applied) -> Served:
    """Its pull secrets; they stay as they are while the project is being deleted, or can not be served at all."""
    if project.metadata.being_deleted or not applied.ground:
        return context.pull_secrets.as_they_are(project)
    served = await context.pull_secrets.serve(project)
    inputs = children.project_inputs(project, context.caches, context.settings, context.version)
    if inputs is not None and project.spec.pull_secrets:
        # The policy tells when their tokens end, and these may be newer. If it is refused, the next pass says so.
        await context.applier.apply_all([build_project_policy(project, inputs)])
    return served


def _with_pull_secrets(inventory: Iterable[InventoryEntry], served: Served) -> tuple[InventoryEntry, ...]:
    """The children, and what was made for pull secrets as it is now."""
    children = (entry for entry in inventory if entry.kind not in PULL_KINDS and not _elsewhere(entry))
    return (*children, *served.inventory)


def _elsewhere(entry: InventoryEntry) -> bool:
    return entry.kind == SECRETS.kind and entry.name != SECRET_NAME


async def _tell(context: Context, project: Project, live: Manifest, applied: _Applied, served: Served) -> Outcome:
    """Look at everything after the writes, so that what happened meanwhile is in the status, and write that."""
    observed = await observe_project(
        context,
        project,
        space=_namespace(context, project),
        keys_ready=applied.keys_ready,
        policy_written=applied.policy,
        failure=applied.failure,
        inventory=_with_pull_secrets(applied.inventory, served),
        pull_secrets=served.statuses,
    )
    status = compute_project_status(project, observed, context.now())
    held_back = await context.statuses.write(live, status)
    probe_due = min(context.probes.next_due(project.project_id), served.look_again)
    if is_true(status, ConditionType.STALLED):
        return Stalled("the status says what a person must do", min(STALLED_AGAIN, probe_due, held_back or probe_due))
    if applied.failure is not None:
        return Retrying(applied.failure.message)
    if is_true(status, ConditionType.READY):
        return Done(sooner(probe_due, held_back))
    return Waiting("the status says what is under way", min(LOOK_AGAIN, probe_due, held_back or LOOK_AGAIN))
