"""The manifests of one repository."""

from __future__ import annotations

import re
from typing import Any

from berth.api.policy import AccessPolicy
from berth.desired.inputs import RepositoryInputs
from berth.desired.repository import desired_repository
from tests.kit.desired.samples import repository

SHARE = {"kind": "User", "name": "reviewer", "level": "Download"}


def policies(
    name: str = "aligner", *, deleted: bool = False, claimed_by: str = "", **spec: Any
) -> list[dict[str, Any]]:
    given = RepositoryInputs("genomics", "berth", deleted=deleted, claimed_by=claimed_by)
    return list(desired_repository(repository(name, **spec), given))


def test_a_repository_without_local_sharing_has_no_policy_of_its_own() -> None:
    assert policies() == []


def test_local_sharing_has_a_policy_and_an_empty_list_has_no_rules() -> None:
    (made,) = policies(localSharing=[SHARE])
    spec = AccessPolicy.model_validate(made).spec
    assert (spec.project, spec.repository, spec.state) == ("genomics", "aligner", "Active")
    assert made["spec"]["rules"] == [{**SHARE, "actions": ["view", "pull"], "source": "LocalSharing"}]
    (empty,) = policies(localSharing=[])
    assert empty["spec"]["rules"] == []


def test_trash_keeps_the_local_sharing() -> None:
    (active,), (trashed,), (deleted,) = (
        policies(localSharing=[SHARE]),
        policies(localSharing=[SHARE], trashed=True),
        policies(localSharing=[SHARE], deleted=True),
    )
    assert trashed["spec"] == deleted["spec"] == {**active["spec"], "state": "Trashed"}


def test_the_later_of_two_claimants_of_a_path_gets_nothing() -> None:
    assert policies(localSharing=[SHARE], claimed_by="berth-genomics/older") == []


def test_a_repository_called_project_does_not_take_the_projects_policy() -> None:
    (made,) = policies("project", localSharing=[])
    assert made["metadata"]["name"] != "project"
    assert made["spec"]["repository"] == "project"


def test_the_policy_is_named_like_its_repository_object_and_has_the_path() -> None:
    (made,) = policies("tools-aligner-1a2b3c4d", repository="tools/aligner", localSharing=[])
    assert made["metadata"]["name"] == "tools-aligner-1a2b3c4d"
    assert made["spec"]["repository"] == "tools/aligner"


def test_labels_hold_any_name_that_an_object_may_have() -> None:
    for name in ("aligner", "a" * 200, "a." * 60 + "b"):
        (made,) = policies(name, localSharing=[])
        value = made["metadata"]["labels"]["berth.dev/repository"]
        assert len(value) <= 63
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", value)


def test_a_label_is_the_whole_name_where_it_fits() -> None:
    (longest,), (too_long,) = policies("a" * 63, localSharing=[]), policies("a" * 64, localSharing=[])
    assert longest["metadata"]["labels"]["berth.dev/repository"] == "a" * 63
    assert too_long["metadata"]["labels"]["berth.dev/repository"].startswith("a" * 52 + "-")
