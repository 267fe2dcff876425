"""The status of a `Project`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from berth.api.conditions import ConditionReason, ConditionType
from berth.api.names import LABEL_PROJECT, project_namespace
from berth.api.policy import PolicyState
from berth.api.project import Project, ProjectStatus, PullSecretStatus, StorageStatus
from berth.status.conditions import Finding, conclude, progressing, quote, settled, stalled
from berth.status.observed import ProbeOutcome, ProjectObservation
from berth.status.registry import judge_registry
from berth.status.storage import judge_storage
from berth.status.subjects import judge_administered, judge_sharing

_SHOWN = 10  # names in one sentence


def compute_project_status(project: Project, observed: ProjectObservation, now: datetime) -> dict[str, Any]:
    """The whole status as the API server takes it. `now` matters only where a condition's status changes."""
    findings = judge_project(project, observed)
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


def judge_project(project: Project, observed: ProjectObservation) -> tuple[Finding, ...]:
    """Every finding, causes before effects."""
    stopped_for = _stopped_for(project)
    blocked = _blocked(project, observed)
    found = [] if blocked is None else [blocked]
    storage = judge_storage(project, observed, stopped=bool(stopped_for))
    # Why a claim is refused is told better by its storage class and size than by the API server.
    about_claim = observed.failure is not None and observed.failure.kind == "PersistentVolumeClaim"
    found.insert(0 if about_claim and storage.stalled else len(found), storage)
    found.append(judge_registry(project, observed, stopped_for=stopped_for))
    found.append(judge_access(project, observed))
    found.append(judge_sharing(project.spec.sharing, observed.people))
    found.append(judge_administered(project.spec.sharing, observed.people))
    if observed.pull_secrets:
        found.append(judge_pull_secrets(observed.pull_secrets))
    found.append(judge_trash(project))
    if project.spec.suspend:
        sentence = "spec.suspend is true: the registry is scaled to zero and every request is refused."
        found.append(settled(ConditionType.SUSPENDED, "True", ConditionReason.SUSPENDED, sentence))
    return tuple(found)


def judge_access(project: Project, observed: ProjectObservation) -> Finding:
    """`AccessReady`: the policy is written, access serves, and the registry takes the tokens of the installation."""
    about, access = ConditionType.ACCESS_READY, observed.access
    if not access.signing_ready:
        sentence = "Berth's keys are not made yet: see the log of the operator."
        return progressing(about, "False", ConditionReason.INSTALLATION_NOT_READY, sentence)
    if not access.serves:
        sentence = (
            "No Pod of Berth's access service is ready, so nobody can pull or push: see its Deployment in Berth's "
            "own namespace."
        )
        return progressing(about, "False", ConditionReason.INSTALLATION_NOT_READY, sentence)
    wanted = policy_state(project)
    if access.policy_state is not wanted:
        sentence = f"The AccessPolicy of project {project.project_id} does not say {wanted.value} yet."
        return progressing(about, "False", ConditionReason.POLICY_PENDING, sentence)
    if observed.probe is not None and observed.probe.outcome is ProbeOutcome.REFUSED:
        said = f" ({quote(observed.probe.message)})" if observed.probe.message else ""
        sentence = f"The registry does not take Berth's tokens yet{said}; a new token CA reaches it with its restart."
        return progressing(about, "False", ConditionReason.PROGRESSING, sentence)
    return settled(about, "True", ConditionReason.POLICY_APPLIED, "Sharing is in force.")


def judge_pull_secrets(statuses: tuple[PullSecretStatus, ...]) -> Finding:
    """`PullSecretsServed`. Always settled: whether a namespace lets Berth in is for its owner to say."""
    about = ConditionType.PULL_SECRETS_SERVED
    refused = [status.namespace for status in statuses if not status.served]
    if not refused:
        return settled(about, "True", ConditionReason.SERVED, f"{len(statuses)} of {len(statuses)} namespaces served.")
    named = ", ".join(refused[:_SHOWN]) + (f" and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else "")
    sentence = f"Without a pull secret: {named}; status.pullSecrets says why and what to do."
    return settled(about, "False", ConditionReason.NOT_SERVED, sentence)


def judge_trash(project: Project) -> Finding:
    """`Trashed`: a deleted project is in the trash too."""
    about = ConditionType.TRASHED
    if project.metadata.being_deleted:
        sentence = (
            f"Project {project.project_id} is being deleted: every request is refused, the registry is stopped, "
            f"and namespace {project_namespace(project.project_id)} is kept with all its data. To bring it back: "
            f'kubectl patch project {project.project_id} --type=merge -p \'{{"metadata":{{"finalizers":null}}}}\', '
            "then apply the same Project again."
        )
        return progressing(about, "True", ConditionReason.PROJECT_DELETED, sentence)
    if project.spec.trashed:
        sentence = "Every request is refused and nothing is lost; set spec.trashed to false to restore."
        return settled(about, "True", ConditionReason.PROJECT_TRASHED, sentence)
    return settled(about, "False", ConditionReason.NOT_TRASHED, "Not in the trash.")


def policy_state(project: Project) -> PolicyState:
    """The state that the project's `AccessPolicy` should tell."""
    if project.spec.trashed or project.metadata.being_deleted:
        return PolicyState.TRASHED
    return PolicyState.SUSPENDED if project.spec.suspend else PolicyState.ACTIVE


def _blocked(project: Project, observed: ProjectObservation) -> Finding | None:
    """What keeps Berth from writing at all."""
    name, seen = project_namespace(project.project_id), observed.namespace
    if seen is not None and seen.project != project.project_id:
        return stalled(
            None,
            "False",
            ConditionReason.NAMESPACE_TAKEN,
            f"Namespace {name} exists and is not Berth's: remove it, or give it to this project with "
            f"kubectl label namespace {name} {LABEL_PROJECT}={project.project_id}.",
        )
    if seen is not None and seen.terminating:
        sentence = f"Namespace {name} is being deleted by somebody; it is made again when it is gone."
        return progressing(None, "False", ConditionReason.NAMESPACE_TERMINATING, sentence)
    failure = observed.failure
    if failure is None:
        return None
    sentence = f"The API server refuses {failure.kind} {failure.name}: {quote(failure.message)}."
    judge = stalled if failure.permanent else progressing
    return judge(None, "False", ConditionReason.APPLY_REFUSED, sentence)


def _stopped_for(project: Project) -> str:
    if project.metadata.being_deleted:
        return "the project is being deleted"
    return "spec.suspend is true" if project.spec.suspend else ""


def _address(project: Project, observed: ProjectObservation) -> str:
    return f"{observed.host}/{project.project_id}"


def _ready(project: Project, observed: ProjectObservation) -> Finding:
    """What Ready says when nothing is left to do."""
    if project.spec.trashed:
        reason, sentence = ConditionReason.PROJECT_TRASHED, "In the trash; set spec.trashed to false to restore."
    elif project.spec.suspend:
        reason, sentence = ConditionReason.SUSPENDED, "Suspended; set spec.suspend to false to go on."
    else:
        reason, sentence = ConditionReason.READY, f"Images are at {_address(project, observed)}/<repository>:<tag>."
    return settled(None, "True", reason, sentence)
