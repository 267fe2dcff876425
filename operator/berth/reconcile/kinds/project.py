"""One pass over a `Project`: finalizer, children, status. Level-triggered: it looks at what is, not at what changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from berth.api import names
from berth.api.conditions import ConditionType
from berth.api.project import InventoryEntry, Project
from berth.desired.registry.secret import SECRET_NAME
from berth.desired.sharing.access_policy import build_project_policy
from berth.kube.resources import (
    SECRETS,
    Manifest,
    ObjectKey,
)
from berth.reconcile.context import Context
from berth.reconcile.kinds.project_children import Applied, apply_children, retain_volume
from berth.reconcile.observe.children import observe_project_namespace
from berth.reconcile.observe.inputs import project_inputs
from berth.reconcile.observe.project import observe_project
from berth.reconcile.outcome import Done, Outcome, Retrying, Stalled, Waiting, sooner
from berth.reconcile.pull_secrets.service import PULL_KINDS, Served
from berth.reconcile.write import finalizer
from berth.reconcile.write.status import is_true
from berth.status.project import compute_project_status

LOOK_AGAIN: Final = 10.0  # seconds; fallback while something is under way, for what no watch tells (events)
STALLED_AGAIN: Final = 300.0  # seconds; for obstacles whose end no watch reports, such as somebody's webhook


async def reconcile_project(context: Context, project: Project, live: Manifest) -> Outcome:
    """Make the project as its spec says; write its status when it differs."""
    space = observe_project_namespace(context.caches, project)
    if project.metadata.being_deleted and (space is None or space.project != project.project_id):
        await finalizer.release(context.client, context.caches, live)  # it holds no data
        return Done()
    live = await finalizer.hold(context.client, context.caches, live)
    applied = await apply_children(context, project, space)
    await retain_volume(context, project)
    return await _tell(context, project, live, applied, await _serve(context, project, applied))


async def forget_project(context: Context, key: ObjectKey) -> None:
    """Revoke the pull secrets of a project that is gone, and stop watching its Secrets."""
    _, name = key
    await context.pull_secrets.forget(name)
    context.probes.forget(name)
    context.caches.unfollow_secrets(names.project_namespace(name))


async def _serve(context: Context, project: Project, applied: Applied) -> Served:
    """Its pull secrets; they stay as they are while the project is being deleted, or can not be served at all."""
    if project.metadata.being_deleted or not applied.ground:
        return context.pull_secrets.as_they_are(project)
    served = await context.pull_secrets.serve(project)
    inputs = project_inputs(project, context.caches, context.settings, context.version)
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


async def _tell(context: Context, project: Project, live: Manifest, applied: Applied, served: Served) -> Outcome:
    """Look at everything after the writes, so that what happened meanwhile is in the status, and write that."""
    observed = await observe_project(
        context,
        project,
        space=observe_project_namespace(context.caches, project),
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
