"""The policy that manifests will be, tested before they are applied."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from berth.api.accesstest import AccessTest
from berth.api.policy import PolicyState
from berth.api.sharing import SharingLevel
from berth.authz.policy.expectations import Outcome, run_tests
from berth.authz.policy.manifests import PolicyFiles, Source, read_policy

FOLDER = """
apiVersion: berth.dev/v1alpha1
kind: Project
metadata: {name: genomics}
spec:
  storage: {type: PersistentVolumeClaim, persistentVolumeClaim: {size: 50Gi}}
  sharing:
  - {kind: User, name: curator, level: Administer}
  - {kind: Team, name: authors, level: Edit}
  - {kind: ServiceAccount, name: builders/ci, level: Edit}
  - {kind: Group, name: "idp:lab-42", level: Download}
  - {kind: AuthenticatedUsers, level: View}
  - {kind: Public, level: View}
---
apiVersion: berth.dev/v1alpha1
kind: DockerRepository
metadata: {name: aligner, namespace: berth-genomics}
spec:
  localSharing: [{kind: User, name: reviewer, level: Download}]
---
apiVersion: berth.dev/v1alpha1
kind: DockerRepository
metadata: {name: tools-viewer, namespace: berth-genomics}
spec: {repository: tools/viewer, trashed: true}
---
apiVersion: berth.dev/v1alpha1
kind: RegistryUser
metadata: {name: curator}
---
apiVersion: berth.dev/v1alpha1
kind: RegistryUser
metadata: {name: nightly}
spec: {type: Robot}
---
apiVersion: berth.dev/v1alpha1
kind: RegistryTeam
metadata: {name: authors}
spec: {members: [{kind: Robot, name: nightly}]}
---
apiVersion: berth.dev/v1alpha1
kind: Certification
metadata: {name: nightly}
spec: {subject: {kind: Robot, name: nightly}, certifiedBy: office, validUntil: 2027-01-01T00:00:00Z}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: curator}
"""
TEST = """
apiVersion: berth.dev/v1alpha1
kind: AccessTest
metadata: {name: sharing}
spec:
  at: 2026-12-01T00:00:00Z
  expect:
  - {subject: {kind: User, name: curator}, action: administer, image: genomics, allowed: true}
  - {subject: {kind: User, name: curator}, action: push, image: genomics/new, allowed: false, reason: NotCertified}
  - {subject: {kind: Robot, name: nightly}, action: push, image: "genomics/new:v1", allowed: true}
  - {subject: {kind: Robot, name: nightly}, scopes: [download], action: push, image: genomics/new, allowed: false,
     reason: TokenScopeMissing}
  - {subject: {kind: Group, name: "idp:lab-42"}, action: pull, image: genomics/new, allowed: true}
  - {subject: {kind: ServiceAccount, name: builders/ci}, action: pull, image: genomics/new, allowed: true}
  - {subject: {kind: User, name: curator}, action: view, image: genomics/aligner, allowed: false, reason: NotFound}
  - {subject: {kind: AuthenticatedUsers}, action: pull, image: genomics/new, allowed: false, reason: LevelTooLow}
  - {subject: {kind: Public}, action: view, image: genomics/new, allowed: false, reason: NotAuthenticated}
  - {subject: {kind: User, name: curator}, action: pull, image: genomics/tools/viewer, allowed: false,
     reason: RepositoryTrashed}
"""
NOW = datetime(2028, 1, 1, tzinfo=UTC)


def read(text: str, **options: Any) -> PolicyFiles:
    manifests = [found for found in yaml.safe_load_all(text) if found]
    return read_policy([Source(f"file-{number}", found) for number, found in enumerate(manifests)], **options)


def outcomes(text: str) -> tuple[Outcome, ...]:
    found = read(text)
    return run_tests(found.snapshot, found.tests, NOW)


def test_manifests_give_the_policy_that_the_cluster_will_have() -> None:
    found = read(FOLDER)
    project = found.snapshot.projects["genomics"]
    assert found.problems == ()
    assert [(rule.kind.value, rule.name, rule.level) for rule in project.rules] == [
        ("User", "curator", SharingLevel.ADMINISTER),
        ("Team", "authors", SharingLevel.EDIT),
        ("ServiceAccount", "builders/ci", SharingLevel.EDIT),
        ("Group", "idp:lab-42", SharingLevel.DOWNLOAD),
        ("AuthenticatedUsers", "", SharingLevel.VIEW),
    ]
    assert [rule.name for rule in project.repositories["aligner"].rules or ()] == ["reviewer"]
    viewer = project.repositories["tools/viewer"]
    assert (viewer.rules, viewer.state) == (None, PolicyState.TRASHED)
    assert read(FOLDER, public_allowed=True).snapshot.projects["genomics"].rules[-1].kind == "Public"


PULLING = """
apiVersion: berth.dev/v1alpha1
kind: Project
metadata: {name: genomics}
spec:
  storage: {type: PersistentVolumeClaim, persistentVolumeClaim: {size: 50Gi}}
  pullSecrets: [{namespace: analysis}]
---
apiVersion: berth.dev/v1alpha1
kind: DockerRepository
metadata: {name: closed, namespace: berth-genomics}
spec: {localSharing: []}
---
apiVersion: berth.dev/v1alpha1
kind: AccessTest
metadata: {name: pulling}
spec:
  expect:
  - {subject: {kind: Robot, name: genomics.pull.analysis}, scopes: [download], action: pull, image: genomics/aligner,
     allowed: true}
  - {subject: {kind: Robot, name: genomics.pull.analysis}, action: push, image: genomics/aligner, allowed: false,
     reason: LevelTooLow}
  - {subject: {kind: Robot, name: genomics.pull.analysis}, action: pull, image: genomics/closed, allowed: false,
     reason: NotFound}
  - {subject: {kind: Robot, name: genomics.pull.web}, action: pull, image: genomics/aligner, allowed: false}
"""


def test_the_robots_of_pull_secrets_have_the_rights_that_the_operator_will_give_them() -> None:
    assert [outcome.title for outcome in outcomes(PULLING) if not outcome.passed] == []
    rules = read(PULLING).snapshot.projects["genomics"].rules
    assert [(rule.kind, rule.name, rule.source) for rule in rules] == [
        ("Robot", "genomics.pull.analysis", "PullSecret")
    ]


@pytest.mark.parametrize("first", [True, False])
def test_a_robot_of_a_pull_secret_that_a_manifest_disables_is_disabled(first: bool) -> None:
    disabled = """
apiVersion: berth.dev/v1alpha1
kind: RegistryUser
metadata: {name: genomics.pull.analysis}
spec: {type: Robot, disabled: true}
"""
    found = outcomes(disabled + "---" + PULLING if first else PULLING + "---" + disabled)
    assert found[0].found == "denied: UserDisabled"


def test_the_order_of_manifests_does_not_matter() -> None:
    manifests = [found for found in yaml.safe_load_all(FOLDER) if found]
    there, back = (read_policy([Source("f", found) for found in order]) for order in (manifests, manifests[::-1]))
    assert there.snapshot.projects == back.snapshot.projects
    assert there.snapshot.teams_of == back.snapshot.teams_of


def test_expectations_that_hold_pass_each_at_the_time_of_its_test() -> None:
    found = outcomes(FOLDER + "---" + TEST)
    assert [outcome.title for outcome in found if not outcome.passed] == []
    assert len(found) == 10
    later = outcomes(FOLDER + "---" + TEST.replace("at: 2026-12-01T00:00:00Z", ""))
    assert [(outcome.title, outcome.found) for outcome in later if not outcome.passed] == [
        ("Robot nightly push genomics/new:v1", "denied: CertificationExpired"),
        ("Robot nightly push genomics/new [download]", "denied: CertificationExpired"),
    ]


def test_an_expectation_that_does_not_hold_says_what_was_expected_and_found() -> None:
    wrong = TEST.replace("image: genomics, allowed: true", "image: genomics, allowed: false")
    first, *rest = outcomes(FOLDER + "---" + wrong)
    assert (first.passed, first.expected, first.found) == (False, "denied", "allowed")
    assert (first.test, first.number) == ("sharing", 1)
    assert all(outcome.passed for outcome in rest)


def test_another_reason_than_the_expected_one_fails() -> None:
    found = outcomes(FOLDER + "---" + TEST.replace("reason: NotCertified", "reason: LevelTooLow"))
    (failed,) = [outcome for outcome in found if not outcome.passed]
    assert (failed.expected, failed.found) == ("denied: LevelTooLow", "denied: NotCertified")


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        ("{kind: Project, metadata: {name: p}, spec: {}}", "Project p cannot be read: spec.storage"),
        (
            "{kind: DockerRepository, metadata: {name: r}, spec: {}}",
            "DockerRepository r is not in a project's namespace: set metadata.namespace to berth-<project>.",
        ),
        ("{kind: RegistryTeam, metadata: {name: t}, spec: {members: 5}}", "RegistryTeam t cannot be read"),
        ("{kind: RegistryUser, spec: {}}", "RegistryUser without a name cannot be read: metadata"),
        ("{kind: AccessTest, metadata: {name: t}, spec: {expect: []}}", "AccessTest t cannot be read: spec.expect"),
    ],
)
def test_what_cannot_be_read_is_a_problem_that_names_the_object_and_the_field(manifest: str, sentence: str) -> None:
    found = read("apiVersion: berth.dev/v1alpha1\n" + yaml.safe_dump(yaml.safe_load(manifest)))
    assert found.snapshot.projects == {}
    (problem,) = found.problems
    assert problem.place == "file-0"
    assert problem.sentence.startswith(sentence)


def test_a_repeated_object_is_a_problem() -> None:
    twice = read(FOLDER + "---" + FOLDER.split("---")[3])
    assert [problem.sentence for problem in twice.problems] == [
        "RegistryUser curator is also in file-3: keep one of the two."
    ]


@pytest.mark.parametrize(
    ("expectation", "words"),
    [
        ("{subject: {kind: Team, name: t}, action: pull, image: p/r, allowed: true}", "subject.kind"),
        ("{subject: {kind: User}, action: pull, image: p/r, allowed: true}", "kind User needs a name"),
        ("{subject: {kind: Public, name: x}, action: pull, image: p/r, allowed: true}", "needs no name"),
        ("{subject: {kind: Public}, action: fly, image: p/r, allowed: true}", "action"),
        ("{subject: {kind: Public}, action: pull, image: P/R, allowed: true}", "image"),
        ("{subject: {kind: Public}, action: pull, image: p/r, allowed: false, reason: Tired}", "reason"),
        ("{subject: {kind: Public}, action: pull, image: p/r, allowed: true, reason: NotFound}", "has no reason"),
    ],
)
def test_an_expectation_that_means_nothing_is_refused(expectation: str, words: str) -> None:
    test = {"metadata": {"name": "t"}, "spec": {"expect": [yaml.safe_load(expectation)]}}
    with pytest.raises(ValueError, match=words):
        AccessTest.model_validate(test)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("genomics", ("genomics", "")),
        ("genomics/aligner", ("genomics", "aligner")),
        ("genomics/a/b:v1", ("genomics", "a/b")),
        ("genomics/a@sha256:" + "0" * 64, ("genomics", "a")),
        ("genomics/a:v1@sha256:" + "0" * 64, ("genomics", "a")),
    ],
)
def test_an_image_is_read_without_its_tag_and_digest(image: str, name: tuple[str, str]) -> None:
    subject = {"kind": "Public"}
    spec = {"expect": [{"subject": subject, "action": "view", "image": image, "allowed": True}]}
    (expectation,) = AccessTest.model_validate({"metadata": {"name": "t"}, "spec": spec}).spec.expect
    assert expectation.name == name
