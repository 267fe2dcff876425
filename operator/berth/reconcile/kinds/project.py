"""Reconcile a `Project`.

Each step gathers once and writes once: namespace, pull secrets, inputs, children, prune, observe, status. Pull secrets
come before the inputs, because the AccessPolicy says when their tokens end. Level-triggered: a reconcile compares the
present state, not what changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from berth.api import names
from berth.api.conditions import ConditionType
from berth.api.project import InventoryEntry, Project
from berth.desired.registry.secret import SECRET_NAME
from berth.kube.errors import KubeError
from berth.kube.resources import SECRETS, Manifest, ObjectKey
from berth.reconcile.context import Context
from berth.reconcile.kinds.project_children import (
    Applied,
    NamespaceResult,
    apply_children,
    apply_namespace,
    retain_volume,
)
from berth.reconcile.observe.children import observe_project_namespace
from berth.reconcile.observe.project import observe_project
from berth.reconcile.outcome import (
    NEEDS_PERSON,
    STALLED_RESYNC_SECONDS,
    Done,
    Outcome,
    Retrying,
    Stalled,
    Waiting,
    sooner,
)
from berth.reconcile.pull_secrets.service import PULL_KINDS, Served
from berth.reconcile.write import finalizer
from berth.reconcile.write.status import is_true
from berth.status.project import compute_project_status

PROGRESS_RESYNC_SECONDS: Final = 10.0  # fallback while something is in progress, for what no watch reports (events)


async def reconcile_project(context: Context, project: Project, live: Manifest) -> Outcome:
    """Make the project as its spec says; write its status when it differs."""
    namespace = observe_project_namespace(context.caches, project)
    if project.metadata.being_deleted and (namespace is None or namespace.project != project.project_id):
        await finalizer.remove(context.client, context.caches, live)  # there is no data that it could protect
        return Done()
    live = await finalizer.add(context.client, context.caches, live)
    namespace_result = await apply_namespace(context, project, namespace)
    served, error = await _serve_pull_secrets(context, project, namespace_result)
    applied = await apply_children(context, project, namespace_result)
    await retain_volume(context, project)
    if error is not None:
        raise error
    return await _write_status(context, project, live, namespace_result, served, applied)


async def forget_project(context: Context, key: ObjectKey) -> None:
    """Revoke the pull secrets of a project that is gone, and stop watching its Secrets."""
    _, name = key
    await context.pull_secrets.forget(name)
    context.probes.forget(name)
    context.caches.unfollow_secrets(names.project_namespace(name))


async def _serve_pull_secrets(
    context: Context, project: Project, namespace_result: NamespaceResult
) -> tuple[Served, KubeError | None]:
    """The pull secrets; untouched while the project is being deleted, or its namespace is not ready.

    An error is returned, so that trouble in a namespace of other people keeps no child from being written.
    """
    if project.metadata.being_deleted or not namespace_result.is_ready:
        return context.pull_secrets.untouched(project), None
    try:
        return await context.pull_secrets.serve(project), None
    except KubeError as error:
        return context.pull_secrets.untouched(project), error


def _with_pull_secrets(inventory: Iterable[InventoryEntry], served: Served) -> tuple[InventoryEntry, ...]:
    """The children, and the present objects of pull secrets instead of the recorded ones."""
    children = (entry for entry in inventory if entry.kind not in PULL_KINDS and not _is_pull_secret(entry))
    return (*children, *served.inventory)


def _is_pull_secret(entry: InventoryEntry) -> bool:
    return entry.kind == SECRETS.kind and entry.name != SECRET_NAME


async def _write_status(
    context: Context,
    project: Project,
    live: Manifest,
    namespace_result: NamespaceResult,
    served: Served,
    applied: Applied,
) -> Outcome:
    """Observe after the writes, so that the status has what happened meanwhile; write it; decide the next reconcile."""
    observed = await observe_project(
        context,
        project,
        namespace=namespace_result.namespace,
        keys_ready=namespace_result.keys is not None,
        policy_written=applied.policy_written,
        failure=applied.failure,
        inventory=_with_pull_secrets(applied.inventory, served),
        pull_secrets=served.statuses,
    )
    status = compute_project_status(project, observed, context.now())
    held_back = await context.statuses.write(live, status)
    probe_due = min(context.probes.next_due(project.project_id), served.resync_after)
    if is_true(status, ConditionType.STALLED):
        return Stalled(NEEDS_PERSON, min(STALLED_RESYNC_SECONDS, probe_due, held_back or probe_due))
    if applied.failure is not None:
        return Retrying(applied.failure.message)
    if is_true(status, ConditionType.READY):
        return Done(sooner(probe_due, held_back))
    pause = min(PROGRESS_RESYNC_SECONDS, probe_due, held_back or PROGRESS_RESYNC_SECONDS)
    return Waiting("the status says what is in progress", pause)
