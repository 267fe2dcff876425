"""Statuses about subjects: whether they exist, whether one can administer, whether a token is valid."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from berth.api.team import RegistryTeam
from berth.api.token import AccessToken
from berth.status.conditions import check_invariants
from berth.status.observed import ObservedSubjects, ObservedUser, RepositoryObservation, TokenObservation
from berth.status.repository import compute_repository_status
from berth.status.team import compute_team_status
from berth.status.token import compute_token_status
from tests.kit.desired.samples import project, repository
from tests.kit.status.samples import HEALTHY, NOW, condition, condition_state, status_of

SUBJECTS = ObservedSubjects(
    users={"ann": ObservedUser(), "eve": ObservedUser(disabled=True), "nightly": ObservedUser(is_robot=True)},
    teams={"authors": 2, "empty": 0},
)


def project_status(*shares: tuple[str, str, str], subjects: ObservedSubjects = SUBJECTS) -> dict[str, Any]:
    sharing = [{"kind": kind, "level": level} | ({"name": name} if name else {}) for kind, name, level in shares]
    return status_of(project(sharing=sharing), replace(HEALTHY, subjects=subjects))


# subjects


def test_subjects_that_exist_or_cannot_be_checked_are_known() -> None:
    status = project_status(
        ("User", "ann", "View"),
        ("Robot", "nightly", "View"),
        ("Team", "empty", "View"),
        ("ServiceAccount", "builders/ci", "View"),
        ("Group", "idp:lab", "View"),
        ("AuthenticatedUsers", "", "View"),
    )
    assert condition_state(status, "SubjectsKnown") == ("True", "SubjectsFound")


def test_subjects_that_do_not_exist_are_named_and_keep_nothing_from_being_ready() -> None:
    status = project_status(
        ("User", "bob", "View"), ("User", "nightly", "View"), ("Robot", "ann", "View"), ("Team", "others", "View")
    )
    assert condition_state(status, "SubjectsKnown") == ("False", "SubjectsNotFound")
    assert condition_state(status, "Ready")[0] == "True"
    message = condition(status, "SubjectsKnown")["message"]
    assert message.startswith("User bob, User nightly, Robot ann, Team others do not exist: correct the name")


def test_a_long_list_of_unknown_subjects_is_cut() -> None:
    message = condition(project_status(*(("User", f"u{n}", "View") for n in range(13))), "SubjectsKnown")["message"]
    assert "User u9 and 3 more do not exist" in message


def test_sharing_with_the_public_where_it_is_not_allowed_is_reported() -> None:
    assert condition_state(project_status(("Public", "", "View")), "SubjectsKnown") == ("False", "PublicNotAllowed")
    allowed = replace(SUBJECTS, public_allowed=True)
    assert condition_state(project_status(("Public", "", "View"), subjects=allowed), "SubjectsKnown")[0] == "True"


def test_only_a_repository_with_local_sharing_reports_its_subjects() -> None:
    for sharing, expected in (([{"kind": "User", "name": "bob", "level": "View"}], "False"), (None, "absent")):
        spec: dict[str, Any] = {} if sharing is None else {"localSharing": sharing}
        observed = RepositoryObservation("images.example.org", "genomics", subjects=SUBJECTS)
        status = compute_repository_status(repository(**spec), observed, NOW)
        check_invariants(status)
        assert condition_state(status, "SubjectsKnown")[0] == expected


# administered


@pytest.mark.parametrize(
    "share",
    [
        ("User", "ann", "Administer"),
        ("Robot", "nightly", "Administer"),
        ("Team", "authors", "Administer"),
        ("Group", "idp:lab", "Administer"),
        ("ServiceAccount", "builders/ci", "Administer"),
        ("AuthenticatedUsers", "", "Administer"),
    ],
)
def test_a_project_is_administered_by_an_existing_subject_with_administer(share: tuple[str, str, str]) -> None:
    assert condition_state(project_status(share), "Administered") == ("True", "Administered")


@pytest.mark.parametrize(
    "shares",
    [
        (),
        (("User", "ann", "EditAndDelete"),),
        (("User", "bob", "Administer"),),
        (("User", "eve", "Administer"),),
        (("User", "nightly", "Administer"),),
        (("Team", "others", "Administer"), ("Team", "empty", "Administer")),
    ],
)
def test_a_project_without_an_administrator_reports_what_to_do(shares: tuple[tuple[str, str, str], ...]) -> None:
    status = project_status(*shares)
    assert condition_state(status, "Administered") == ("False", "NoAdminister")
    assert "in spec.sharing" in condition(status, "Administered")["message"]
    assert condition_state(status, "Ready")[0] == "True"


# teams


def test_a_team_counts_its_members_and_names_those_that_do_not_exist() -> None:
    members = [{"kind": "User", "name": "ann"}, {"kind": "User", "name": "bob"}, {"kind": "Group", "name": "idp:lab"}]
    team = RegistryTeam.model_validate({"metadata": {"name": "authors", "generation": 2}, "spec": {"members": members}})
    status = compute_team_status(team, SUBJECTS, NOW)
    check_invariants(status)
    assert (status["members"], condition_state(status, "Ready")) == (3, ("True", "Ready"))
    assert condition_state(status, "SubjectsKnown") == ("False", "SubjectsNotFound")
    assert "User bob does not exist" in condition(status, "SubjectsKnown")["message"]


# tokens


def token_status(now: datetime = NOW, **seen: Any) -> dict[str, Any]:
    spec = {
        "owner": {"kind": "User", "name": "curator"},
        "scopes": ["download"],
        "sha256": "a" * 64,
        "expiresAt": "2027-06-30T00:00:00Z",
    }
    token = AccessToken.model_validate({"metadata": {"name": "laptop", "generation": 1}, "spec": spec})
    status = compute_token_status(token, TokenObservation(**{"owner_exists": True, **seen}), now)
    check_invariants(status)
    return status


def test_a_token_holds_until_the_second_that_it_says() -> None:
    end = datetime(2027, 6, 30, tzinfo=UTC)
    assert condition_state(token_status(), "Ready") == ("True", "Valid")
    assert "User curator in until 2027-06-30T00:00:00Z" in condition(token_status(), "Ready")["message"]
    assert condition_state(token_status(end), "Stalled") == ("True", "TokenExpired")


@pytest.mark.parametrize(
    ("seen", "condition_type", "reason"),
    [
        ({"owner_exists": False}, "Stalled", "UserNotFound"),
        ({"owner_disabled": True}, "Ready", "Disabled"),
        ({"duplicate_of": "desktop"}, "Stalled", "TokenRepeated"),
    ],
)
def test_a_token_that_does_not_log_in_says_why(seen: dict[str, Any], condition_type: str, reason: str) -> None:
    assert condition_state(token_status(**seen), condition_type) == ("True", reason)


def test_the_operator_leaves_the_last_use_of_a_token_alone() -> None:
    assert set(token_status()) == {"observedGeneration", "conditions"}


@pytest.mark.parametrize(("count", "words"), [(1, "has 1 member."), (2, "has 2 members.")])
def test_a_team_reports_its_number_of_members(count: int, words: str) -> None:
    members = [{"kind": "Group", "name": f"idp:lab-{number}"} for number in range(count)]
    team = RegistryTeam.model_validate({"metadata": {"name": "authors", "generation": 2}, "spec": {"members": members}})
    assert condition(compute_team_status(team, SUBJECTS, NOW), "Ready")["message"].endswith(words)
