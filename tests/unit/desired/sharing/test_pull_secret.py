"""Pull secrets: names, rotation, and the content of the Secret."""

from __future__ import annotations

import base64
import itertools
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from berth.api import names
from berth.api.project import Project
from berth.api.schema import USER_NAME_MAX_LENGTH
from berth.api.subjects import well_named
from berth.api.user import RegistryUser
from berth.desired.sharing.pull_secret import (
    PullTarget,
    PullToken,
    build_pull_secret,
    build_robot,
    build_token,
    is_made_by_berth,
    plan_rotation,
    read_pull_secret_token,
    read_pull_token,
    read_target,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MONTH = timedelta(hours=720)
TARGET = PullTarget("genomics", "analysis", ("builder", "default"))


@dataclass(frozen=True)
class Labels:
    instance: str = "berth"
    berth_version: str = "0.1.0"


def token(number: int, *, age: timedelta = timedelta(0), used: bool = False, request: str = "") -> PullToken:
    created = NOW - age
    return PullToken(f"r.{number}", str(number) * 64, created, created + 2 * MONTH, request, used)


def plan(*tokens: PullToken, request: str = "", held: str | None = None, now: datetime = NOW) -> Any:
    return plan_rotation(tokens, request=request, interval=MONTH, now=now, held=held)


def test_a_robot_without_token_gets_its_first() -> None:
    found = plan()
    assert found.current is None
    assert found.next_number == 1


def test_a_token_is_replaced_when_its_interval_is_over_and_not_before() -> None:
    first = token(1)
    assert plan(first).current == first
    assert plan(first).due == NOW + MONTH
    assert plan(first, now=NOW + MONTH - timedelta(seconds=1)).current == first
    assert plan(first, now=NOW + MONTH).current is None
    assert plan(first, now=NOW + MONTH).next_number == 2


def test_a_shorter_life_than_two_intervals_brings_the_rotation_forward() -> None:
    short = PullToken("r.1", "1" * 64, NOW, NOW + timedelta(hours=2))
    assert plan(short).due == NOW + timedelta(hours=1)


def test_a_new_request_rotates_and_the_same_one_does_not() -> None:
    assert plan(token(1), request="a").current is None
    assert plan(token(1), token(2, request="a"), request="a").current == token(2, request="a")
    assert plan(token(1, request="a"), request="b").current is None
    assert plan(token(1, request="a"), request="").current == token(1, request="a")


def test_earlier_tokens_stay_until_the_present_one_is_seen_in_use() -> None:
    assert plan(token(1), token(2)).remove == ()
    assert plan(token(1), token(2), token(3, used=True)).remove == ("r.1", "r.2")
    assert plan(token(1, used=True), token(2)).remove == ()


def test_earlier_tokens_stay_while_the_next_one_is_made() -> None:
    assert plan(token(1), token(2, used=True), request="new").remove == ()


def test_tokens_that_have_ended_go() -> None:
    assert plan(token(1, age=2 * MONTH), token(2)).remove == ("r.1",)
    assert plan(token(1, age=2 * MONTH)).current is None


def test_the_end_of_an_earlier_token_is_due_as_well() -> None:
    old = token(1, age=2 * MONTH - timedelta(hours=1))
    assert plan(old, token(2)).due == NOW + timedelta(hours=1)
    assert plan(old, token(2, used=True)).due == NOW + MONTH


def test_a_secret_that_holds_another_token_or_none_gets_a_new_one() -> None:
    assert plan(token(1), held="1" * 64).current == token(1)
    assert plan(token(1), token(2), held="1" * 64).current is None
    assert plan(token(1), held="").current is None
    assert plan(token(1), held=None).current == token(1)


def test_the_tenth_token_comes_after_the_ninth() -> None:
    assert plan(token(10), token(9)).current == token(10)
    assert plan(token(10), token(9)).next_number == 11


def test_names_of_robots_are_user_names_and_never_collide() -> None:
    parts = ["a", "a-pull", "pull", "x" * 50, "-".join("ab" * 12), "y" * 63, "y" * 62 + "z"]
    made: dict[str, tuple[str, str]] = {}
    for project, namespace in itertools.product([each for each in parts if len(each) <= 50], parts):
        name = names.pull_robot_name(project, namespace)
        assert well_named("Robot", name), name
        assert len(name) <= USER_NAME_MAX_LENGTH
        assert made.setdefault(name, (project, namespace)) == (project, namespace)


def test_the_target_of_a_robot_can_be_read_back() -> None:
    made = build_robot(TARGET, Labels())
    RegistryUser.model_validate(made)
    assert "disabled" not in made["spec"]
    applied = {**made, "metadata": {**made["metadata"]}}
    applied["metadata"]["annotations"] = {**made["metadata"]["annotations"], names.ANNOTATION_DESIRED_HASH: "x"}
    assert read_target(applied) == TARGET
    assert read_target(made) is None, "without Berth's own mark it is not Berth's"
    renamed = {**applied, "metadata": {**applied["metadata"], "name": "curator"}}
    assert read_target(renamed) is None


def test_the_secret_gives_its_token_back_and_serves_the_address_of_the_project() -> None:
    made = build_pull_secret(TARGET, "images.example.org:8443", "berth_secret", Labels())
    config = json.loads(base64.b64decode(made["data"][".dockerconfigjson"]))
    assert set(config["auths"]) == {"images.example.org:8443", "images.example.org:8443/genomics"}
    assert read_pull_secret_token(made, TARGET) == "berth_secret"


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"auths": []}', '{"auths": {"h": {}}}', '{"auths": {}}'])
def test_a_damaged_secret_holds_no_token(content: str) -> None:
    data = {".dockerconfigjson": base64.b64encode(content.encode()).decode()}
    assert read_pull_secret_token({"data": data}, TARGET) == ""
    assert read_pull_secret_token({}, TARGET) == ""


def test_a_token_downloads_and_nothing_else_and_can_be_read_again() -> None:
    made = build_token(TARGET, 3, "a" * 64, NOW + MONTH, "why", Labels())
    assert made["spec"]["scopes"] == ["download"]
    live = {**made, "metadata": {**made["metadata"], "creationTimestamp": "2026-11-24T12:00:00Z"}}
    read = read_pull_token({**live, "status": {"lastUsed": "2026-11-24T13:00:00Z"}})
    assert read == PullToken("genomics.pull.analysis.3", "a" * 64, NOW, NOW + MONTH, "why", used=True)
    assert read.number == 3


def test_a_project_names_each_namespace_with_its_service_accounts() -> None:
    spec = {
        "storage": {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}},
        "pullSecrets": [{"namespace": "analysis", "serviceAccounts": ["default", "builder"]}],
    }
    project = Project.model_validate({"metadata": {"name": "genomics"}, "spec": spec})
    assert [PullTarget.from_entry(project, entry) for entry in project.spec.pull_secrets] == [TARGET]


def test_a_token_without_an_end_or_a_time_of_creation_is_not_read() -> None:
    made = build_token(TARGET, 3, "a" * 64, NOW + MONTH, "", Labels())
    live = {**made, "metadata": {**made["metadata"], "creationTimestamp": "2026-11-24T12:00:00Z"}}
    endless = {**live, "spec": {key: value for key, value in live["spec"].items() if key != "expiresAt"}}
    assert read_pull_token(made) is None
    assert read_pull_token(endless) is None
    assert read_pull_token(live) == PullToken("genomics.pull.analysis.3", "a" * 64, NOW, NOW + MONTH)
    assert "annotations" not in made["metadata"]


def test_a_token_of_another_name_has_number_zero() -> None:
    assert PullToken("r.first", "a" * 64, NOW, NOW + MONTH).number == 0


def test_an_object_with_the_mark_and_another_manager_is_not_berths() -> None:
    marked = {"annotations": {names.ANNOTATION_DESIRED_HASH: "x"}, "labels": {names.LABEL_MANAGED_BY: "helm"}}
    assert not is_made_by_berth({"metadata": marked})
    assert not is_made_by_berth({"metadata": {}})


def test_a_robot_without_service_accounts_has_none() -> None:
    target = PullTarget("genomics", "analysis")
    robot = build_robot(target, Labels())
    robot["metadata"]["annotations"][names.ANNOTATION_DESIRED_HASH] = "x"
    assert read_target(robot) == target


def test_a_token_with_letters_beyond_ascii_is_no_token() -> None:
    assert read_pull_secret_token(build_pull_secret(TARGET, "h", "geheim-ä", Labels()), TARGET) == ""
