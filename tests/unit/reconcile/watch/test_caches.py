"""The caches: where objects are found, and which changes are reported."""

from __future__ import annotations

from typing import Any

import pytest

from berth.api import names
from berth.kube.client import KubeClient
from berth.kube.resources import (
    ACCESS_TOKENS,
    CONFIG_MAPS,
    DOCKER_REPOSITORIES,
    PODS,
    PROJECTS,
    REGISTRY_USERS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Manifest,
)
from berth.reconcile.watch.caches import POLICY
from tests.kit.operator.memory import CONSENT, Operator, manifest, project, user
from tests.kit.operator.memory import MemoryCaches as Caches
from tests.kit.operator.settings import BERTH

OURS = {names.LABEL_PROJECT: "alpha"}


class Recorder:
    """Caches that note what they report."""

    def __init__(self, operator: Operator) -> None:
        self.changes: list[tuple[str, bool, bool]] = []
        self.own: list[tuple[str, bool, bool]] = []
        self.access: list[str] = []
        client: KubeClient = operator.context.client
        self.caches = Caches(
            client,
            BERTH,
            "ca",
            CONSENT,
            "",
            lambda resource, old, new: self.changes.append((resource.kind, old is not None, new is not None)),
            lambda resource, old, new: self.own.append((resource.kind, old is not None, new is not None)),
            lambda _old, new: self.access.append("" if new is None else new["metadata"]["name"]),
        )


def live(operator: Operator, made: Manifest) -> Manifest:
    return operator.api.store(made)


def test_reconciling_begins_when_every_watch_has_listed() -> None:
    recorder = Recorder(Operator())
    assert not recorder.caches.synced
    recorder.caches.sync()
    assert recorder.caches.synced
    assert recorder.caches.failing() == {}


def test_objects_are_found_by_key_namespace_and_project() -> None:
    operator = Operator()
    operator.put(project())
    operator.put(manifest(DOCKER_REPOSITORIES, "r", "berth-alpha"))
    operator.put(manifest(ACCESS_TOKENS, "t", labels=OURS))
    operator.put(manifest(ACCESS_TOKENS, "other"))
    caches = operator.caches
    assert caches.live(PROJECTS, ("", "alpha")) is not None
    assert caches.live(PROJECTS, ("", "beta")) is None
    assert caches.live(SERVICE_ACCOUNTS, ("n", "a")) is None
    assert list(caches.in_namespace(DOCKER_REPOSITORIES, "berth-alpha")) == [("berth-alpha", "r")]
    assert not caches.in_namespace(SERVICE_ACCOUNTS, "n")
    assert list(caches.of_project(ACCESS_TOKENS, "alpha")) == [("", "t")]
    assert list(caches.objects(PROJECTS)) == [("", "alpha")]


def test_secrets_of_a_project_are_known_while_they_are_followed() -> None:
    operator = Operator()
    secret = manifest(SECRETS, "registry", "berth-alpha", labels=OURS)
    operator.put(secret)
    operator.put(manifest(SECRETS, "key", BERTH))
    assert operator.caches.live(SECRETS, ("berth-alpha", "registry")) is None
    assert list(operator.caches.objects(SECRETS)) == [(BERTH, "key")]


def test_following_needs_running_caches() -> None:
    recorder = Recorder(Operator())
    with pytest.raises(RuntimeError):
        super(Caches, recorder.caches).follow_secrets("berth-alpha")


def test_unfollowing_what_is_not_followed_changes_nothing() -> None:
    operator = Operator()
    operator.caches.unfollow_secrets(BERTH)
    operator.put(manifest(SECRETS, "key", BERTH))
    assert operator.caches.live(SECRETS, (BERTH, "key")) is not None


def test_consent_is_a_binding_of_the_documented_name_in_that_namespace() -> None:
    operator = Operator()
    operator.put(manifest(ROLE_BINDINGS, "other", "analysis"))
    assert operator.caches.consent("analysis") is None
    operator.put(manifest(ROLE_BINDINGS, CONSENT, "analysis"))
    assert operator.caches.consent("analysis") is not None
    assert operator.caches.consent("elsewhere") is None


def test_an_own_write_is_known_at_once_and_reported_for_the_kinds_that_projects_own() -> None:
    operator = Operator()
    recorder = Recorder(operator)
    recorder.caches.observe(live(operator, user("ann")))
    recorder.caches.observe(live(operator, user("ann", disabled=True)))
    recorder.caches.observe(live(operator, project()))
    recorder.caches.observe(live(operator, manifest(SERVICE_ACCOUNTS, "a", "n")))
    assert recorder.own == [("RegistryUser", False, True), ("RegistryUser", True, True)]
    assert recorder.changes == []
    cached = recorder.caches.live(REGISTRY_USERS, ("", "ann"))
    assert cached is not None
    assert cached["spec"] == {"disabled": True}


def test_an_own_deletion_is_known_at_once_and_never_hits_a_successor() -> None:
    operator = Operator()
    recorder = Recorder(operator)
    stored = live(operator, user("ann"))
    recorder.caches.observe(stored)
    recorder.caches.forget(REGISTRY_USERS, ("", "ann"), "another uid")
    assert recorder.caches.live(REGISTRY_USERS, ("", "ann")) is not None
    recorder.caches.forget(REGISTRY_USERS, ("", "ann"), stored["metadata"]["uid"])
    assert recorder.caches.live(REGISTRY_USERS, ("", "ann")) is None
    assert recorder.own == [("RegistryUser", False, True), ("RegistryUser", True, False)]
    recorder.caches.forget(REGISTRY_USERS, ("", "ann"), stored["metadata"]["uid"])
    recorder.caches.forget(SERVICE_ACCOUNTS, ("n", "a"), "u")
    assert len(recorder.own) == 2


def test_a_deletion_of_another_kind_is_not_reported() -> None:
    operator = Operator()
    recorder = Recorder(operator)
    stored = live(operator, project())
    recorder.caches.observe(stored)
    recorder.caches.forget(PROJECTS, ("", "alpha"), stored["metadata"]["uid"])
    assert recorder.caches.live(PROJECTS, ("", "alpha")) is None
    assert recorder.own == []


def test_changes_by_others_are_reported_with_their_kind() -> None:
    operator = Operator()
    recorder = Recorder(operator)
    recorder.caches.take("ADDED", live(operator, manifest(CONFIG_MAPS, "ca", BERTH)))
    recorder.caches.take("ADDED", live(operator, manifest(SECRETS, "key", BERTH)))
    labels = {names.LABEL_COMPONENT: "access"}
    recorder.caches.take("ADDED", live(operator, manifest(PODS, "access-0", BERTH, labels=labels)))
    assert recorder.changes == [("ConfigMap", False, True), ("Secret", False, True)]
    assert recorder.access == ["access-0"]
    assert [pod["metadata"]["name"] for pod in recorder.caches.access_pods()] == ["access-0"]


def test_policy_versions_are_those_of_the_newest_changes() -> None:
    operator = Operator()
    recorder = Recorder(operator)
    assert recorder.caches.policy_versions() == dict.fromkeys((resource.plural for resource in POLICY), 0)
    stored = live(operator, user("ann"))
    recorder.caches.take("ADDED", stored)
    versions = recorder.caches.policy_versions()
    assert versions is not None
    assert versions["registryusers"] == int(stored["metadata"]["resourceVersion"])
    key = live(operator, manifest(SECRETS, "key", BERTH))
    recorder.caches.take("ADDED", key)
    versions = recorder.caches.policy_versions()
    assert versions is not None
    assert versions["secrets"] == int(key["metadata"]["resourceVersion"])


async def test_an_own_deletion_has_no_version_until_its_event_comes() -> None:
    operator = Operator()
    recorder = Recorder(operator)
    stored = live(operator, user("ann"))
    recorder.caches.take("ADDED", stored)
    recorder.caches.forget(REGISTRY_USERS, ("", "ann"), stored["metadata"]["uid"])
    assert recorder.caches.policy_versions() is None
    gone: dict[str, Any] = {**stored, "metadata": {**stored["metadata"], "resourceVersion": "900"}}
    recorder.caches.take("DELETED", gone)
    await recorder.caches.deletions_confirmed()
    versions = recorder.caches.policy_versions()
    assert versions is not None
    assert versions["registryusers"] == 900


def test_tags_of_repositories_are_not_kept() -> None:
    operator = Operator()
    repository = manifest(DOCKER_REPOSITORIES, "r", "berth-alpha")
    operator.put({**repository, "status": {"tags": [{"name": "1.0"}], "address": "a"}})
    cached = operator.caches.live(DOCKER_REPOSITORIES, ("berth-alpha", "r"))
    assert cached is not None
    assert "tags" not in cached["status"]
