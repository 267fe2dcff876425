"""From objects of the cluster to the policy that decides."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest

from berth.access import policy_facts as facts
from berth.access.model import Creation, Level, Rule, State, Subject, SubjectKind, TokenScope
from berth.access.policy_state import PolicyState

Object: TypeAlias = dict[str, Any]

DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
DEFAULT_LIMIT = 100
SIZE = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}


def project(name: str = "genomics", meta: Object | None = None, **spec: Any) -> Object:
    return {
        "kind": "Project",
        "metadata": {"name": name, **(meta or {})},
        "spec": {"displayName": name, "storage": SIZE, **spec},
    }


def repository(name: str, meta: Object | None = None, digests: int = 0, **spec: Any) -> Object:
    metadata = {
        "name": name,
        "namespace": "berth-genomics",
        "creationTimestamp": "2026-01-02T00:00:00Z",
        **(meta or {}),
    }
    return {
        "kind": "DockerRepository",
        "metadata": metadata,
        "spec": spec,
        "status": {"observedGeneration": 1, "digestCount": digests},
    }


def policy(name: str = "project", repository: str | None = None, state: str = "Active", **levels: str) -> Object:
    rules = [
        {"kind": "User", "name": user, "level": level, "actions": [], "source": "Sharing"}
        for user, level in levels.items()
    ]
    spec: Object = {"project": "genomics", "state": state, "rules": rules}
    if repository:
        spec["repository"] = repository
    return {"kind": "AccessPolicy", "metadata": {"name": name, "namespace": "berth-genomics"}, "spec": spec}


class Cluster:
    """Takes objects as the watch gives them."""

    def __init__(self) -> None:
        self.state = PolicyState(layer_size_limit=DEFAULT_LIMIT)

    def put(self, manifest: Object, *, gone: bool = False) -> None:
        name, namespace = manifest["metadata"]["name"], manifest["metadata"].get("namespace", "")
        people = self.state.people
        named: dict[str, tuple[Callable[..., Any], Callable[..., None]]] = {
            "Project": (facts.project_facts, self.state.take_project),
            "RegistryUser": (facts.user_facts, people.take_user),
            "Certification": (facts.certification_facts, people.take_certification),
            "Secret": (facts.secret_facts, people.take_secret),
            "RegistryTeam": (facts.team_facts, people.take_team),
            "AccessToken": (facts.token_facts, people.take_token),
        }
        namespaced: dict[str, tuple[Callable[..., Any], Callable[..., None]]] = {
            "DockerRepository": (facts.repository_facts, self.state.take_repository),
            "AccessPolicy": (facts.policy_facts, self.state.take_policy),
        }
        kind = manifest["kind"]
        if kind in named:
            read, take = named[kind]
            take(name, None if gone else read(manifest))
        else:
            read, take = namespaced[kind]
            take(namespace, name, None if gone else read(manifest))

    @property
    def genomics(self) -> Any:
        return self.state.snapshot().projects["genomics"]

    def user(self, name: str = "ann") -> Any:
        return self.state.snapshot().users[name]

    def certified(self, name: str = "ann") -> Any:
        """The end of the certification; "no" without one."""
        return self.state.snapshot().certifications.get(Subject(SubjectKind.USER, name), "no")


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    made.put(project())
    made.put(policy(ann="Edit"))
    return made


def rule(name: str, level: Level) -> Rule:
    return Rule(SubjectKind.USER, name, level)


def test_a_project_has_the_rules_of_its_policy(cluster: Cluster) -> None:
    found = cluster.genomics
    assert found.rules == (rule("ann", Level.EDIT),)
    assert (found.state, found.creation, found.layer_size_limit) == (State.ACTIVE, Creation.ON_PUSH, DEFAULT_LIMIT)


def test_a_project_says_its_own_limit_and_how_repositories_come_to_be(cluster: Cluster) -> None:
    cluster.put(project(limits={"layerSize": "2k"}, repositoryCreation="Declared"))
    assert (cluster.genomics.layer_size_limit, cluster.genomics.creation) == (2000, Creation.DECLARED)


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
        (project(trashed=True), State.TRASHED),
        (project(suspend=True), State.SUSPENDED),
        (project(suspend=True, trashed=True), State.TRASHED),
        (project(meta=DELETED), State.TRASHED),
    ],
)
def test_what_a_project_says_counts_before_its_policy_does(cluster: Cluster, manifest: Object, state: State) -> None:
    cluster.put(manifest)
    assert cluster.genomics.state is state


@pytest.mark.parametrize(("state", "expected"), [("Trashed", State.TRASHED), ("Suspended", State.SUSPENDED)])
def test_what_a_policy_says_counts_as_long_as_it_says_so(cluster: Cluster, state: str, expected: State) -> None:
    cluster.put(policy(state=state, ann="Edit"))
    assert cluster.genomics.state is expected
    cluster.put(policy(ann="Edit"))
    assert cluster.genomics.state is State.ACTIVE


def test_a_repository_is_known_by_its_path_and_inherits(cluster: Cluster) -> None:
    cluster.put(repository("tools-viewer-1234", repository="tools/viewer", digests=3))
    found = cluster.genomics.repositories["tools/viewer"]
    assert (found.rules, found.state, found.external, found.has_content) == (None, State.ACTIVE, False, True)


@pytest.mark.parametrize("manifest", [repository("a", trashed=True), repository("a", meta=DELETED)])
def test_a_trashed_or_deleted_repository_is_in_the_trash_at_once(cluster: Cluster, manifest: Object) -> None:
    cluster.put(manifest)
    assert cluster.genomics.repositories["a"].state is State.TRASHED


def test_an_external_repository_is_marked(cluster: Cluster) -> None:
    cluster.put(repository("a", external={"image": "example.org/a"}))
    assert cluster.genomics.repositories["a"].external


def test_local_sharing_shares_with_nobody_until_its_policy_is_there(cluster: Cluster) -> None:
    cluster.put(repository("a", localSharing=[{"kind": "User", "name": "bob", "level": "View"}]))
    assert cluster.genomics.repositories["a"].rules == ()
    cluster.put(policy("a", repository="a", bob="View"))
    assert cluster.genomics.repositories["a"].rules == (rule("bob", Level.VIEW),)


def test_local_rules_hold_until_their_policy_is_gone(cluster: Cluster) -> None:
    cluster.put(repository("a", localSharing=[]))
    cluster.put(policy("a", repository="a"))
    cluster.put(repository("a"))
    assert cluster.genomics.repositories["a"].rules == ()
    cluster.put(policy("a", repository="a"), gone=True)
    assert cluster.genomics.repositories["a"].rules is None


def test_a_policy_without_its_repository_restricts(cluster: Cluster) -> None:
    cluster.put(policy("a", repository="a", bob="View"))
    assert cluster.genomics.repositories["a"].rules == (rule("bob", Level.VIEW),)
    cluster.put(policy("a", repository="a"), gone=True)
    assert dict(cluster.genomics.repositories) == {}


def test_of_two_objects_with_one_path_the_older_counts(cluster: Cluster) -> None:
    cluster.put(repository("late", meta={"creationTimestamp": "2026-02-01T00:00:00Z"}, repository="a", trashed=True))
    cluster.put(repository("early", meta={"creationTimestamp": "2026-01-01T00:00:00Z"}, repository="a"))
    seen = [cluster.genomics.repositories["a"].state]
    cluster.put(repository("early"), gone=True)
    seen.append(cluster.genomics.repositories["a"].state)
    cluster.put(repository("late"), gone=True)
    assert seen == [State.ACTIVE, State.TRASHED]
    assert dict(cluster.genomics.repositories) == {}


def test_of_two_objects_with_one_path_from_the_same_second_the_one_named_by_the_path_counts(cluster: Cluster) -> None:
    second = {"creationTimestamp": "2026-02-01T00:00:00Z"}
    cluster.put(repository("a", meta=second))
    cluster.put(repository("0-twin", meta=second, repository="a", trashed=True))
    assert cluster.genomics.repositories["a"].state is State.ACTIVE


def test_a_repository_that_can_not_be_read_is_shared_with_nobody(cluster: Cluster) -> None:
    cluster.put({**repository("a", trashed="perhaps")})
    assert cluster.genomics.repositories["a"].rules == ()


@pytest.mark.parametrize("broken", [project(storage="x"), project(trashed="perhaps")])
def test_a_project_that_can_not_be_read_is_invisible(cluster: Cluster, broken: Object) -> None:
    cluster.put(broken)
    assert cluster.state.snapshot().projects == {}


def user(name: str = "ann", meta: Object | None = None, **spec: Any) -> Object:
    return {"kind": "RegistryUser", "metadata": {"name": name, **(meta or {})}, "spec": spec}


def secret(value: str, key: str = "passwordHash", meta: Object | None = None) -> Object:
    data = {key: base64.b64encode(value.encode()).decode(), "other": base64.b64encode(b"plain text").decode()}
    return {"kind": "Secret", "metadata": {"name": "ann-password", **(meta or {})}, "data": data}


def certification(name: str = "c", user: str = "ann", meta: Object | None = None, **spec: Any) -> Object:
    subject = {"kind": "User", "name": user}
    return {
        "kind": "Certification",
        "metadata": {"name": name, **(meta or {})},
        "spec": {"subject": subject, "certifiedBy": "office", **spec},
    }


REFERENCE = {"name": "ann-password"}


def test_a_user_has_the_hash_of_the_secret_whichever_comes_first() -> None:
    for order in ((0, 1), (1, 0)):
        cluster = Cluster()
        objects = (user(passwordSecretRef=REFERENCE), secret("$argon2id$v=19$x\n"))
        for index in order:
            cluster.put(objects[index])
        assert cluster.user().password_hash == "$argon2id$v=19$x"


@pytest.mark.parametrize("value", ["plain", "", "$1$md5", "{SHA}x"])
def test_what_is_no_hash_of_a_known_scheme_is_no_password(value: str) -> None:
    cluster = Cluster()
    cluster.put(user(passwordSecretRef=REFERENCE))
    cluster.put(secret(value))
    assert cluster.user().password_hash is None


def test_a_secret_that_goes_takes_the_password_with_it() -> None:
    cluster = Cluster()
    cluster.put(user(passwordSecretRef=REFERENCE))
    cluster.put(secret("$2b$12$x"))
    assert cluster.user().password_hash == "$2b$12$x"
    cluster.put(secret("$2b$12$x", meta=DELETED))
    assert cluster.user().password_hash is None


def test_no_hash_stands_in_a_representation() -> None:
    cluster = Cluster()
    cluster.put(user(passwordSecretRef=REFERENCE))
    cluster.put(secret("$2b$12$canary"))
    assert "canary" not in repr(cluster.user())
    assert "canary" not in repr(facts.secret_facts(secret("$2b$12$canary")))


@pytest.mark.parametrize("manifest", [user(disabled=True), user(meta=DELETED)])
def test_a_disabled_or_deleted_user_is_disabled(manifest: Object) -> None:
    cluster = Cluster()
    cluster.put(manifest)
    assert cluster.user().disabled


def test_the_latest_certification_counts_and_one_without_end_above_all() -> None:
    cluster = Cluster()
    cluster.put(user())
    assert cluster.certified() == "no"
    cluster.put(certification("old", validUntil="2026-01-01T00:00:00Z"))
    cluster.put(certification("new", validUntil="2027-01-01T00:00:00Z"))
    assert cluster.certified() == datetime(2027, 1, 1, tzinfo=UTC)
    cluster.put(certification("endless"))
    assert cluster.certified() is None


@pytest.mark.parametrize("gone", [True, False])
def test_a_withdrawn_certification_counts_no_more(gone: bool) -> None:
    cluster = Cluster()
    cluster.put(user())
    cluster.put(certification())
    assert cluster.certified() is None
    cluster.put(certification(meta=DELETED), gone=gone)
    assert cluster.certified() == "no"


def test_a_certification_that_changes_hands_leaves_the_first() -> None:
    cluster = Cluster()
    for name in ("ann", "bob"):
        cluster.put(user(name))
    cluster.put(certification(user="ann"))
    cluster.put(certification(user="bob"))
    assert (cluster.certified("ann"), cluster.certified("bob")) == ("no", None)


def test_a_certification_may_come_before_its_user() -> None:
    cluster = Cluster()
    cluster.put(certification())
    assert cluster.state.snapshot().users == {}
    cluster.put(user())
    assert cluster.certified() is None


def team(name: str, *members: tuple[str, str], meta: Object | None = None) -> Object:
    listed = [{"kind": kind, "name": member} for kind, member in members]
    return {"kind": "RegistryTeam", "metadata": {"name": name, **(meta or {})}, "spec": {"members": listed}}


def token(name: str = "laptop", sha256: str = "a" * 64, meta: Object | None = None, **spec: Any) -> Object:
    owner = {"kind": "User", "name": "ann"}
    return {
        "kind": "AccessToken",
        "metadata": {"name": name, **(meta or {})},
        "spec": {"owner": owner, "scopes": ["download"], "sha256": sha256, **spec},
    }


def test_each_member_knows_its_teams_and_a_change_touches_its_members_alone() -> None:
    cluster, ann, bob = Cluster(), Subject(SubjectKind.USER, "ann"), Subject(SubjectKind.GROUP, "idp:bob")
    cluster.put(team("one", ("User", "ann"), ("Group", "idp:bob")))
    cluster.put(team("two", ("User", "ann")))
    before = cluster.state.snapshot()
    assert before.teams_of == {ann: {"one", "two"}, bob: {"one"}}
    cluster.put(team("two", ("Robot", "nightly")))
    after = cluster.state.snapshot()
    assert after.teams_of == {ann: {"one"}, bob: {"one"}, Subject(SubjectKind.ROBOT, "nightly"): {"two"}}
    assert after.teams_of[bob] is before.teams_of[bob]
    assert before.teams_of[ann] == {"one", "two"}
    cluster.put(team("one", ("User", "ann"), meta=DELETED))
    cluster.put(team("two"), gone=True)
    assert cluster.state.snapshot().teams_of == {}


def test_a_token_is_found_by_its_hash_until_it_is_deleted() -> None:
    cluster = Cluster()
    cluster.put(token(expiresAt="2027-01-01T00:00:00Z"))
    (found,) = cluster.state.snapshot().tokens.values()
    assert (found.name, found.owner) == ("laptop", Subject(SubjectKind.USER, "ann"))
    assert found.scopes == {TokenScope.DOWNLOAD}
    assert found.expires_at == datetime(2027, 1, 1, tzinfo=UTC)
    cluster.put(token(meta=DELETED))
    assert cluster.state.snapshot().tokens == {}


def test_of_two_tokens_with_one_secret_the_first_by_name_counts() -> None:
    cluster = Cluster()
    cluster.put(token("b", scopes=["modify"]))
    cluster.put(token("a"))
    assert cluster.state.snapshot().tokens["a" * 64].name == "a"
    cluster.put(token("a"), gone=True)
    assert cluster.state.snapshot().tokens["a" * 64].name == "b"


def test_whom_a_user_is_outside_can_be_looked_up() -> None:
    cluster = Cluster()
    outside = {"users": ["ann@example.org"], "groups": ["lab"], "serviceAccounts": ["builders/ci"]}
    cluster.put(user(kubernetes=outside, type="Robot"))
    assert cluster.user().subject == Subject(SubjectKind.ROBOT, "ann")
    assert cluster.state.snapshot().aliases == {
        ("User", "ann@example.org"): {"ann"},
        ("ServiceAccount", "builders/ci"): {"ann"},
    }
    cluster.put(user())
    assert cluster.state.snapshot().aliases == {}


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
