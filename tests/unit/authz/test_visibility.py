"""What a caller can see: by inherited and by local sharing, in decisions and in lists."""

from __future__ import annotations

from dataclasses import replace

import pytest

from berth.api.policy import Action, PolicyState
from berth.api.project import RepositoryCreation
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel
from berth.authz.decide import decide, visible_repositories
from berth.authz.model import ANONYMOUS, AccessRequest, ProjectPolicy, RepositoryPolicy, Snapshot, User
from tests.kit.authz.worlds import ALIGNER, NOW, everybody, lab, person, reason, shared, with_repository


def test_without_login_nothing_is_visible_and_absent_looks_the_same() -> None:
    snapshot = lab(rules=(everybody(SharingLevel.ADMINISTER),))
    there = decide(snapshot, ANONYMOUS, AccessRequest(Action.PULL, "genomics", "aligner"), NOW)
    absent = decide(Snapshot(1), ANONYMOUS, AccessRequest(Action.PULL, "genomics", "aligner"), NOW)
    assert there.reason is Reason.NOT_AUTHENTICATED
    assert there == absent


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("repository", ["aligner", "new"])
def test_what_is_not_shared_looks_absent_to_the_letter(action: Action, repository: str) -> None:
    request = AccessRequest(action, "genomics", repository)
    stranger = {"stranger": User("stranger")}
    answers = [
        decide(snapshot, person("stranger"), request, NOW)
        for snapshot in (
            lab(),
            lab(state=PolicyState.TRASHED),
            lab(state=PolicyState.SUSPENDED),
            lab(creation=RepositoryCreation.DECLARED),
            with_repository(replace(ALIGNER, external=True)),
            with_repository(replace(ALIGNER, state=PolicyState.TRASHED)),
            with_repository(replace(ALIGNER, rules=())),
            Snapshot(1, users=stranger),
        )
    ]
    assert answers[0].reason is Reason.NOT_FOUND
    assert all(answer == answers[0] for answer in answers)


def test_a_local_rule_shows_a_repository_of_a_project_that_is_not_shared() -> None:
    snapshot = with_repository(replace(ALIGNER, rules=(shared("stranger", SharingLevel.DOWNLOAD),)))
    assert reason(snapshot, person("stranger"), Action.PULL) is None
    assert reason(snapshot, person("stranger"), Action.VIEW, "") is Reason.NOT_FOUND


def test_local_sharing_replaces_the_inherited_and_never_merges() -> None:
    snapshot = with_repository(replace(ALIGNER, rules=(shared("reader", SharingLevel.VIEW),)))
    assert reason(snapshot, person("admin"), Action.VIEW) is Reason.NOT_FOUND
    assert reason(snapshot, person("reader"), Action.PULL) is Reason.LEVEL_TOO_LOW
    assert reason(with_repository(replace(ALIGNER, rules=())), person("admin"), Action.VIEW) is Reason.NOT_FOUND
    assert reason(with_repository(replace(ALIGNER, rules=None)), person("admin"), Action.VIEW) is None


def test_the_highest_of_several_rules_counts() -> None:
    rules = (everybody(SharingLevel.VIEW), shared("editor", SharingLevel.EDIT), shared("editor", SharingLevel.DOWNLOAD))
    request = AccessRequest(Action.VIEW, "genomics", "aligner")
    people = (person("editor"), person("reader"))
    found = [decide(lab(rules=rules), who, request, NOW).effective_level for who in people]
    assert [effective.level for effective in found if effective] == [SharingLevel.EDIT, SharingLevel.VIEW]
    assert decide(lab(rules=rules), ANONYMOUS, request, NOW).effective_level is None


def test_the_list_has_what_may_be_viewed_and_holds_content_in_order() -> None:
    repositories = {
        "z": RepositoryPolicy("z", has_content=True),
        "a/b": RepositoryPolicy("a/b", has_content=True),
        "empty": RepositoryPolicy("empty"),
        "hidden": RepositoryPolicy("hidden", rules=(), has_content=True),
        "trashed": RepositoryPolicy("trashed", state=PolicyState.TRASHED, has_content=True),
    }
    other = ProjectPolicy(
        "alpha", (everybody(SharingLevel.VIEW),), repositories={"x": RepositoryPolicy("x", has_content=True)}
    )
    snapshot = lab(repositories=repositories)
    snapshot = replace(snapshot, projects={**snapshot.projects, "alpha": other})
    assert visible_repositories(snapshot, person("viewer"), NOW) == ("alpha/x", "genomics/a/b", "genomics/z")
    assert visible_repositories(snapshot, person("stranger"), NOW) == ("alpha/x",)
    assert visible_repositories(snapshot, ANONYMOUS, NOW) == ()
