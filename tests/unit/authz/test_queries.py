"""Queries about others: their actions, the subjects of an action, gained and lost rights."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from berth.api.policy import Action, RuleSource
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel, SubjectKind
from berth.authz.actor import actor_of
from berth.authz.decide import is_allowed
from berth.authz.model import (
    AUTHENTICATED_USERS,
    PUBLIC,
    AccessRequest,
    CredentialKind,
    RepositoryPolicy,
    Rule,
    Snapshot,
    Subject,
    User,
)
from berth.authz.policy.diff import NEW_REPOSITORY, Change, policy_diff
from berth.authz.queries import can_i, identity_of, who_can
from tests.kit.authz.random_worlds import NAMED, PATHS, PROJECTS, Case, Dice, check_worlds, random_snapshot
from tests.kit.authz.worlds import NOW, certified, everybody, lab, person, shared

EDITOR = Subject(SubjectKind.USER, "editor")
AUTHORS = Rule(SubjectKind.TEAM, "authors", SharingLevel.EDIT)
LAB = Subject(SubjectKind.GROUP, "idp:lab")


def may_do(snapshot: Snapshot, subject: Subject, request: AccessRequest) -> bool:
    return is_allowed(snapshot, actor_of(snapshot, identity_of(snapshot, subject), NOW), request, NOW)


def names(snapshot: Snapshot, action: Action, repository: str = "aligner") -> list[str]:
    return [entry.subject.name for entry in who_can(snapshot, action, "genomics", repository, NOW)]


def test_who_can_push_are_those_with_the_level_and_a_certification() -> None:
    assert names(lab(), Action.PUSH) == ["admin", "deleter", "editor"]
    assert names(lab(), Action.DELETE) == ["admin", "deleter"]
    assert names(lab(), Action.VIEW) == ["admin", "deleter", "editor", "novice", "reader", "viewer"]
    assert who_can(lab(), Action.VIEW, "absent", "aligner", NOW) == ()


def test_a_team_is_listed_as_its_members_with_the_rule() -> None:
    snapshot = replace(lab(rules=(AUTHORS,)), teams_of={EDITOR: frozenset({"authors"}), LAB: frozenset({"authors"})})
    editor, group = who_can(snapshot, Action.PUSH, "genomics", "aligner", NOW)
    assert (editor.subject, editor.when_certified) == (EDITOR, False)
    assert editor.effective_level is not None
    assert (editor.effective_level.rule, editor.effective_level.through) == (
        Subject(SubjectKind.TEAM, "authors"),
        EDITOR,
    )
    assert (group.subject, group.when_certified) == (LAB, True)


def test_a_subject_that_may_push_is_listed_with_the_end_of_its_certification() -> None:
    end = NOW + timedelta(days=30)
    snapshot = replace(lab(), certifications={**lab().certifications, EDITOR: end})
    pushers = who_can(snapshot, Action.PUSH, "genomics", "aligner", NOW)
    assert {entry.subject.name: entry.until for entry in pushers} == {"admin": None, "deleter": None, "editor": end}
    pullers = who_can(snapshot, Action.PULL, "genomics", "aligner", NOW)
    assert {entry.until for entry in pullers} == {None}


def test_local_sharing_alone_says_who_can() -> None:
    local = RepositoryPolicy("aligner", rules=(shared("stranger", SharingLevel.DOWNLOAD),))
    snapshot = lab(repositories={"aligner": local})
    (entry,) = who_can(snapshot, Action.PULL, "genomics", "aligner", NOW)
    assert entry.subject.name == "stranger"
    assert entry.effective_level is not None
    assert entry.effective_level.source is RuleSource.LOCAL_SHARING
    assert "reader" in names(snapshot, Action.PULL, "other")


def test_a_subject_that_acts_as_a_user_has_the_rights_of_the_user() -> None:
    account = Subject(SubjectKind.SERVICE_ACCOUNT, "builders/ci")
    snapshot = replace(lab(), aliases={account: frozenset({"editor"})})
    assert "builders/ci" in names(snapshot, Action.PUSH)
    assert "builders/ci" not in names(snapshot, Action.DELETE)


def test_who_can_agrees_with_the_decision_about_everybody_in_random_worlds() -> None:
    def holds(case: Case, _dice: Dice) -> None:
        request = replace(case.request, largest_layer=None, absent=False)
        listed = {
            entry.subject: entry.when_certified
            for entry in who_can(case.snapshot, request.action, request.project, request.repository, NOW)
        }
        for subject in NAMED:
            if subject.kind is SubjectKind.TEAM:
                continue
            may = may_do(case.snapshot, subject, request)
            assert may or not (subject in listed and not listed[subject])
            by_name = may and not may_do(case.snapshot, AUTHENTICATED_USERS, request)
            assert subject in listed or not by_name, (case, subject)
            assert case.request.action is Action.PUSH or not any(listed.values())

    check_worlds(holds, seed=20, count=1500)


def test_can_i_decides_every_action_of_the_name() -> None:
    answers = can_i(lab(), person("novice"), "genomics", "aligner", NOW)
    assert {action: answer.reason for action, answer in answers.items()} == {
        Action.VIEW: None,
        Action.PULL: None,
        Action.PUSH: Reason.NOT_CERTIFIED,
        Action.DELETE: Reason.LEVEL_TOO_LOW,
        Action.ADMINISTER: Reason.LEVEL_TOO_LOW,
    }
    assert list(can_i(lab(), person("novice"), "genomics", "", NOW)) == [Action.VIEW, Action.ADMINISTER]


def test_no_login_is_a_team_and_a_user_of_the_wrong_type_does_not_exist() -> None:
    with pytest.raises(ValueError, match="query one of its members"):
        identity_of(lab(), Subject(SubjectKind.TEAM, "authors"))
    as_robot = identity_of(lab(), Subject(SubjectKind.ROBOT, "editor"))
    assert (as_robot.credential, as_robot.failure) == (CredentialKind.FAILED, Reason.TOKEN_REVOKED)
    assert identity_of(lab(), Subject(SubjectKind.USER, "elsewhere")).credential is CredentialKind.OIDC


# what changes


def test_equal_policies_have_no_difference() -> None:
    assert policy_diff(lab(), replace(lab(), generation=9), NOW) == ()


def test_a_rule_that_goes_and_one_that_comes_are_a_loss_and_a_gain() -> None:
    before = lab(rules=(shared("viewer", SharingLevel.VIEW), shared("reader", SharingLevel.DOWNLOAD)))
    after = lab(rules=(shared("viewer", SharingLevel.DOWNLOAD), shared("stranger", SharingLevel.VIEW)))
    changes = [change for change in policy_diff(before, after, NOW) if change.repository == "aligner"]
    assert changes == [
        Change(Subject(SubjectKind.USER, "reader"), "genomics", "aligner", (), (Action.VIEW, Action.PULL)),
        Change(Subject(SubjectKind.USER, "stranger"), "genomics", "aligner", (Action.VIEW,), ()),
        Change(Subject(SubjectKind.USER, "viewer"), "genomics", "aligner", (Action.PULL,), ()),
    ]


def test_a_certification_gives_the_push_alone_also_to_repositories_that_are_still_to_come() -> None:
    changes = policy_diff(lab(), certified(lab(), "novice"), NOW)
    assert [(change.repository, change.gained, change.lost) for change in changes] == [
        (NEW_REPOSITORY, (Action.PUSH,), ()),
        ("aligner", (Action.PUSH,), ()),
    ]


def test_only_the_member_that_leaves_a_team_is_reported() -> None:
    teams = {EDITOR: frozenset({"authors"}), Subject(SubjectKind.USER, "reader"): frozenset({"authors"})}
    before = replace(lab(rules=(AUTHORS,)), teams_of=teams)
    after = replace(before, teams_of={EDITOR: frozenset({"authors"})})
    assert {change.subject.name for change in policy_diff(before, after, NOW)} == {"reader"}


def test_a_user_who_is_disabled_loses_what_everybody_has() -> None:
    before = lab(rules=(everybody(SharingLevel.DOWNLOAD),))
    after = replace(before, users={**before.users, "reader": User("reader", disabled=True)})
    changes = policy_diff(before, after, NOW)
    assert {change.subject.name for change in changes} == {"reader"}
    assert all(not change.gained for change in changes)


def test_public_access_that_is_no_longer_allowed_is_a_loss_of_the_public() -> None:
    before = replace(lab(rules=(Rule(SubjectKind.PUBLIC, "", SharingLevel.DOWNLOAD),)), public_allowed=True)
    changes = policy_diff(before, replace(before, public_allowed=False), NOW)
    assert PUBLIC in {change.subject for change in changes}


def test_the_difference_is_complete_and_true_in_random_worlds() -> None:
    def holds(case: Case, dice: Dice) -> None:
        old, other = case.snapshot, random_snapshot(dice)
        new = replace(old, **{field: getattr(other, field) for field in dice.some(FIELDS, 0.4)})
        found = {(change.subject, change.project, change.repository): change for change in policy_diff(old, new, NOW)}
        for project in PROJECTS:
            for path in PATHS:
                sort = _difference(old, new, AUTHENTICATED_USERS, project, path)
                for subject in NAMED:
                    if subject.kind is SubjectKind.TEAM:
                        continue
                    gained, lost = _difference(old, new, subject, project, path)
                    known = any(path in _paths(world, project) for world in (old, new))
                    change = found.get((subject, project, path if known else NEW_REPOSITORY))
                    if change is not None:
                        assert (set(change.gained), set(change.lost)) == (gained, lost)
                    elif (gained, lost) != sort:
                        assert not gained | lost, (subject, project, path, old, new)

    check_worlds(holds, seed=22, count=250, examples=40)


def _paths(snapshot: Snapshot, project: str) -> set[str]:
    return set(snapshot.projects[project].repositories) if project in snapshot.projects else set()


FIELDS = ("projects", "users", "teams_of", "aliases", "certifications", "public_allowed")


def _difference(
    old: Snapshot, new: Snapshot, subject: Subject, project: str, path: str
) -> tuple[set[Action], set[Action]]:
    before, after = (
        {action for action in Action if may_do(world, subject, AccessRequest(action, project, path))}
        for world in (old, new)
    )
    return after - before, before - after
