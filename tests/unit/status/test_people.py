"""Statuses of users, certifications and repositories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from berth.api.certification import Certification
from berth.api.policy import PolicyState
from berth.api.user import RegistryUser
from berth.status.certification import compute_certification_status
from berth.status.conditions import check_invariants
from berth.status.observed import (
    ApplyFailure,
    CertificationObservation,
    ObservedCertification,
    ObservedPassword,
    RepositoryObservation,
    UserObservation,
)
from berth.status.repository import OWNED_CONDITIONS, compute_repository_status
from berth.status.user import compute_user_status, next_change
from tests.kit.desired.samples import repository
from tests.kit.status.samples import NOW, condition, condition_state

END = datetime(2027, 6, 30, tzinfo=UTC)


def user_status(
    *certifications: ObservedCertification,
    password: ObservedPassword = ObservedPassword.USABLE,
    now: datetime = NOW,
    **spec: Any,
) -> dict[str, Any]:
    reference = {"passwordSecretRef": {"name": "curator-password", "key": "hash"}}
    user = RegistryUser.model_validate(
        {"metadata": {"name": "curator", "generation": 4}, "spec": {**reference, **spec}}
    )
    status = compute_user_status(user, UserObservation("berth-system", password, certifications), now)
    check_invariants(status)
    return status


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        (ObservedPassword.SECRET_MISSING, "SecretNotFound"),
        (ObservedPassword.KEY_MISSING, "SecretKeyMissing"),
        (ObservedPassword.EMPTY, "SecretEmpty"),
        (ObservedPassword.UNKNOWN_SCHEME, "UnknownHashScheme"),
    ],
)
def test_a_password_that_cannot_be_checked_is_reported_with_secret_and_key(
    password: ObservedPassword, reason: str
) -> None:
    status = user_status(password=password)
    assert condition_state(status, "Ready") == ("False", reason)
    assert condition_state(status, "Stalled") == ("True", reason)
    message = condition(status, "Stalled")["message"]
    assert "Secret curator-password in namespace berth-system" in message
    assert "hash" in message


def test_a_user_without_certification_is_a_good_user() -> None:
    status = user_status()
    assert condition_state(status, "Ready") == ("True", "Ready")
    assert condition_state(status, "Certified") == ("False", "NoCertification")
    assert "certifiedUntil" not in status


def test_the_latest_certification_counts() -> None:
    status = user_status(ObservedCertification("old", NOW - timedelta(days=1)), ObservedCertification("new", END))
    assert condition_state(status, "Certified") == ("True", "Certified")
    assert status["certifiedUntil"] == "2027-06-30T00:00:00Z"


def test_a_certification_without_end_holds_until_it_is_withdrawn() -> None:
    status = user_status(
        ObservedCertification("dated", END), ObservedCertification("open"), now=END + timedelta(days=1)
    )
    assert condition_state(status, "Certified") == ("True", "Certified")
    assert "certifiedUntil" not in status


def test_a_certification_ends_at_the_very_second() -> None:
    held = ObservedCertification("one", END)
    assert condition_state(user_status(held, now=END - timedelta(seconds=1)), "Certified")[0] == "True"
    ended = user_status(held, now=END)
    assert condition_state(ended, "Certified") == ("False", "CertificationExpired")
    assert "2027-06-30T00:00:00Z" in condition(ended, "Certified")["message"]


def test_the_next_look_is_due_when_the_next_certification_ends() -> None:
    held = [
        ObservedCertification("a", END),
        ObservedCertification("b", END + timedelta(days=1)),
        ObservedCertification("c"),
    ]
    assert next_change(held, NOW) == END
    assert next_change(held, END) == END + timedelta(days=1)
    assert next_change(held[2:], NOW) is None


def test_a_disabled_user_is_reported() -> None:
    assert condition_state(user_status(disabled=True), "Ready") == ("True", "Disabled")


def certification_status(
    until: datetime | None = END, now: datetime = NOW, *, exists: bool = True, disabled: bool = False
) -> dict[str, Any]:
    spec = {"subject": {"kind": "User", "name": "curator"}, "certifiedBy": "office", "validUntil": until}
    given = Certification.model_validate({"metadata": {"name": "curator-2026", "generation": 1}, "spec": spec})
    status = compute_certification_status(given, CertificationObservation(exists, disabled), now)
    check_invariants(status)
    return status


def test_a_certification_of_a_known_person_is_valid_until_its_end() -> None:
    assert condition_state(certification_status(), "Ready") == ("True", "Valid")
    assert condition_state(certification_status(None), "Ready") == ("True", "Valid")
    assert condition_state(certification_status(now=END), "Stalled") == ("True", "CertificationExpired")


def test_a_certification_of_an_unknown_person_names_the_person_and_the_field() -> None:
    status = certification_status(exists=False)
    assert condition_state(status, "Stalled") == ("True", "UserNotFound")
    assert "RegistryUser curator" in condition(status, "Stalled")["message"]
    assert "spec.subject.name" in condition(status, "Stalled")["message"]


def test_a_certification_of_a_disabled_person_says_so() -> None:
    assert condition_state(certification_status(disabled=True), "Ready") == ("True", "Disabled")


def repository_status(
    *, metadata: dict[str, Any] | None = None, seen: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    given = repository(**spec)
    given = given.model_copy(update={"metadata": given.metadata.model_copy(update=metadata or {})})
    observed = RepositoryObservation(**{"host": "images.example.org", "project": "genomics", **(seen or {})})
    status = compute_repository_status(given, observed, NOW)
    check_invariants(status)
    assert {entry["type"] for entry in status["conditions"]} <= {kind.value for kind in OWNED_CONDITIONS}
    return status


def test_a_repository_has_its_address_and_accepts_pushes() -> None:
    status = repository_status(repository="tools/aligner")
    assert condition_state(status, "Ready") == ("True", "Ready")
    assert condition_state(status, "Pushable") == ("True", "AcceptsPushes")
    assert status["address"] == "images.example.org/genomics/tools/aligner"


@pytest.mark.parametrize(
    ("seen", "reason", "words"),
    [
        ({"claimed_by": "older"}, "PathTaken", ["older", "aligner"]),
        ({"project_exists": False}, "ProjectNotFound", ["Project genomics"]),
        ({"project": ""}, "NotInProjectNamespace", ["berth-genomics/aligner"]),
        (
            {"failure": ApplyFailure("AccessPolicy", "aligner", "no", is_permanent=True)},
            "ApplyRefused",
            ["AccessPolicy aligner"],
        ),
    ],
)
def test_a_repository_that_cannot_be_served_reports_why(seen: dict[str, Any], reason: str, words: list[str]) -> None:
    status = repository_status(seen=seen)
    assert condition_state(status, "Stalled") == ("True", reason)
    assert condition_state(status, "Pushable") == ("False", reason)
    assert "address" not in status
    assert [word for word in words if word not in condition(status, "Stalled")["message"]] == []


@pytest.mark.parametrize(
    ("spec", "seen", "reason"),
    [
        ({"trashed": True}, {}, "RepositoryTrashed"),
        ({}, {"project_state": PolicyState.TRASHED}, "ProjectTrashed"),
    ],
)
def test_trash_of_repository_or_project_is_reported(spec: dict[str, Any], seen: dict[str, Any], reason: str) -> None:
    status = repository_status(seen=seen, **spec)
    assert condition_state(status, "Trashed") == ("True", reason)
    assert condition_state(status, "Pushable") == ("False", reason)
    assert condition_state(status, "Ready")[0] == "True"


def test_a_repository_of_a_suspended_project_takes_no_push() -> None:
    status = repository_status(seen={"project_state": PolicyState.SUSPENDED})
    assert condition_state(status, "Pushable") == ("False", "ProjectSuspended")


def test_an_external_repository_reports_where_its_images_are() -> None:
    status = repository_status(external={"image": "example.org/tools/aligner"})
    assert condition_state(status, "Pushable") == ("False", "ExternalRepository")
    assert "example.org/tools/aligner" in condition(status, "Pushable")["message"]
    assert "address" not in status


def test_a_deleted_repository_says_that_its_data_is_kept() -> None:
    status = repository_status(metadata={"deletion_timestamp": NOW})
    assert condition_state(status, "Ready") == ("False", "RepositoryDeleted")
    assert "data is kept" in condition(status, "Ready")["message"]


def test_local_sharing_counts_when_its_policy_is_written_and_gone_when_it_is_removed() -> None:
    waiting = repository_status(localSharing=[])
    assert condition_state(waiting, "Ready") == ("False", "PolicyPending")
    assert (
        condition_state(repository_status(localSharing=[], seen={"policy_state": PolicyState.ACTIVE}), "Ready")[0]
        == "True"
    )
    leftover = repository_status(seen={"policy_state": PolicyState.ACTIVE})
    assert condition_state(leftover, "Ready") == ("False", "PolicyPending")


@pytest.mark.parametrize(("changes", "state"), [({"trashed": True}, "TRASHED"), ({}, "ACTIVE")])
def test_a_trashed_repository_with_local_sharing_waits_for_a_policy_in_the_trash(
    changes: dict[str, Any], state: str
) -> None:
    for policy_state in (PolicyState.ACTIVE, PolicyState.TRASHED):
        status = repository_status(localSharing=[], seen={"policy_state": policy_state}, **changes)
        assert (condition_state(status, "Ready")[1] != "PolicyPending") is (policy_state is PolicyState[state])


def test_a_deleted_repository_with_local_sharing_waits_for_a_policy_in_the_trash() -> None:
    for policy_state, reason in ((PolicyState.ACTIVE, "PolicyPending"), (PolicyState.TRASHED, "RepositoryDeleted")):
        seen = {"policy_state": policy_state}
        status = repository_status(localSharing=[], metadata={"deletion_timestamp": NOW}, seen=seen)
        assert condition_state(status, "Ready") == ("False", reason)


@pytest.mark.parametrize(("kind", "named"), [("User", "RegistryUser nightly does"), ("Robot", "nightly of type Robot")])
def test_a_certification_of_an_unknown_robot_names_the_type(kind: str, named: str) -> None:
    spec = {"subject": {"kind": kind, "name": "nightly"}, "certifiedBy": "office"}
    given = Certification.model_validate({"metadata": {"name": "nightly-2026", "generation": 1}, "spec": spec})
    status = compute_certification_status(given, CertificationObservation(), NOW)
    assert named in condition(status, "Stalled")["message"]
