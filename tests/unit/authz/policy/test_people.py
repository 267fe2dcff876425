"""From users, teams, tokens, certifications and Secrets of the cluster to the people that the policy knows."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from berth.api.sharing import SubjectKind
from berth.api.token import TokenScope
from berth.authz.model import Subject
from berth.authz.policy import facts
from tests.kit.authz.objects import DELETED, Cluster, Object


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


def test_no_repr_contains_a_hash() -> None:
    cluster = Cluster()
    cluster.put(user(passwordSecretRef=REFERENCE))
    cluster.put(secret("$2b$12$canary"))
    assert "canary" not in repr(cluster.user())
    assert "canary" not in repr(facts.secret_facts(secret("$2b$12$canary")))


def test_of_a_secret_only_its_password_hashes_stay_in_memory() -> None:
    whole = secret("$2b$12$x")
    assert set(whole["data"]) == {"passwordHash", "other"}
    assert facts.password_hashes_only(whole) == {**whole, "data": {"passwordHash": whole["data"]["passwordHash"]}}
    assert facts.password_hashes_only({"metadata": {}, "data": None}) == {"metadata": {}, "data": {}}


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


def test_each_member_has_its_teams_and_a_change_touches_its_members_alone() -> None:
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


def test_external_names_of_a_user_can_be_looked_up() -> None:
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
