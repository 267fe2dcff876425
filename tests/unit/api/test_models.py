"""Models read what the API server returns, also from newer versions of Berth, and write what it takes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from berth.api.base import rfc3339
from berth.api.certification import Certification
from berth.api.conditions import Condition, ConditionReason, ConditionType
from berth.api.policy import AccessPolicy, PolicyState
from berth.api.project import AccessMode, Project, ProjectStatus, RepositoryCreation, StorageStatus
from berth.api.repository import DockerRepository
from berth.api.sharing import SharingLevel
from berth.api.user import RegistryUser, UserType

STORAGE = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "5Gi"}}


def project(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Project",
        "metadata": {
            "name": "genomics",
            "uid": "4f1c",
            "generation": 3,
            "resourceVersion": "812",
            "creationTimestamp": "2026-11-24T06:00:00Z",
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {"storage": STORAGE} | spec,
    }


def test_a_project_with_fields_of_a_newer_version_is_read() -> None:
    newer = project(quota={"storage": "40Gi"}) | {"status": {"observedGeneration": 2, "usage": {}}}
    read = Project.model_validate(newer)
    assert read.project_id == "genomics"
    assert read.metadata.generation == 3
    assert read.status.observed_generation == 2


def test_an_absent_field_has_the_documented_default() -> None:
    read = Project.model_validate(project())
    assert read.spec.storage.persistent_volume_claim.access_mode is AccessMode.READ_WRITE_ONCE
    assert read.spec.storage.persistent_volume_claim.storage_class_name is None
    assert read.spec.repository_creation is RepositoryCreation.ON_PUSH
    assert read.spec.sharing == ()
    assert (read.spec.suspend, read.spec.trashed) == (False, False)
    assert read.status.observed_generation == -1


def test_a_number_of_cores_is_read_as_a_quantity() -> None:
    read = Project.model_validate(project(registry={"resources": {"limits": {"cpu": 2, "memory": "1Gi"}}}))
    assert read.spec.registry is not None
    assert read.spec.registry.resources is not None
    assert read.spec.registry.resources.limits is not None
    assert read.spec.registry.resources.limits.to_dict() == {"cpu": "2", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("repository", "path"), [({}, "aligner"), ({"repository": "tools/a_b"}, "tools/a_b")], ids=["named", "said"]
)
def test_the_path_of_a_repository_is_said_or_its_name(repository: dict[str, str], path: str) -> None:
    read = DockerRepository.model_validate(
        {"metadata": {"name": "aligner", "namespace": "berth-genomics"}, "spec": repository}
    )
    assert read.path == path


def test_absent_local_sharing_differs_from_an_empty_one() -> None:
    metadata = {"name": "aligner"}
    absent = DockerRepository.model_validate({"metadata": metadata, "spec": {}})
    empty = DockerRepository.model_validate({"metadata": metadata, "spec": {"localSharing": []}})
    assert absent.spec.local_sharing is None
    assert empty.spec.local_sharing == ()


def test_a_user_without_a_key_means_the_password_hash_key() -> None:
    read = RegistryUser.model_validate(
        {"metadata": {"name": "curator"}, "spec": {"passwordSecretRef": {"name": "curator-password"}}}
    )
    assert read.spec.type is UserType.PERSON
    assert read.spec.password_secret_ref is not None
    assert read.spec.password_secret_ref.key == "passwordHash"


@pytest.mark.parametrize("text", ["2027-06-30T00:00:00Z", '"2027-06-30T02:00:00+02:00"'])
def test_a_certification_ends_at_one_moment_however_it_is_written(text: str) -> None:
    spec = yaml.safe_load(f"{{subject: {{kind: User, name: curator}}, certifiedBy: office, validUntil: {text}}}")
    read = Certification.model_validate({"metadata": {"name": "c"}, "spec": spec})
    assert read.spec.valid_until == datetime(2027, 6, 30, tzinfo=UTC)


def test_a_policy_reads_back_as_it_was_written() -> None:
    spec = {
        "project": "genomics",
        "repository": "aligner",
        "state": "Active",
        "rules": [
            {
                "kind": "User",
                "name": "reviewer",
                "level": "Download",
                "actions": ["view", "pull"],
                "source": "LocalSharing",
            }
        ],
    }
    read = AccessPolicy.model_validate({"metadata": {"name": "aligner"}, "spec": spec})
    assert read.spec.state is PolicyState.ACTIVE
    assert read.spec.rules[0].level is SharingLevel.DOWNLOAD
    assert read.spec.to_dict() == spec


def test_a_status_is_written_in_the_names_of_the_api() -> None:
    condition = Condition(
        type=ConditionType.READY,
        status="False",
        reason=ConditionReason.STORAGE_CLASS_NOT_FOUND,
        message="StorageClass fast does not exist: make it, or name another in a new Project.",
        last_transition_time=datetime(2026, 11, 24, 7, 0, 0, 5000, tzinfo=timezone(timedelta(hours=1))),
        observed_generation=3,
    )
    status = ProjectStatus(
        observed_generation=3, conditions=(condition,), storage=StorageStatus(capacity="50Gi"), registry_version="3.1.2"
    )
    assert status.to_dict() == {
        "observedGeneration": 3,
        "conditions": [
            {
                "type": "Ready",
                "status": "False",
                "reason": "StorageClassNotFound",
                "message": "StorageClass fast does not exist: make it, or name another in a new Project.",
                "lastTransitionTime": "2026-11-24T06:00:00Z",
                "observedGeneration": 3,
            }
        ],
        "storage": {"capacity": "50Gi"},
        "registryVersion": "3.1.2",
        "pullSecrets": [],
        "inventory": [],
    }
    assert status.condition(ConditionType.READY) == condition
    assert status.condition(ConditionType.STALLED) is None


def test_a_condition_of_a_newer_version_is_read() -> None:
    read = Condition.model_validate(
        {
            "type": "NotKnownHere",
            "status": "True",
            "reason": "New",
            "message": "",
            "lastTransitionTime": "2026-11-24T06:00:00Z",
        }
    )
    assert read.type == "NotKnownHere"


def test_models_cannot_be_changed() -> None:
    read = Project.model_validate(project())
    with pytest.raises(ValidationError, match="frozen"):
        read.spec.suspend = True


def test_a_time_without_a_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        rfc3339(datetime(2026, 1, 1))


def test_every_condition_type_and_reason_has_a_meaning() -> None:
    assert [word.value for word in (*ConditionType, *ConditionReason) if not word.meaning.endswith(".")] == []


def test_words_of_conditions_are_plain_text_to_json_and_logs() -> None:
    assert ConditionType("Ready") is ConditionType.READY
    assert f"{ConditionReason.CLAIM_PENDING}" == "ClaimPending"
    assert all(re.fullmatch(r"[A-Z][A-Za-z0-9]*", word) for word in (*ConditionType, *ConditionReason))
