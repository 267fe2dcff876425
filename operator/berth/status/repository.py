"""The operator's part of the status of a `DockerRepository`. Tags, counts and `CatalogInSync` are the catalog's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from berth.api.conditions import ConditionReason, ConditionType
from berth.api.policy import PolicyState
from berth.api.repository import DockerRepository
from berth.status.conditions import Finding, conclude, progressing, quote, settled, stalled
from berth.status.observed import RepositoryObservation
from berth.status.subjects import judge_sharing

OWNED_CONDITIONS = (
    ConditionType.READY,
    ConditionType.RECONCILING,
    ConditionType.STALLED,
    ConditionType.TRASHED,
    ConditionType.PUSHABLE,
    ConditionType.SUBJECTS_KNOWN,
)
"""Conditions that the operator writes on a repository; the list is keyed by type, so others may stand beside them."""


def compute_repository_status(
    repository: DockerRepository, observed: RepositoryObservation, now: datetime
) -> dict[str, Any]:
    """The fields that the operator owns: `observedGeneration`, its conditions, `address`."""
    blocked = _blocked(repository, observed)
    findings = [finding for finding in (blocked, _trashed(repository, observed)) if finding is not None]
    findings.append(_pushable(repository, observed, blocked))
    if repository.spec.local_sharing is not None:
        findings.append(judge_sharing(repository.spec.local_sharing, observed.people))
    generation = repository.metadata.generation
    address = f"{observed.host}/{observed.project}/{repository.path}"
    ready = settled(None, "True", *_ready(repository, address))
    conditions = conclude(findings, ready, repository.status.conditions, generation, now)
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": [condition.to_dict() for condition in conditions],
    }
    if blocked is None and repository.spec.external is None:
        status["address"] = address
    return status


def _blocked(repository: DockerRepository, observed: RepositoryObservation) -> Finding | None:
    """Why the object does not own its path, or its sharing is not in force yet."""
    this = f"DockerRepository {repository.metadata.namespace}/{repository.metadata.name}"
    if not observed.project:
        return stalled(
            None,
            "False",
            ConditionReason.NOT_IN_PROJECT_NAMESPACE,
            f"{this} does not stand in a project's namespace: make it again in berth-<projectId>.",
        )
    if not observed.project_exists:
        sentence = f"{this} has no project: make Project {observed.project}, or remove the repository."
        return stalled(None, "False", ConditionReason.PROJECT_NOT_FOUND, sentence)
    if observed.claimed_by:
        return stalled(
            None,
            "False",
            ConditionReason.PATH_TAKEN,
            f"The older DockerRepository {observed.claimed_by} has the path {repository.path} already: "
            "remove one of the two.",
        )
    if observed.failure is not None:
        failure = observed.failure
        judge = stalled if failure.permanent else progressing
        sentence = f"The API server refuses {failure.kind} {failure.name}: {quote(failure.message)}."
        return judge(None, "False", ConditionReason.APPLY_REFUSED, sentence)
    wanted = _policy_state(repository)
    if observed.policy_state is not wanted:
        said = f"does not say {wanted.value} yet" if wanted else "is not removed yet"
        sentence = f"The AccessPolicy of repository {repository.path} {said}."
        return progressing(None, "False", ConditionReason.POLICY_PENDING, sentence)
    return None


def _policy_state(repository: DockerRepository) -> PolicyState | None:
    """What the repository's own `AccessPolicy` should say; None: there should be none."""
    if repository.spec.local_sharing is None:
        return None
    trashed = repository.spec.trashed or repository.metadata.being_deleted
    return PolicyState.TRASHED if trashed else PolicyState.ACTIVE


def _trashed(repository: DockerRepository, observed: RepositoryObservation) -> Finding:
    about = ConditionType.TRASHED
    if repository.metadata.being_deleted:
        sentence = f"Repository {repository.path} is being deleted: every request is refused and its data is kept."
        return progressing(about, "True", ConditionReason.REPOSITORY_DELETED, sentence)
    if repository.spec.trashed:
        sentence = "Every request is refused and nothing is lost; set spec.trashed to false to restore."
        return settled(about, "True", ConditionReason.REPOSITORY_TRASHED, sentence)
    if observed.project_state is PolicyState.TRASHED:
        sentence = f"Project {observed.project} is in the trash with all its repositories."
        return settled(about, "True", ConditionReason.PROJECT_TRASHED, sentence)
    return settled(about, "False", ConditionReason.NOT_TRASHED, "Not in the trash.")


def _pushable(repository: DockerRepository, observed: RepositoryObservation, blocked: Finding | None) -> Finding:
    about = ConditionType.PUSHABLE
    trashed = _trashed(repository, observed)
    if blocked is not None and blocked.stalled:
        return settled(about, "False", blocked.reason, blocked.message)
    if trashed.status == "True":
        return settled(about, "False", trashed.reason, trashed.message)
    if observed.project_state is PolicyState.SUSPENDED:
        sentence = f"Project {observed.project} is suspended."
        return settled(about, "False", ConditionReason.PROJECT_SUSPENDED, sentence)
    if repository.spec.external is not None:
        sentence = f"The images are hosted at {repository.spec.external.image}: push there."
        return settled(about, "False", ConditionReason.EXTERNAL_REPOSITORY, sentence)
    sentence = "Whoever may Edit and is certified can push."
    return settled(about, "True", ConditionReason.ACCEPTS_PUSHES, sentence)


def _ready(repository: DockerRepository, address: str) -> tuple[ConditionReason, str]:
    if repository.spec.trashed:
        return ConditionReason.REPOSITORY_TRASHED, "In the trash; set spec.trashed to false to restore."
    if repository.spec.external is not None:
        sentence = f"Catalogued here, hosted at {repository.spec.external.image}."
        return ConditionReason.EXTERNAL_REPOSITORY, sentence
    return ConditionReason.READY, f"Images are at {address}:<tag>."
