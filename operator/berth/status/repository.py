"""The operator's part of the status of a `DockerRepository`. Tags, counts and `CatalogInSync` are the catalog's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from berth.api.conditions import ConditionReason, ConditionType
from berth.api.policy import PolicyState
from berth.api.repository import DockerRepository
from berth.status.conditions import Finding, conclude, progressing, refused_child, settled, stalled
from berth.status.observed import RepositoryObservation
from berth.status.subjects import compute_sharing_subjects

OWNED_CONDITIONS = (
    ConditionType.READY,
    ConditionType.RECONCILING,
    ConditionType.STALLED,
    ConditionType.TRASHED,
    ConditionType.PUSHABLE,
    ConditionType.SUBJECTS_KNOWN,
)
"""Conditions that the operator writes on a repository; the catalog writes `CatalogInSync` beside them."""


def compute_repository_status(
    repository: DockerRepository, observed: RepositoryObservation, now: datetime
) -> dict[str, Any]:
    """The operator's fields: `observedGeneration`, its conditions, `address`."""
    blocked = _blocked(repository, observed)
    findings = [finding for finding in (blocked, _trashed(repository, observed)) if finding is not None]
    findings.append(_pushable(repository, observed, blocked))
    if repository.spec.local_sharing is not None:
        findings.append(compute_sharing_subjects(repository.spec.local_sharing, observed.subjects))
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
    """Why the object does not own its path, or why its sharing does not apply yet."""
    this = f"DockerRepository {repository.metadata.namespace}/{repository.metadata.name}"
    if not observed.project:
        return stalled(
            None,
            "False",
            ConditionReason.NOT_IN_PROJECT_NAMESPACE,
            f"{this} is not in a project's namespace: create it again in berth-<projectId>.",
        )
    if not observed.project_exists:
        sentence = f"{this} has no project: create Project {observed.project}, or remove the repository."
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
        return refused_child(observed.failure)
    desired = _policy_state(repository)
    if observed.policy_state is not desired:
        problem = f"does not have state {desired.value} yet" if desired else "is not removed yet"
        sentence = f"The AccessPolicy of repository {repository.path} {problem}."
        return progressing(None, "False", ConditionReason.POLICY_PENDING, sentence)
    return None


def _policy_state(repository: DockerRepository) -> PolicyState | None:
    """The desired state of the repository's own `AccessPolicy`; None: none should exist."""
    if repository.spec.local_sharing is None:
        return None
    trashed = repository.spec.trashed or repository.metadata.being_deleted
    return PolicyState.TRASHED if trashed else PolicyState.ACTIVE


def _trashed(repository: DockerRepository, observed: RepositoryObservation) -> Finding:
    trashed = ConditionType.TRASHED
    if repository.metadata.being_deleted:
        sentence = f"Repository {repository.path} is being deleted: every request is refused and its data is kept."
        return progressing(trashed, "True", ConditionReason.REPOSITORY_DELETED, sentence)
    if repository.spec.trashed:
        sentence = "Every request is refused and nothing is lost; set spec.trashed to false to restore."
        return settled(trashed, "True", ConditionReason.REPOSITORY_TRASHED, sentence)
    if observed.project_state is PolicyState.TRASHED:
        sentence = f"Project {observed.project} is in the trash with all its repositories."
        return settled(trashed, "True", ConditionReason.PROJECT_TRASHED, sentence)
    return settled(trashed, "False", ConditionReason.NOT_TRASHED, "Not in the trash.")


def _pushable(repository: DockerRepository, observed: RepositoryObservation, blocked: Finding | None) -> Finding:
    pushable = ConditionType.PUSHABLE
    trashed = _trashed(repository, observed)
    if blocked is not None and blocked.stalled:
        return settled(pushable, "False", blocked.reason, blocked.message)
    if trashed.status == "True":
        return settled(pushable, "False", trashed.reason, trashed.message)
    if observed.project_state is PolicyState.SUSPENDED:
        sentence = f"Project {observed.project} is suspended."
        return settled(pushable, "False", ConditionReason.PROJECT_SUSPENDED, sentence)
    if repository.spec.external is not None:
        sentence = f"The images are hosted at {repository.spec.external.image}: push there."
        return settled(pushable, "False", ConditionReason.EXTERNAL_REPOSITORY, sentence)
    sentence = "A certified subject with Edit can push."
    return settled(pushable, "True", ConditionReason.ACCEPTS_PUSHES, sentence)


def _ready(repository: DockerRepository, address: str) -> tuple[ConditionReason, str]:
    if repository.spec.trashed:
        return ConditionReason.REPOSITORY_TRASHED, "In the trash; set spec.trashed to false to restore."
    if repository.spec.external is not None:
        sentence = f"Catalogued here, hosted at {repository.spec.external.image}."
        return ConditionReason.EXTERNAL_REPOSITORY, sentence
    return ConditionReason.READY, f"Images are at {address}:<tag>."
