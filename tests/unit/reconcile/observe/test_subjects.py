"""The users and teams that objects name, out of the caches."""

from __future__ import annotations

from typing import Any

from berth.api.sharing import Share
from berth.kube.resources import REGISTRY_TEAMS, ROLE_BINDINGS
from berth.reconcile.observe.subjects import named_teams, named_users, observe_people, observe_user
from tests.kit.operator.memory import Operator, manifest, user


def shares(*entries: tuple[str, str]) -> list[Share]:
    return [Share.model_validate({"kind": kind, "name": name, "level": "View"}) for kind, name in entries]


def operator_with_people() -> Operator:
    operator = Operator()
    operator.put(user("ann"))
    operator.put(user("bot", type="Robot"))
    operator.put(user("left", disabled=True))
    members = [{"kind": "User", "name": "ann"}, {"kind": "Robot", "name": "bot"}]
    operator.put(manifest(REGISTRY_TEAMS, "authors", members=members))
    operator.put(manifest(REGISTRY_TEAMS, "broken", members="none"))
    return operator


def test_named_teams_are_those_that_exist_and_can_be_decoded() -> None:
    caches = operator_with_people().caches
    sharing = shares(("Team", "authors"), ("Team", "absent"), ("Team", "broken"), ("User", "ann"))
    assert set(named_teams(sharing, caches)) == {"authors"}
    assert named_teams(shares(("User", "authors"), ("Group", "authors")), caches) == {}


def test_named_users_are_named_directly_or_by_a_team() -> None:
    caches = operator_with_people().caches
    sharing = shares(("User", "left"), ("User", "absent"), ("Team", "authors"), ("Group", "bot"))
    assert set(named_users(sharing, {}, caches)) == {"left"}
    assert set(named_users(sharing, named_teams(sharing, caches), caches)) == {"left", "ann", "bot"}


def test_people_are_observed_with_type_and_state() -> None:
    caches = operator_with_people().caches
    subjects = [
        ("User", "ann"),
        ("Robot", "bot"),
        ("User", "left"),
        ("Team", "authors"),
        ("Team", "ann"),
        ("Group", "g"),
    ]
    people = observe_people(subjects, caches, public_allowed=True)
    assert {name: (found.is_robot, found.disabled) for name, found in people.users.items()} == {
        "ann": (False, False),
        "bot": (True, False),
        "left": (False, True),
    }
    assert (people.teams, people.public_allowed) == ({"authors": 2}, True)


def test_a_user_counts_as_its_own_type_alone() -> None:
    caches = operator_with_people().caches
    found: dict[tuple[str, str], Any] = {
        (kind, name): observe_user(kind, name, caches) is not None
        for kind in ("User", "Robot")
        for name in ("ann", "bot")
    }
    assert found == {("User", "ann"): True, ("User", "bot"): False, ("Robot", "ann"): False, ("Robot", "bot"): True}
    assert observe_user("ServiceAccount", "ann", caches) is None


async def test_members_of_a_project_get_their_roles() -> None:
    operator = operator_with_people()
    operator.put(user("member", kubernetes={"users": ["member@example.org"]}))
    await operator.ready_project(sharing=[{"kind": "User", "name": "member", "level": "Edit"}])
    binding = operator.live(ROLE_BINDINGS, "berth-edit", "berth-alpha")
    assert binding is not None
    assert [subject["name"] for subject in binding["subjects"]] == ["member@example.org"]
