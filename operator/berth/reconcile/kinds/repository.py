"""Reconcile a `DockerRepository`: its finalizer, its `AccessPolicy`, the operator's part of its status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from berth.api import names
from berth.api.conditions import ConditionType
from berth.api.policy import PolicyState
from berth.api.repository import DockerRepository
from berth.desired.inputs import RepositoryInputs
from berth.desired.repository import desired_repository
from berth.desired.sharing.access_policy import repository_label, repository_policy_name
from berth.kube.apply import Reference
from berth.kube.resources import ACCESS_POLICIES, DOCKER_REPOSITORIES, PROJECTS, Manifest, ObjectKey
from berth.reconcile.context import Context
from berth.reconcile.observe import children
from berth.reconcile.observe.children import first_failure
from berth.reconcile.observe.subjects import observe_people, sharing_subjects
from berth.reconcile.outcome import NEEDS_PERSON, Done, Outcome, Retrying, Stalled, Waiting
from berth.reconcile.write import finalizer
from berth.reconcile.write.status import is_true
from berth.status.observed import ApplyFailure, ObservedNamespace, RepositoryObservation
from berth.status.repository import compute_repository_status

PROGRESS_RESYNC_SECONDS: Final = 10.0  # fallback while something is in progress


async def reconcile_repository(context: Context, repository: DockerRepository, live: Manifest) -> Outcome:
    """Make the repository's policy as its spec says; write its status when it differs."""
    namespace = repository.metadata.namespace or ""
    space = children.observe_namespace(context.caches, namespace)
    claimed_by = _claimed_by(context, repository, namespace)
    if repository.metadata.being_deleted and not _has_data(space, claimed_by):
        await finalizer.remove(context.client, context.caches, live)
        return Done()
    if _has_data(space, claimed_by):
        live = await finalizer.add(context.client, context.caches, live)
    failure = await _apply(context, repository, space, claimed_by)
    return await _write_status(context, repository, live, space, claimed_by, failure)


async def forget_repository(context: Context, key: ObjectKey) -> None:
    """Prune the policy of a repository that is gone."""
    await context.applier.prune(_policies(context, *key), ())


def _has_data(space: ObservedNamespace | None, claimed_by: str) -> bool:
    """Whether the object has data that a delete must not lose.

    One outside a project, or with the path of another one, has none. One in a namespace that is being deleted cannot
    be kept: a finalizer would only keep the namespace Terminating forever.
    """
    return space is not None and bool(space.project) and not space.terminating and not claimed_by


def _claimed_by(context: Context, repository: DockerRepository, namespace: str) -> str:
    found = (
        context.caches.live(DOCKER_REPOSITORIES, (namespace, name))
        for name in context.enqueuer.claimants(namespace, repository.path)
    )
    return children.older_claimant(repository, [other for other in found if other is not None])


async def _apply(
    context: Context, repository: DockerRepository, space: ObservedNamespace | None, claimed_by: str
) -> ApplyFailure | None:
    namespace, name = repository.metadata.namespace or "", repository.metadata.name
    desired: tuple[Manifest, ...] = ()
    if space is not None and space.project and not space.terminating:
        inputs = RepositoryInputs(
            project_id=space.project,
            instance=context.settings.instance,
            deleted=repository.metadata.being_deleted,
            allow_public=context.settings.allow_public,
            claimed_by=claimed_by,
            berth_version=context.version,
        )
        desired = desired_repository(repository, inputs)
    applied = await context.applier.apply_all(desired)
    pruned = await context.applier.prune(_policies(context, namespace, name), desired)
    return first_failure(applied) or first_failure(pruned)


def _policies(context: Context, namespace: str, name: str) -> Iterator[Reference]:
    """The present policy of this repository."""
    live = context.caches.live(ACCESS_POLICIES, (namespace, repository_policy_name(name)))
    labels = (live["metadata"].get("labels") or {}) if live else {}
    if live is not None and labels.get(names.LABEL_REPOSITORY) == repository_label(name):
        yield Reference.of(live)


async def _write_status(
    context: Context,
    repository: DockerRepository,
    live: Manifest,
    space: ObservedNamespace | None,
    claimed_by: str,
    failure: ApplyFailure | None,
) -> Outcome:
    caches, namespace = context.caches, repository.metadata.namespace or ""
    project_id = space.project if space else ""
    project = caches.live(PROJECTS, ("", project_id)) if project_id else None
    observed = RepositoryObservation(
        host=context.settings.host,
        project=project_id,
        project_exists=project is not None,
        project_state=children.project_state(project),
        claimed_by=claimed_by,
        policy_state=_own_policy_state(context, repository, namespace),
        subjects=observe_people(
            sharing_subjects(repository.spec.local_sharing or ()), caches, public_allowed=context.settings.allow_public
        ),
        failure=failure,
    )
    status = compute_repository_status(repository, observed, context.now())
    held_back = await context.statuses.write(live, status)
    if held_back is None and is_true(status, ConditionType.STALLED):
        return Stalled(NEEDS_PERSON)
    if failure is not None:
        return Retrying(failure.message)
    if is_true(status, ConditionType.READY) or repository.metadata.being_deleted:
        return Done(held_back)
    pause = min(PROGRESS_RESYNC_SECONDS, held_back or PROGRESS_RESYNC_SECONDS)
    return Waiting("the status says what is in progress", pause)


def _own_policy_state(context: Context, repository: DockerRepository, namespace: str) -> PolicyState | None:
    name = repository.metadata.name
    if not any(_policies(context, namespace, name)):
        return None
    return children.policy_state(context.caches, namespace, repository_policy_name(name))
