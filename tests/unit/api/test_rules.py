"""Rules of projects and repositories, and the names and values that they are made of."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from berth.api.accesstest import Expectation
from berth.api.names import pull_robot_name
from berth.api.policy import Action, PolicyRule, RuleSource, local_rules, project_rules, rules_summary
from berth.api.quantities import format_quantity, format_size
from berth.api.reasons import Reason
from berth.api.repository import DockerRepository
from berth.api.schema import ComputeQuantity
from berth.api.sharing import SharingLevel, SubjectKind
from berth.api.subjects import FORMS, name_rules, well_named
from tests.kit.desired.samples import project

PUBLIC = {"kind": "Public", "level": "Download"}
ANN = {"kind": "User", "name": "ann", "level": "Edit"}


def repository(**spec: object) -> DockerRepository:
    return DockerRepository.model_validate(
        {"metadata": {"name": "aligner", "namespace": "berth-genomics"}, "spec": {"repository": "aligner", **spec}}
    )


def test_a_rule_for_public_counts_only_where_the_installation_allows_it() -> None:
    given = project(sharing=[PUBLIC, ANN])
    with_public = project_rules(given, allow_public=True)
    assert [rule.kind for rule in with_public] == [SubjectKind.PUBLIC, SubjectKind.USER]
    assert project_rules(given, allow_public=False) == with_public[1:]
    assert with_public[1].source is RuleSource.SHARING


def test_a_repository_without_local_sharing_inherits_and_an_empty_one_shares_with_no_subject() -> None:
    assert local_rules(repository(), allow_public=True) is None
    assert local_rules(repository(localSharing=[]), allow_public=True) == ()
    (rule,) = local_rules(repository(localSharing=[PUBLIC, ANN]), allow_public=False) or ()
    assert (rule.name, rule.source) == ("ann", RuleSource.LOCAL_SHARING)


def test_the_summary_of_rules_names_none_and_all() -> None:
    rule = PolicyRule(kind=SubjectKind.USER, name="ann", level=SharingLevel.EDIT, source=RuleSource.SHARING)
    assert rules_summary([]) == "none"
    assert rules_summary([rule]) == "User ann Edit"
    many = rules_summary([rule] * 200)
    assert many.startswith("User ann Edit, User ann Edit")
    assert many.endswith(" more")
    assert len(many) <= 250


def test_the_name_of_a_pull_robot_is_shortened_above_63_characters_alone() -> None:
    longest = "n" * (63 - len("genomics.pull."))
    assert pull_robot_name("genomics", longest) == f"genomics.pull.{longest}"
    assert pull_robot_name("genomics", longest + "n").startswith("genomics.pull-")


def test_a_level_is_not_weaker_than_itself() -> None:
    for level in SharingLevel:
        same = SharingLevel(level.value)
        assert (level < same, level > same, level <= same, level >= same) == (False, False, True, True)
    assert SharingLevel.VIEW < SharingLevel.DOWNLOAD < SharingLevel.ADMINISTER


def test_the_name_of_a_subject_has_the_form_and_the_length_of_its_kind() -> None:
    form = FORMS["User"]
    assert well_named("User", "a" * form.max_length)
    assert not well_named("User", "a" * (form.max_length + 1))
    assert not well_named("User", None)
    assert not well_named("User", "a b")
    assert well_named("Public", None)
    assert not well_named("Public", "ann")


def test_a_schema_has_rules_for_the_kinds_that_it_admits_alone() -> None:
    (only,) = name_rules(["Team", "Public"])
    assert "'Team'" in only["rule"]
    assert [each["rule"].split("'")[1] for each in name_rules(FORMS)] == list(FORMS)


@pytest.mark.parametrize(
    ("allowed", "reason", "valid"),
    [(True, None, True), (False, Reason.LEVEL_TOO_LOW, True), (False, None, True), (True, Reason.LEVEL_TOO_LOW, False)],
)
def test_an_expectation_has_a_reason_only_for_a_refusal(allowed: bool, reason: Reason | None, valid: bool) -> None:
    given = {
        "subject": {"kind": "User", "name": "ann"},
        "action": Action.PULL,
        "image": "genomics/aligner",
        "allowed": allowed,
        "reason": reason,
    }
    if valid:
        assert Expectation.model_validate(given).reason is reason
    else:
        with pytest.raises(ValidationError, match="an expectation that is allowed has no reason"):
            Expectation.model_validate(given)


def test_sizes_beyond_the_largest_suffix_keep_it() -> None:
    assert format_quantity(1024**7) == "1024Ei"
    assert format_size(20_000 * 1024**6) == "20000Ei"
    assert format_size(9_999) == "9999"
    assert format_size(10_000) == "10Ki"


def test_a_quantity_may_be_a_number_and_no_boolean() -> None:
    adapter: TypeAdapter[str] = TypeAdapter(ComputeQuantity)
    assert [adapter.validate_python(each) for each in (1, 0.5, "500m")] == ["1", "0.5", "500m"]
    for wrong in (True, None, ["1"]):
        with pytest.raises(ValidationError, match="valid string"):
            adapter.validate_python(wrong)
