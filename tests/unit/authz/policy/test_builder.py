"""From projects, repositories and policies of the cluster to the policy that decides."""

from __future__ import annotations

import pytest

from berth.api.policy import PolicyState
from berth.api.project import RepositoryCreation
from berth.api.sharing import SharingLevel, SubjectKind
from berth.authz.model import Rule
from tests.kit.authz.objects import DEFAULT_LIMIT, DELETED, Cluster, Object, policy, project, repository


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    made.put(project())
    made.put(policy(ann="Edit"))
    return made


def rule(name: str, level: SharingLevel) -> Rule:
    return Rule(SubjectKind.USER, name, level)


def test_a_project_has_the_rules_of_its_policy(cluster: Cluster) -> None:
    found = cluster.genomics
    assert found.rules == (rule("ann", SharingLevel.EDIT),)
    assert (found.state, found.creation, found.layer_size_limit) == (
        PolicyState.ACTIVE,
        RepositoryCreation.ON_PUSH,
        DEFAULT_LIMIT,
    )


def test_a_project_says_its_own_limit_and_how_repositories_come_to_be(cluster: Cluster) -> None:
    cluster.put(project(limits={"layerSize": "2k"}, repositoryCreation="Declared"))
    assert (cluster.genomics.layer_size_limit, cluster.genomics.creation) == (2000, RepositoryCreation.DECLARED)


def test_without_a_policy_a_project_is_invisible(cluster: Cluster) -> None:
    cluster.put(policy(), gone=True)
    assert cluster.state.snapshot().projects == {}


def test_without_its_project_a_policy_gives_nothing(cluster: Cluster) -> None:
    cluster.put(project(), gone=True)
    assert cluster.state.snapshot().projects == {}


def test_a_policy_outside_the_projects_namespace_gives_nothing() -> None:
    cluster = Cluster()
    cluster.put(project())
    cluster.put(project("other"))
    for namespace in ("berth-other", "default", "genomics", "berth-"):
        forged = policy(eve="Administer")
        forged["metadata"]["namespace"] = namespace
        cluster.put(forged)
    assert cluster.state.snapshot().projects == {}


@pytest.mark.parametrize(
    ("manifest", "state"),
    [
        (project(trashed=True), PolicyState.TRASHED),
        (project(suspend=True), PolicyState.SUSPENDED),
        (project(suspend=True, trashed=True), PolicyState.TRASHED),
        (project(meta=DELETED), PolicyState.TRASHED),
    ],
)
def test_what_a_project_says_counts_before_its_policy_does(
    cluster: Cluster, manifest: Object, state: PolicyState
) -> None:
    cluster.put(manifest)
    assert cluster.genomics.state is state


@pytest.mark.parametrize(
    ("state", "expected"), [("Trashed", PolicyState.TRASHED), ("Suspended", PolicyState.SUSPENDED)]
)
def test_what_a_policy_says_counts_as_long_as_it_says_so(cluster: Cluster, state: str, expected: PolicyState) -> None:
    cluster.put(policy(state=state, ann="Edit"))
    assert cluster.genomics.state is expected
    cluster.put(policy(ann="Edit"))
    assert cluster.genomics.state is PolicyState.ACTIVE


def test_a_repository_is_known_by_its_path_and_inherits(cluster: Cluster) -> None:
    cluster.put(repository("tools-viewer-1234", repository="tools/viewer", digests=3))
    found = cluster.genomics.repositories["tools/viewer"]
    assert (found.rules, found.state, found.external, found.has_content) == (None, PolicyState.ACTIVE, False, True)


@pytest.mark.parametrize("manifest", [repository("a", trashed=True), repository("a", meta=DELETED)])
def test_a_trashed_or_deleted_repository_is_in_the_trash_at_once(cluster: Cluster, manifest: Object) -> None:
    cluster.put(manifest)
    assert cluster.genomics.repositories["a"].state is PolicyState.TRASHED


def test_an_external_repository_is_marked(cluster: Cluster) -> None:
    cluster.put(repository("a", external={"image": "example.org/a"}))
    assert cluster.genomics.repositories["a"].external


def test_local_sharing_gives_no_rights_until_its_policy_exists(cluster: Cluster) -> None:
    cluster.put(repository("a", localSharing=[{"kind": "User", "name": "bob", "level": "View"}]))
    assert cluster.genomics.repositories["a"].rules == ()
    cluster.put(policy("a", repository="a", bob="View"))
    assert cluster.genomics.repositories["a"].rules == (rule("bob", SharingLevel.VIEW),)


def test_local_rules_hold_until_their_policy_is_gone(cluster: Cluster) -> None:
    cluster.put(repository("a", localSharing=[]))
    cluster.put(policy("a", repository="a"))
    cluster.put(repository("a"))
    assert cluster.genomics.repositories["a"].rules == ()
    cluster.put(policy("a", repository="a"), gone=True)
    assert cluster.genomics.repositories["a"].rules is None


def test_a_policy_without_its_repository_restricts(cluster: Cluster) -> None:
    cluster.put(policy("a", repository="a", bob="View"))
    assert cluster.genomics.repositories["a"].rules == (rule("bob", SharingLevel.VIEW),)
    cluster.put(policy("a", repository="a"), gone=True)
    assert dict(cluster.genomics.repositories) == {}


def test_of_two_objects_with_one_path_the_older_counts(cluster: Cluster) -> None:
    cluster.put(repository("late", meta={"creationTimestamp": "2026-02-01T00:00:00Z"}, repository="a", trashed=True))
    cluster.put(repository("early", meta={"creationTimestamp": "2026-01-01T00:00:00Z"}, repository="a"))
    seen = [cluster.genomics.repositories["a"].state]
    cluster.put(repository("early"), gone=True)
    seen.append(cluster.genomics.repositories["a"].state)
    cluster.put(repository("late"), gone=True)
    assert seen == [PolicyState.ACTIVE, PolicyState.TRASHED]
    assert dict(cluster.genomics.repositories) == {}


def test_of_two_objects_with_one_path_from_the_same_second_the_one_named_by_the_path_counts(cluster: Cluster) -> None:
    second = {"creationTimestamp": "2026-02-01T00:00:00Z"}
    cluster.put(repository("a", meta=second))
    cluster.put(repository("0-twin", meta=second, repository="a", trashed=True))
    assert cluster.genomics.repositories["a"].state is PolicyState.ACTIVE


def test_an_unreadable_repository_gives_no_rights(cluster: Cluster) -> None:
    cluster.put({**repository("a", trashed="perhaps")})
    assert cluster.genomics.repositories["a"].rules == ()


@pytest.mark.parametrize("broken", [project(storage="x"), project(trashed="perhaps")])
def test_a_project_that_cannot_be_read_is_invisible(cluster: Cluster, broken: Object) -> None:
    cluster.put(broken)
    assert cluster.state.snapshot().projects == {}


def test_what_changes_nothing_makes_no_new_generation(cluster: Cluster) -> None:
    cluster.put(repository("a", digests=1))
    before = cluster.state.snapshot()
    cluster.put(repository("a", digests=2, meta={"labels": {"x": "y"}}))
    cluster.put(project(meta={"annotations": {"x": "y"}}))
    assert cluster.state.snapshot() is before


def test_a_change_of_one_project_leaves_the_others_as_they_are(cluster: Cluster) -> None:
    other = policy(ann="View")
    other["metadata"]["namespace"], other["spec"]["project"] = "berth-other", "other"
    cluster.put(project("other"))
    cluster.put(other)
    before = cluster.state.snapshot()
    cluster.put(repository("a"))
    after = cluster.state.snapshot()
    assert after.generation == before.generation + 1
    assert after.projects["other"] is before.projects["other"]
    assert after.users is before.users
    assert "a" not in before.projects["genomics"].repositories
