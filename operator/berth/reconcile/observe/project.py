"""Observations for the status of a project, after the writes of a reconcile."""

from __future__ import annotations

from collections.abc import Iterable

from berth.api import names
from berth.api.conditions import ConditionType
from berth.api.project import InventoryEntry, Project, PullSecretStatus
from berth.desired.registry.claim import CLAIM_NAME
from berth.kube.resources import DOCKER_REPOSITORIES, PERSISTENT_VOLUME_CLAIMS, Manifest
from berth.reconcile.context import Context
from berth.reconcile.observe import children
from berth.reconcile.observe.subjects import observe_people, sharing_subjects
from berth.reconcile.watch.access_readiness import serves
from berth.status.observed import (
    ApplyFailure,
    ObservedAccess,
    ObservedClaim,
    ObservedNamespace,
    ObservedPod,
    ObservedProbe,
    ProjectObservation,
)


async def observe_project(
    context: Context,
    project: Project,
    *,
    namespace: ObservedNamespace | None,
    keys_ready: bool,
    policy_written: bool,
    failure: ApplyFailure | None,
    inventory: tuple[InventoryEntry, ...],
    pull_secrets: tuple[PullSecretStatus, ...],
) -> ProjectObservation:
    """Everything that `compute_project_status` needs. Requests a write probe when one is due."""
    caches, project_id = context.caches, project.project_id
    name = names.project_namespace(project_id)
    claim = await _claim(context, name)
    wanted_class = project.spec.storage.persistent_volume_claim.storage_class_name
    pods = children.registry_pods(caches, project_id)
    return ProjectObservation(
        host=context.settings.host,
        registry_version=context.settings.registry_version,
        namespace=namespace,
        claim=claim,
        storage_class=children.observe_storage_class(caches, (claim.storage_class if claim else "") or wanted_class),
        deployment=children.observe_deployment(caches, name),
        pods=tuple([await _pod(context, pod) for pod in pods]),
        probe=_probe(context, project, pods),
        access=ObservedAccess(
            policy_state=children.policy_state(caches, name, names.PROJECT_POLICY_NAME) if policy_written else None,
            signing_keys_ready=keys_ready,
            is_serving=serves(caches.access_pods()),
        ),
        subjects=observe_people(
            sharing_subjects(project.spec.sharing), caches, public_allowed=context.settings.allow_public
        ),
        pull_secrets=pull_secrets,
        failure=failure,
        repositories=len(caches.in_namespace(DOCKER_REPOSITORIES, name)),
        inventory=inventory,
    )


def _probe(context: Context, project: Project, pods: Iterable[Manifest]) -> ObservedProbe | None:
    reported = project.status.condition(ConditionType.STORAGE_READY)
    return context.probes.latest(
        project.project_id,
        children.ready_pods(pods),
        reported_ready=reported is not None and reported.status == "True",
        request=(project.metadata.annotations or {}).get(names.ANNOTATION_RECONCILE_REQUESTED, ""),
    )


async def _claim(context: Context, namespace: str) -> ObservedClaim | None:
    live = context.caches.live(PERSISTENT_VOLUME_CLAIMS, (namespace, CLAIM_NAME))
    if live is None:
        return None
    bound = (live.get("status") or {}).get("phase") == "Bound"
    return children.observe_claim(live, "" if bound else await children.warning_event(context.client, live))


async def _pod(context: Context, live: Manifest) -> ObservedPod:
    """One pod. Its events are read only while no container was started, when nothing else explains it."""
    observed = children.observe_pod(live)
    if observed.ready or observed.unschedulable or any(c.restarts or c.waiting_message for c in observed.containers):
        return observed
    return children.observe_pod(live, await children.warning_event(context.client, live))
