"""The status of a `Project`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from berth.api.conditions import ConditionReason, ConditionType
from berth.api.names import LABEL_PROJECT, project_namespace
from berth.api.policy import PolicyState
from berth.api.project import Project, ProjectStatus, PullSecretStatus, StorageStatus
from berth.status.conditions import (
    Finding,
    conclude,
    name_some,
    parenthesize,
    progressing,
    refused_child,
    settled,
    stalled,
)
from berth.status.observed import ProbeOutcome, ProjectObservation
from berth.status.registry import compute_registry_available
from berth.status.storage import compute_storage_ready
from berth.status.subjects import compute_administered, compute_sharing_subjects


def compute_project_status(project: Project, observed: ProjectObservation, now: datetime) -> dict[str, Any]:
    """The whole status. `now` is used only where a condition's status changes."""
    findings = compute_findings(project, observed)
    claim = observed.claim
    status = ProjectStatus(
        observed_generation=project.metadata.generation,
        conditions=conclude(
            findings, _ready(project, observed), project.status.conditions, project.metadata.generation, now
        ),
        namespace=observed.namespace.name if observed.namespace else None,
        address=_address(project, observed),
        registry_version=observed.registry_version if observed.deployment else None,
        storage=StorageStatus(capacity=claim.capacity) if claim and claim.capacity else None,
        repositories=observed.repositories,
        pull_secrets=observed.pull_secrets,
        inventory=observed.inventory,
    )
    return status.to_dict()


def compute_findings(project: Project, observed: ProjectObservation) -> tuple[Finding, ...]:
    """All findings, causes before effects."""
    stop_reason = _stop_reason(project)
    blocked = _blocked(project, observed)
    found = [] if blocked is None else [blocked]
    storage = compute_storage_ready(project, observed, stopped=bool(stop_reason))
    # The storage class and size explain a refused claim better than the API server's message.
    is_about_claim = observed.failure is not None and observed.failure.kind == "PersistentVolumeClaim"
    found.insert(0 if is_about_claim and storage.stalled else len(found), storage)
    found.append(compute_registry_available(project, observed, stop_reason=stop_reason))
    found.append(compute_access_ready(project, observed))
    found.append(compute_sharing_subjects(project.spec.sharing, observed.subjects))
    found.append(compute_administered(project.spec.sharing, observed.subjects))
    if observed.pull_secrets:
        found.append(compute_pull_secrets_served(observed.pull_secrets))
    found.append(compute_trashed(project))
    if project.spec.suspend:
        sentence = "spec.suspend is true: the registry is scaled to zero and every request is refused."
        found.append(settled(ConditionType.SUSPENDED, "True", ConditionReason.SUSPENDED, sentence))
    return tuple(found)


def compute_access_ready(project: Project, observed: ProjectObservation) -> Finding:
    """`AccessReady`: the policy is written, access is serving, and the registry accepts Berth's tokens."""
    access_ready, access = ConditionType.ACCESS_READY, observed.access
    if not access.signing_keys_ready:
        sentence = "Berth's keys do not exist yet: see the log of the operator."
        return progressing(access_ready, "False", ConditionReason.INSTALLATION_NOT_READY, sentence)
    if not access.is_serving:
        sentence = (
            "No Pod of Berth's access service is ready, so every pull and push fails: see its Deployment in Berth's "
            "own namespace."
        )
        return progressing(access_ready, "False", ConditionReason.INSTALLATION_NOT_READY, sentence)
    desired = policy_state(project)
    if access.policy_state is not desired:
        sentence = f"The AccessPolicy of project {project.project_id} does not have state {desired.value} yet."
        return progressing(access_ready, "False", ConditionReason.POLICY_PENDING, sentence)
    if observed.probe is not None and observed.probe.outcome is ProbeOutcome.REFUSED:
        detail = parenthesize(observed.probe.message)
        sentence = f"The registry does not accept Berth's tokens yet{detail}; it reads a new token CA when it restarts."
        return progressing(access_ready, "False", ConditionReason.PROGRESSING, sentence)
    return settled(access_ready, "True", ConditionReason.POLICY_APPLIED, "Sharing is in force.")


def compute_pull_secrets_served(statuses: tuple[PullSecretStatus, ...]) -> Finding:
    """`PullSecretsServed`. Always settled: the owner of a namespace decides whether it gets a pull secret."""
    served = ConditionType.PULL_SECRETS_SERVED
    refused = [status.namespace for status in statuses if not status.served]
    if not refused:
        return settled(served, "True", ConditionReason.SERVED, f"{len(statuses)} of {len(statuses)} namespaces served.")
    sentence = f"Without a pull secret: {name_some(refused)}; status.pullSecrets says why and what to do."
    return settled(served, "False", ConditionReason.NOT_SERVED, sentence)


def compute_trashed(project: Project) -> Finding:
    """`Trashed`. A deleted project is in the trash too."""
    trashed = ConditionType.TRASHED
    if project.metadata.being_deleted:
        sentence = (
            f"Project {project.project_id} is being deleted: every request is refused, the registry is stopped, "
            f"and namespace {project_namespace(project.project_id)} is kept with all its data. To bring it back: "
            f'kubectl patch project {project.project_id} --type=merge -p \'{{"metadata":{{"finalizers":null}}}}\', '
            "then apply the same Project again."
        )
        return progressing(trashed, "True", ConditionReason.PROJECT_DELETED, sentence)
    if project.spec.trashed:
        sentence = "Every request is refused and nothing is lost; set spec.trashed to false to restore."
        return settled(trashed, "True", ConditionReason.PROJECT_TRASHED, sentence)
    return settled(trashed, "False", ConditionReason.NOT_TRASHED, "Not in the trash.")


def policy_state(project: Project) -> PolicyState:
    """The desired state of the project's `AccessPolicy`."""
    if project.spec.trashed or project.metadata.being_deleted:
        return PolicyState.TRASHED
    return PolicyState.SUSPENDED if project.spec.suspend else PolicyState.ACTIVE


def _blocked(project: Project, observed: ProjectObservation) -> Finding | None:
    """Why Berth cannot write the project's children."""
    name, namespace = project_namespace(project.project_id), observed.namespace
    if namespace is not None and namespace.project != project.project_id:
        return stalled(
            None,
            "False",
            ConditionReason.NAMESPACE_TAKEN,
            f"Namespace {name} exists and does not belong to this project: remove it, or give it to the project with "
            f"kubectl label namespace {name} {LABEL_PROJECT}={project.project_id}.",
        )
    if namespace is not None and namespace.terminating:
        sentence = f"Namespace {name} is being deleted; Berth creates it again when it is gone."
        return progressing(None, "False", ConditionReason.NAMESPACE_TERMINATING, sentence)
    return None if observed.failure is None else refused_child(observed.failure)


def _stop_reason(project: Project) -> str:
    """Why the registry should be stopped, as a clause; empty when it should run."""
    if project.metadata.being_deleted:
        return "the project is being deleted"
    return "spec.suspend is true" if project.spec.suspend else ""


def _address(project: Project, observed: ProjectObservation) -> str:
    return f"{observed.host}/{project.project_id}"


def _ready(project: Project, observed: ProjectObservation) -> Finding:
    """The finding shown by Ready when all others are settled."""
    if project.spec.trashed:
        reason, sentence = ConditionReason.PROJECT_TRASHED, "In the trash; set spec.trashed to false to restore."
    elif project.spec.suspend:
        reason, sentence = ConditionReason.SUSPENDED, "Suspended; set spec.suspend to false to resume."
    else:
        reason, sentence = ConditionReason.READY, f"Images are at {_address(project, observed)}/<repository>:<tag>."
    return settled(None, "True", reason, sentence)
