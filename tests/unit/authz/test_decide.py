"""Each check of the chain: what it refuses, with which reason, and what it allows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from berth.api.policy import Action, PolicyState
from berth.api.project import RepositoryCreation
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel
from berth.api.token import TokenScope
from berth.authz.checks import CHAIN
from berth.authz.decide import credential_failure, decide
from berth.authz.model import (
    ANONYMOUS,
    AccessRequest,
    CredentialKind,
    Identity,
    ProjectPolicy,
    RepositoryPolicy,
    Snapshot,
)
from tests.kit.authz.worlds import (
    ALIGNER,
    NOW,
    READER,
    SECOND,
    SERVICE,
    certified,
    lab,
    person,
    reason,
    shared,
    with_repository,
)

# understood


@pytest.mark.parametrize(
    ("project", "repository"),
    [
        ("", "aligner"),
        ("Genomics", "aligner"),
        ("genomics\n", "aligner"),
        ("g" * 51, "aligner"),
        ("genomics", "Aligner"),
        ("genomics", "a//b"),
        ("genomics", "/a"),
        ("genomics", "a/"),
        ("genomics", "../secret"),
        ("genomics", "aligner\n"),
        ("genomics", "a" * 201),
        ("genomics", "a b"),
        ("genomics", "ä"),
    ],
)
def test_a_malformed_name_is_not_understood(project: str, repository: str) -> None:
    assert reason(lab(), person("admin"), Action.PULL, repository, project=project) is Reason.INVALID_REQUEST


@pytest.mark.parametrize("action", [Action.PULL, Action.PUSH, Action.DELETE])
def test_images_are_pulled_pushed_and_deleted_below_a_project_only(action: Action) -> None:
    assert reason(lab(), person("admin"), action, "") is Reason.INVALID_REQUEST


def test_a_project_itself_can_be_viewed_and_administered() -> None:
    assert reason(lab(), person("viewer"), Action.VIEW, "") is None
    assert reason(lab(), person("viewer"), Action.ADMINISTER, "") is Reason.LEVEL_TOO_LOW
    assert reason(lab(), person("admin"), Action.ADMINISTER, "") is None


# credential


@pytest.mark.parametrize(
    "failure", [Reason.BAD_CREDENTIALS, Reason.TOO_MANY_ATTEMPTS, Reason.TOKEN_REVOKED, Reason.USER_DISABLED]
)
def test_refused_credentials_tell_why_they_were_refused(failure: Reason) -> None:
    identity = Identity(CredentialKind.FAILED, "admin", failure=failure)
    assert reason(lab(), identity, Action.VIEW) is failure


@pytest.mark.parametrize("failure", [None, Reason.NOT_FOUND])
def test_refused_credentials_without_a_proper_reason_are_bad_credentials(failure: Reason | None) -> None:
    identity = Identity(CredentialKind.FAILED, "admin", failure=failure)
    assert reason(lab(), identity, Action.VIEW) is Reason.BAD_CREDENTIALS


def test_a_removed_user_has_to_log_in_again() -> None:
    decision = decide(lab(), person("former"), AccessRequest(Action.PULL, "genomics", "aligner"), NOW)
    assert decision.reason is Reason.TOKEN_REVOKED
    assert "log in again" in decision.sentence


def test_a_disabled_user_may_nothing_whatever_their_level() -> None:
    for action in Action:
        assert reason(lab(), person("disabled"), action) is Reason.USER_DISABLED


@pytest.mark.parametrize(
    ("identity", "failure"),
    [
        (ANONYMOUS, None),
        (SERVICE, None),
        (person("stranger"), None),
        (person("former"), Reason.TOKEN_REVOKED),
        (person("disabled"), Reason.USER_DISABLED),
        (Identity(CredentialKind.FAILED, failure=Reason.TOO_MANY_ATTEMPTS), Reason.TOO_MANY_ATTEMPTS),
        (Identity(CredentialKind.FAILED), Reason.BAD_CREDENTIALS),
    ],
)
def test_credential_failure_needs_no_project(identity: Identity, failure: Reason | None) -> None:
    assert credential_failure(lab(), identity, NOW) is failure


# trash and suspension


@pytest.mark.parametrize("action", list(Action))
def test_in_the_trash_every_operation_fails_for_everyone(action: Action) -> None:
    assert reason(lab(state=PolicyState.TRASHED), person("admin"), action) is Reason.PROJECT_TRASHED
    trashed = with_repository(replace(ALIGNER, state=PolicyState.TRASHED))
    assert reason(trashed, person("admin"), action) is Reason.REPOSITORY_TRASHED


def test_one_repository_in_the_trash_leaves_the_others_alone() -> None:
    other = RepositoryPolicy("other", state=PolicyState.TRASHED)
    assert reason(lab(repositories={"aligner": ALIGNER, "other": other}), person("reader"), Action.PULL) is None


@pytest.mark.parametrize("action", list(Action))
def test_a_suspended_project_refuses_everything(action: Action) -> None:
    assert reason(lab(state=PolicyState.SUSPENDED), person("admin"), action) is Reason.PROJECT_SUSPENDED


def test_the_trash_precedes_the_suspension() -> None:
    snapshot = with_repository(replace(ALIGNER, state=PolicyState.TRASHED), state=PolicyState.SUSPENDED)
    assert reason(snapshot, person("admin"), Action.PULL) is Reason.REPOSITORY_TRASHED


# hosted and creation


def test_an_external_repository_can_be_seen_and_holds_nothing() -> None:
    snapshot = with_repository(replace(ALIGNER, external=True))
    assert reason(snapshot, person("viewer"), Action.VIEW) is None
    assert reason(snapshot, person("admin"), Action.ADMINISTER) is None
    for action in (Action.PULL, Action.PUSH, Action.DELETE):
        assert reason(snapshot, person("admin"), action) is Reason.EXTERNAL_REPOSITORY


def test_a_push_makes_a_repository_only_where_the_project_says_so() -> None:
    assert reason(lab(creation=RepositoryCreation.ON_PUSH), person("editor"), Action.PUSH, "new") is None
    declared = lab(creation=RepositoryCreation.DECLARED)
    assert reason(declared, person("editor"), Action.PUSH, "new") is Reason.CREATION_DECLARED
    assert reason(declared, person("editor"), Action.PUSH) is None
    assert reason(declared, person("reader"), Action.PULL, "new") is None


# level


@pytest.mark.parametrize(
    ("action", "weakest"),
    [
        (Action.VIEW, SharingLevel.VIEW),
        (Action.PULL, SharingLevel.DOWNLOAD),
        (Action.PUSH, SharingLevel.EDIT),
        (Action.DELETE, SharingLevel.EDIT_AND_DELETE),
        (Action.ADMINISTER, SharingLevel.ADMINISTER),
    ],
)
def test_each_action_needs_its_level_or_a_stronger_one(action: Action, weakest: SharingLevel) -> None:
    for level in SharingLevel:
        snapshot = certified(Snapshot(1, {"p": ProjectPolicy("p", (shared("ann", level),))}), "ann")
        expected = None if level >= weakest else Reason.LEVEL_TOO_LOW
        assert reason(snapshot, person("ann"), action, "r", project="p") is expected


def test_levels_are_written_as_in_manifests() -> None:
    assert [level.value for level in SharingLevel] == ["View", "Download", "Edit", "EditAndDelete", "Administer"]


# certification


def test_a_push_needs_a_certification_and_a_pull_does_not() -> None:
    assert reason(lab(), person("novice"), Action.PUSH) is Reason.NOT_CERTIFIED
    assert reason(lab(), person("novice"), Action.PULL) is None


def test_a_certification_lapses_at_the_very_second() -> None:
    snapshot = certified(lab(), "editor", NOW)
    push = AccessRequest(Action.PUSH, "genomics", "aligner")
    assert decide(snapshot, person("editor"), push, NOW - SECOND / 1_000_000).allowed
    assert decide(snapshot, person("editor"), push, NOW).reason is Reason.CERTIFICATION_EXPIRED
    assert decide(snapshot, person("editor"), push, NOW + SECOND).reason is Reason.CERTIFICATION_EXPIRED


def test_the_time_zone_of_a_certification_does_not_matter() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    snapshot = certified(lab(), "editor", elsewhere)
    decision = decide(snapshot, person("editor"), AccessRequest(Action.PUSH, "genomics", "aligner"), NOW)
    assert decision.reason is Reason.CERTIFICATION_EXPIRED
    assert "2026-12-01 12:00:00 UTC" in decision.sentence


def test_the_level_precedes_the_certification() -> None:
    assert reason(lab(), person("reader"), Action.PUSH) is Reason.LEVEL_TOO_LOW


# token scope


@pytest.mark.parametrize(
    ("action", "needed"),
    [
        (Action.VIEW, {TokenScope.VIEW}),
        (Action.PULL, {TokenScope.DOWNLOAD}),
        (Action.PUSH, {TokenScope.DOWNLOAD, TokenScope.MODIFY}),
        (Action.DELETE, {TokenScope.MODIFY}),
        (Action.ADMINISTER, {TokenScope.MODIFY}),
    ],
)
def test_a_token_needs_every_scope_of_the_action(action: Action, needed: set[TokenScope]) -> None:
    assert reason(lab(), person("admin", *needed), action) is None
    for scope in needed:
        decision = decide(
            lab(),
            Identity(CredentialKind.PASSWORD, "admin", frozenset(TokenScope) - {scope}),
            AccessRequest(action, "genomics", "aligner"),
            NOW,
        )
        assert decision.reason is Reason.TOKEN_SCOPE_MISSING
        assert f"the scope {scope}," in decision.sentence


# layer size


@pytest.mark.parametrize(
    ("limit", "layer", "expected"),
    [
        (1000, 1000, None),
        (1000, 1001, Reason.LAYER_TOO_LARGE),
        (1000, None, None),
        (None, 10**15, None),
        (0, 1, Reason.LAYER_TOO_LARGE),
    ],
)
def test_no_layer_above_the_limit_is_taken(limit: int | None, layer: int | None, expected: Reason | None) -> None:
    assert reason(lab(layer_size_limit=limit), person("editor"), Action.PUSH, layer=layer) is expected


# Berth's own processes


@pytest.mark.parametrize("state", list(PolicyState))
def test_the_operator_views_pulls_and_pushes_in_every_state_and_never_deletes_or_administers(
    state: PolicyState,
) -> None:
    snapshot = with_repository(
        replace(ALIGNER, state=state, rules=()), state=state, creation=RepositoryCreation.DECLARED
    )
    for action in (Action.VIEW, Action.PULL, Action.PUSH):
        assert reason(snapshot, SERVICE, action) is None
        assert reason(snapshot, SERVICE, action, "probe") is None
    for action in (Action.DELETE, Action.ADMINISTER):
        assert reason(snapshot, SERVICE, action) is Reason.LEVEL_TOO_LOW


@pytest.mark.parametrize("state", list(PolicyState))
def test_the_catalog_reads_in_every_state_and_changes_nothing(state: PolicyState) -> None:
    snapshot = with_repository(replace(ALIGNER, state=state, rules=()), state=state)
    for action in (Action.VIEW, Action.PULL):
        assert reason(snapshot, READER, action) is None
    assert reason(snapshot, READER, Action.PUSH) is Reason.TOKEN_SCOPE_MISSING
    for action in (Action.DELETE, Action.ADMINISTER):
        assert reason(snapshot, READER, action) is Reason.LEVEL_TOO_LOW


def test_own_processes_find_no_project_that_does_not_exist() -> None:
    assert reason(Snapshot(1), SERVICE, Action.PULL) is Reason.NOT_FOUND


# the chain as a whole


def test_the_checks_are_in_the_documented_order() -> None:
    assert [check.name for check in CHAIN] == [
        "understood",
        "credential",
        "visible",
        "exists",
        "trash",
        "suspended",
        "hosted",
        "creation",
        "level",
        "certification",
        "token scope",
        "layer size",
        "freshness",
        "local sharing",
    ]


def test_the_trace_shows_every_check_up_to_the_one_that_refuses() -> None:
    decision = decide(lab(), person("novice"), AccessRequest(Action.PUSH, "genomics", "aligner"), NOW)
    assert [step.check for step in decision.trace] == [check.name for check in CHAIN[:10]]
    assert [step.passed for step in decision.trace] == [True] * 9 + [False]
    assert decision.trace[-1].detail == decision.sentence


def test_an_allowed_request_has_passed_every_check_and_has_no_sentence() -> None:
    decision = decide(lab(), person("editor"), AccessRequest(Action.PUSH, "genomics", "aligner"), NOW)
    assert decision.allowed
    assert decision.sentence == ""
    assert [step.check for step in decision.trace] == [check.name for check in CHAIN]
