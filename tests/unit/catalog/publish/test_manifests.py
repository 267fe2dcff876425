"""The object and the status of a repository."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from berth.api import names
from berth.api.repository import DockerRepository
from berth.catalog.model import LastPush, RepositoryKey, RepositoryView, Sync, Tag
from berth.catalog.publish import manifests
from berth.kube.trim import with_tags_checksum

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = RepositoryKey("genomics", "tools/aligner")
DIGEST = "sha256:" + "a" * 64
TAG = Tag("v1", DIGEST, "application/vnd.oci.image.index.v1+json", None, 641728635, NOW, "curator")
VIEW = RepositoryView(KEY, (TAG,), 1, 2, LastPush("v1", DIGEST, NOW, "curator"), Sync(), object_due=True)
LOST = Sync(False, "ContentMissing", "The registry lacks 2 of 2 repositories.", NOW)


def live(status: dict[str, Any] | None = None) -> dict[str, Any]:
    made = manifests.build_object(KEY, "tools-aligner-0")
    return {**made, "status": status} if status is not None else made


def written(view: RepositoryView, at: datetime = NOW) -> dict[str, Any]:
    return live(manifests.build_status(view, live(), at))


def test_the_object_of_a_first_push_is_one_that_the_api_takes() -> None:
    made = DockerRepository.model_validate(manifests.build_object(KEY, manifests.object_name(KEY.path, taken=False)))
    assert made.path == "tools/aligner"
    assert made.metadata.namespace == "berth-genomics"


@pytest.mark.parametrize("path", ["aligner", "tools/aligner", "a" * 60, "x_y__z.1", "deep/" * 30 + "end"])
@pytest.mark.parametrize("taken", [False, True])
def test_generated_names_and_labels_fit_whatever_the_path(path: str, taken: bool) -> None:
    name = manifests.object_name(path, taken)
    made = manifests.build_object(RepositoryKey("genomics", path), name)
    assert len(name) <= 63
    assert name == name.strip("-")
    assert all(len(value) <= 63 for value in made["metadata"]["labels"].values())


def test_a_taken_name_gives_another_one() -> None:
    assert manifests.object_name("aligner", taken=True) != manifests.object_name("aligner", taken=False)


def test_sizes_are_human_readable() -> None:
    assert manifests.build_status(VIEW, live(), NOW)["tags"][0]["size"] == "613Mi"


def test_what_is_not_known_is_left_out() -> None:
    status = manifests.build_status(
        replace(VIEW, tags=(replace(TAG, media_type="", size=0, pushed_by=""),), last_push=None), live(), NOW
    )
    assert set(status["tags"][0]) == {"name", "digest", "pushedAt"}
    assert "lastPush" not in status


def test_a_status_that_says_so_already_is_not_written_again() -> None:
    present = written(VIEW)
    assert not manifests.differs(present, manifests.build_status(VIEW, present, NOW + timedelta(hours=1)))


def test_a_checksum_of_the_tags_shows_whether_they_changed() -> None:
    present = with_tags_checksum(written(VIEW))
    assert isinstance(present["status"]["tags"], str)
    assert with_tags_checksum(present) == present
    assert not manifests.differs(present, manifests.build_status(VIEW, present, NOW))
    moved = replace(VIEW, tags=(replace(TAG, digest="sha256:" + "0" * 64),))
    assert manifests.differs(present, manifests.build_status(moved, present, NOW))


@pytest.mark.parametrize(
    "changed",
    [
        replace(VIEW, tags=()),
        replace(VIEW, tag_count=2),
        replace(VIEW, digest_count=3),
        replace(VIEW, last_push=None),
        replace(VIEW, sync=LOST),
    ],
)
def test_any_difference_is_written(changed: RepositoryView) -> None:
    present = written(VIEW)
    assert manifests.differs(present, manifests.build_status(changed, present, NOW))


def test_an_object_without_status_differs() -> None:
    assert manifests.differs(live(), manifests.build_status(VIEW, live(), NOW))


def test_what_others_say_in_the_status_is_no_difference() -> None:
    present = written(VIEW)
    present["status"]["conditions"].insert(0, {"type": "Ready", "status": "True"})
    present["status"]["address"] = "registry.example.org/genomics/tools/aligner"
    assert not manifests.differs(present, manifests.build_status(VIEW, present, NOW))


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    later = NOW + timedelta(hours=1)
    present = written(VIEW)
    (same,) = manifests.build_status(replace(VIEW, tag_count=9), present, later)["conditions"]
    (other,) = manifests.build_status(replace(VIEW, sync=LOST), present, later)["conditions"]
    assert same["lastTransitionTime"] == "2026-11-24T12:00:00Z"
    assert other["lastTransitionTime"] == "2026-11-24T13:00:00Z"


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (VIEW, ("True", "InSync")),
        (replace(VIEW, sync=LOST), ("False", "ContentMissing")),
        (replace(VIEW, sync=Sync(True, "InSync", "", NOW)), ("True", "InSync")),
        (RepositoryView(KEY, (), 0, 0, None, Sync(), object_due=False), ("True", "NeverPushed")),
    ],
)
def test_the_condition_reports_the_result_of_the_walk(view: RepositoryView, expected: tuple[str, str]) -> None:
    (condition,) = manifests.build_status(view, live(), NOW)["conditions"]
    assert (condition["status"], condition["reason"]) == expected


def test_an_object_outside_a_projects_namespace_has_no_repository() -> None:
    elsewhere = {"metadata": {"name": "aligner", "namespace": "default"}, "spec": {}}
    inside = {"metadata": {"name": "aligner", "namespace": names.project_namespace("genomics")}, "spec": {}}
    assert manifests.key_of_object(elsewhere) is None
    assert manifests.key_of_object(inside) == RepositoryKey("genomics", "aligner")
