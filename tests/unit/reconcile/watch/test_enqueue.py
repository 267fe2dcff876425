"""The keys that a change enqueues."""

from __future__ import annotations

from typing import Any

from berth.api import names
from berth.kube.resources import (
    ACCESS_TOKENS,
    CERTIFICATIONS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    DOCKER_REPOSITORIES,
    NAMESPACES,
    PERSISTENT_VOLUMES,
    PROJECTS,
    REGISTRY_TEAMS,
    REGISTRY_USERS,
    ROLE_BINDINGS,
    SECRETS,
    STORAGE_CLASSES,
    Manifest,
    Resource,
)
from berth.reconcile.watch.enqueue import Enqueuer
from berth.reconcile.watch.keys import INSTALLATION
from berth.reconcile.workqueue import Key

A, B = Key("Project", "a"), Key("Project", "b")
CONSENT = "berth-pull-secret-writer"


class Changes:
    def __init__(self) -> None:
        self.keys: set[Key] = set()
        self.enqueuer = Enqueuer("berth-system", CONSENT, self.keys.add)

    def enqueues(self, resource: Resource, old: Manifest | None, new: Manifest | None) -> set[Key]:
        self.keys.clear()
        self.enqueuer.changed(resource, old, new)
        return set(self.keys)


def thing(
    resource: Resource, name: str, namespace: str = "", labels: dict[str, str] | None = None, **spec: Any
) -> Manifest:
    metadata: dict[str, Any] = {"name": name, "labels": labels or {}}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}


def share(user: str) -> list[dict[str, str]]:
    return [{"kind": "User", "name": user, "level": "View"}]


def test_an_object_enqueues_itself() -> None:
    change = Changes()
    assert change.enqueues(PROJECTS, None, thing(PROJECTS, "a")) == {A}
    assert change.enqueues(PROJECTS, thing(PROJECTS, "a"), None) == {A}
    repository = thing(DOCKER_REPOSITORIES, "r", "elsewhere")
    assert change.enqueues(DOCKER_REPOSITORIES, None, repository) == {Key("DockerRepository", "elsewhere/r")}


def test_a_child_enqueues_the_project_on_its_label_also_when_the_label_went() -> None:
    change = Changes()
    child = thing(DEPLOYMENTS, "registry", "berth-a", {names.LABEL_PROJECT: "a"})
    assert change.enqueues(DEPLOYMENTS, child, thing(DEPLOYMENTS, "registry", "berth-a")) == {A}
    assert change.enqueues(DEPLOYMENTS, child, None) == {A}
    assert change.enqueues(DEPLOYMENTS, None, thing(DEPLOYMENTS, "x", "berth-a")) == set()


def test_a_child_of_a_repository_enqueues_that_repository_alone() -> None:
    change = Changes()
    change.enqueues(DOCKER_REPOSITORIES, None, thing(DOCKER_REPOSITORIES, "r", "berth-a"))
    labels = {names.LABEL_PROJECT: "a", names.LABEL_REPOSITORY: "r"}
    child = thing(DEPLOYMENTS, "r", "berth-a", labels)
    assert change.enqueues(DEPLOYMENTS, child, None) == {Key("DockerRepository", "berth-a/r")}


def test_a_user_enqueues_the_projects_that_are_shared_with_it_and_no_other() -> None:
    change = Changes()
    shared, other = thing(PROJECTS, "a", sharing=share("ann")), thing(PROJECTS, "b", sharing=share("bob"))
    change.enqueues(PROJECTS, None, shared)
    change.enqueues(PROJECTS, None, other)
    before, after = thing(REGISTRY_USERS, "ann"), thing(REGISTRY_USERS, "ann", disabled=True)
    assert change.enqueues(REGISTRY_USERS, before, after) == {Key("RegistryUser", "ann"), A}
    change.enqueues(PROJECTS, shared, thing(PROJECTS, "a", sharing=share("bob")))
    assert change.enqueues(REGISTRY_USERS, after, before) == {Key("RegistryUser", "ann")}
    assert change.enqueues(REGISTRY_USERS, None, thing(REGISTRY_USERS, "bob")) == {Key("RegistryUser", "bob"), A, B}


def test_a_users_own_status_enqueues_nothing_else() -> None:
    change = Changes()
    change.enqueues(PROJECTS, None, thing(PROJECTS, "a", sharing=share("ann")))
    user = thing(REGISTRY_USERS, "ann")
    assert change.enqueues(REGISTRY_USERS, user, {**user, "status": {"x": 1}}) == {Key("RegistryUser", "ann")}


def test_a_certification_enqueues_the_user_it_names_and_the_one_it_named() -> None:
    change = Changes()
    before = thing(CERTIFICATIONS, "c", subject={"kind": "User", "name": "ann"})
    after = thing(CERTIFICATIONS, "c", subject={"kind": "User", "name": "bob"})
    change.enqueues(CERTIFICATIONS, None, before)
    assert change.enqueuer.certifications_of("ann") == {"c"}
    users = {Key("RegistryUser", "ann"), Key("RegistryUser", "bob")}
    assert change.enqueues(CERTIFICATIONS, before, after) == {Key("Certification", "c"), *users}
    assert change.enqueuer.certifications_of("ann") == set()


def test_a_password_secret_enqueues_its_users_and_a_key_the_installation() -> None:
    change = Changes()
    change.enqueues(REGISTRY_USERS, None, thing(REGISTRY_USERS, "ann", passwordSecretRef={"name": "ann-password"}))
    change.enqueues(PROJECTS, None, thing(PROJECTS, "a"))
    assert change.enqueues(SECRETS, None, thing(SECRETS, "ann-password", "berth-system")) == {
        Key("RegistryUser", "ann")
    }
    assert change.enqueues(SECRETS, None, thing(SECRETS, "berth-token-ca", "berth-system")) == {INSTALLATION, A}
    assert change.enqueues(SECRETS, thing(SECRETS, "berth-gateway-tls", "berth-system"), None) == {INSTALLATION}
    assert change.enqueues(SECRETS, None, thing(SECRETS, "unrelated", "berth-system")) == set()


def test_the_state_of_a_project_enqueues_its_repositories_and_other_changes_do_not() -> None:
    change = Changes()
    change.enqueues(DOCKER_REPOSITORIES, None, thing(DOCKER_REPOSITORIES, "r", "berth-a"))
    repository = Key("DockerRepository", "berth-a/r")
    assert change.enqueues(PROJECTS, thing(PROJECTS, "a"), thing(PROJECTS, "a", trashed=True)) == {A, repository}
    assert change.enqueues(PROJECTS, thing(PROJECTS, "a"), thing(PROJECTS, "a", description="x")) == {A}
    assert change.enqueues(NAMESPACES, None, thing(NAMESPACES, "berth-a")) == {A, repository}


def test_a_new_repository_enqueues_its_project_and_its_rivals_for_the_path() -> None:
    change = Changes()
    first = thing(DOCKER_REPOSITORIES, "first", "berth-a", repository="x/y")
    change.enqueues(DOCKER_REPOSITORIES, None, first)
    change.enqueues(DOCKER_REPOSITORIES, None, thing(DOCKER_REPOSITORIES, "unrelated", "berth-a"))
    change.enqueues(DOCKER_REPOSITORIES, None, thing(DOCKER_REPOSITORIES, "second", "berth-a", repository="x/y"))
    assert change.enqueuer.claimants("berth-a", "x/y") == {"first", "second"}
    rivals = {Key("DockerRepository", "berth-a/first"), Key("DockerRepository", "berth-a/second")}
    assert change.enqueues(DOCKER_REPOSITORIES, first, None) == {*rivals, A}
    assert change.enqueuer.claimants("berth-a", "x/y") == {"second"}
    second = thing(DOCKER_REPOSITORIES, "second", "berth-a", repository="x/y")
    deleted = {**second, "metadata": {**second["metadata"], "deletionTimestamp": "2026-11-24T12:00:00Z"}}
    assert change.enqueues(DOCKER_REPOSITORIES, second, deleted) == {Key("DockerRepository", "berth-a/second"), A}
    assert change.enqueues(DOCKER_REPOSITORIES, deleted, None) == {Key("DockerRepository", "berth-a/second"), A}


def test_a_volume_enqueues_the_project_of_its_claim_and_a_storage_class_every_project() -> None:
    change = Changes()
    change.enqueues(PROJECTS, None, thing(PROJECTS, "a"))
    change.enqueues(PROJECTS, None, thing(PROJECTS, "b"))
    volume = thing(PERSISTENT_VOLUMES, "pv", claimRef={"namespace": "berth-a", "name": "registry"})
    assert change.enqueues(PERSISTENT_VOLUMES, None, volume) == {A}
    assert change.enqueues(PERSISTENT_VOLUMES, None, thing(PERSISTENT_VOLUMES, "other")) == set()
    assert change.enqueues(STORAGE_CLASSES, None, thing(STORAGE_CLASSES, "fast")) == {A, B}


def test_a_user_enqueues_what_names_them_itself_or_through_a_team() -> None:
    change = Changes()
    members = [{"kind": "User", "name": "ann"}]
    change.enqueues(REGISTRY_TEAMS, None, thing(REGISTRY_TEAMS, "authors", members=members))
    team_shares = [{"kind": "Team", "name": "authors", "level": "Edit"}]
    change.enqueues(PROJECTS, None, thing(PROJECTS, "a", sharing=team_shares))
    change.enqueues(PROJECTS, None, thing(PROJECTS, "b", sharing=share("bob")))
    change.enqueues(DOCKER_REPOSITORIES, None, thing(DOCKER_REPOSITORIES, "r", "berth-b", localSharing=share("ann")))
    owner = {"kind": "User", "name": "ann"}
    change.enqueues(ACCESS_TOKENS, None, thing(ACCESS_TOKENS, "laptop", owner=owner, sha256="1"))
    user = thing(REGISTRY_USERS, "ann")
    concerned = {A, Key("RegistryTeam", "authors"), Key("DockerRepository", "berth-b/r"), Key("AccessToken", "laptop")}
    assert change.enqueues(REGISTRY_USERS, None, user) == concerned | {Key("RegistryUser", "ann")}
    assert change.enqueues(REGISTRY_USERS, user, {**user, "status": {}}) == {Key("RegistryUser", "ann")}


def test_a_team_enqueues_what_is_shared_with_it_and_no_other() -> None:
    change = Changes()
    for name, team in (("a", "authors"), ("b", "others")):
        shares = [{"kind": "Team", "name": team, "level": "Edit"}]
        change.enqueues(PROJECTS, None, thing(PROJECTS, name, sharing=shares))
    team_key = Key("RegistryTeam", "authors")
    assert change.enqueues(REGISTRY_TEAMS, None, thing(REGISTRY_TEAMS, "authors", members=[])) == {A, team_key}
    change.enqueues(PROJECTS, thing(PROJECTS, "a", sharing=[{"kind": "Team", "name": "authors"}]), thing(PROJECTS, "a"))
    assert change.enqueues(REGISTRY_TEAMS, thing(REGISTRY_TEAMS, "authors", members=[]), None) == {team_key}


def test_tokens_with_one_secret_enqueue_each_other_when_one_comes_or_goes() -> None:
    change = Changes()
    one, two = (thing(ACCESS_TOKENS, name, sha256="1") for name in ("one", "two"))
    both = {Key("AccessToken", "one"), Key("AccessToken", "two")}
    change.enqueues(ACCESS_TOKENS, None, one)
    assert change.enqueues(ACCESS_TOKENS, None, two) == both
    assert change.enqueues(ACCESS_TOKENS, one, None) == both


def test_a_namespace_enqueues_the_projects_that_give_it_a_pull_secret() -> None:
    change = Changes()
    project = thing(PROJECTS, "a", pullSecrets=[{"namespace": "analysis"}])
    change.enqueues(PROJECTS, None, project)
    change.enqueues(PROJECTS, None, thing(PROJECTS, "b"))
    assert change.enqueues(NAMESPACES, None, thing(NAMESPACES, "analysis")) == {A}
    change.enqueues(PROJECTS, project, thing(PROJECTS, "a"))
    assert change.enqueues(NAMESPACES, thing(NAMESPACES, "analysis"), None) == set()


def test_consent_of_a_namespace_enqueues_the_projects_that_pull_there_and_no_other_binding_does() -> None:
    change = Changes()
    change.enqueues(PROJECTS, None, thing(PROJECTS, "a", pullSecrets=[{"namespace": "analysis"}]))
    change.enqueues(PROJECTS, None, thing(PROJECTS, "b"))
    consent = thing(ROLE_BINDINGS, CONSENT, "analysis")
    assert change.enqueues(ROLE_BINDINGS, None, consent) == {A}
    assert change.enqueues(ROLE_BINDINGS, consent, None) == {A}
    assert change.enqueues(ROLE_BINDINGS, None, thing(ROLE_BINDINGS, CONSENT, "elsewhere")) == set()
    assert change.enqueues(ROLE_BINDINGS, None, thing(ROLE_BINDINGS, "readers", "analysis")) == set()


def test_the_first_use_of_a_pull_secrets_token_enqueues_its_project_and_later_ones_do_not() -> None:
    change = Changes()
    token = thing(ACCESS_TOKENS, "a.pull.n.1", labels={names.LABEL_PROJECT: "a"})
    key = Key("AccessToken", "a.pull.n.1")
    assert change.enqueues(ACCESS_TOKENS, None, token) == {key, A}
    used = {**token, "status": {"lastUsed": "2026-11-24T12:00:00Z"}}
    assert change.enqueues(ACCESS_TOKENS, token, used) == {key, A}
    assert change.enqueues(ACCESS_TOKENS, used, {**token, "status": {"lastUsed": "2026-11-24T13:00:00Z"}}) == {key}
    assert change.enqueues(ACCESS_TOKENS, used, None) == {key, A}


def test_what_berth_made_itself_is_known_and_enqueues_itself_alone() -> None:
    change = Changes()
    token = thing(ACCESS_TOKENS, "t", owner={"kind": "Robot", "name": "a.pull.n"}, sha256="f" * 64)
    change.enqueuer.own_write(ACCESS_TOKENS, None, token)
    assert change.keys == {Key("AccessToken", "t")}
    change.keys.clear()
    change.enqueuer.own_write(ACCESS_TOKENS, token, {**token, "status": {}})
    assert change.keys == set()
    robot = thing(REGISTRY_USERS, "a.pull.n")
    assert Key("AccessToken", "t") in change.enqueues(
        REGISTRY_USERS, robot, thing(REGISTRY_USERS, "a.pull.n", disabled=True)
    )
    assert change.enqueuer.tokens_of("f" * 64) == {"t"}


def test_each_change_of_a_child_enqueues_its_owner_alone() -> None:
    change = Changes()
    change.enqueues(PROJECTS, None, thing(PROJECTS, "a"))
    ours = {names.LABEL_PROJECT: "a"}
    assert change.enqueues(CONFIG_MAPS, None, thing(CONFIG_MAPS, "ca", "berth-system")) == {INSTALLATION}
    assert change.enqueues(SECRETS, None, thing(SECRETS, "registry", "berth-a", ours)) == {A}
    assert change.enqueues(SECRETS, None, thing(SECRETS, "berth-token-ca", "berth-a")) == set()
    assert change.enqueues(ROLE_BINDINGS, None, thing(ROLE_BINDINGS, "berth-edit", "berth-a", ours)) == {A}
    assert change.enqueues(NAMESPACES, None, thing(NAMESPACES, "other")) == set()


def test_a_robot_of_a_pull_secret_enqueues_its_project_when_others_change_it() -> None:
    change = Changes()
    robot = thing(REGISTRY_USERS, "a.pull.n", labels={names.LABEL_PROJECT: "a"})
    key = Key("RegistryUser", "a.pull.n")
    assert change.enqueues(REGISTRY_USERS, None, robot) == {key, A}
    assert change.enqueues(REGISTRY_USERS, robot, {**robot, "status": {"x": 1}}) == {key}
    labelled = {**robot, "metadata": {**robot["metadata"], "labels": {}}}
    assert change.enqueues(REGISTRY_USERS, robot, labelled) == {key, A}
    assert change.enqueues(REGISTRY_USERS, robot, None) == {key, A}


def test_a_status_of_a_team_or_token_enqueues_itself_alone() -> None:
    change = Changes()
    change.enqueues(PROJECTS, None, thing(PROJECTS, "a", sharing=[{"kind": "Team", "name": "authors"}]))
    team = thing(REGISTRY_TEAMS, "authors", members=[])
    assert change.enqueues(REGISTRY_TEAMS, team, {**team, "status": {}}) == {Key("RegistryTeam", "authors")}
    one, two = (thing(ACCESS_TOKENS, name, sha256="1") for name in ("one", "two"))
    for token in (one, two):
        change.enqueues(ACCESS_TOKENS, None, token)
    assert change.enqueues(ACCESS_TOKENS, one, {**one, "status": {}}) == {Key("AccessToken", "one")}
    other = thing(ACCESS_TOKENS, "one", sha256="2")
    assert change.enqueues(ACCESS_TOKENS, one, other) == {Key("AccessToken", "one"), Key("AccessToken", "two")}
    assert change.enqueuer.tokens_of("1") == {"two"}
    deleted = {**two, "metadata": {**two["metadata"], "deletionTimestamp": "2026-11-24T12:00:00Z"}}
    change.enqueues(ACCESS_TOKENS, other, one)
    assert change.enqueues(ACCESS_TOKENS, two, deleted) == {Key("AccessToken", "one"), Key("AccessToken", "two")}


def test_a_changed_repository_enqueues_neither_its_project_nor_its_rivals() -> None:
    change = Changes()
    first, second = (thing(DOCKER_REPOSITORIES, name, "berth-a", repository="x") for name in ("first", "second"))
    for repository in (first, second):
        change.enqueues(DOCKER_REPOSITORIES, None, repository)
    described = thing(DOCKER_REPOSITORIES, "first", "berth-a", repository="x", description="new")
    assert change.enqueues(DOCKER_REPOSITORIES, first, described) == {Key("DockerRepository", "berth-a/first")}


def test_each_state_of_a_project_and_its_deletion_enqueue_its_repositories() -> None:
    change = Changes()
    change.enqueues(DOCKER_REPOSITORIES, None, thing(DOCKER_REPOSITORIES, "r", "berth-a"))
    both = {A, Key("DockerRepository", "berth-a/r")}
    project = thing(PROJECTS, "a")
    deleted = {**project, "metadata": {**project["metadata"], "deletionTimestamp": "2026-11-24T12:00:00Z"}}
    for after in (thing(PROJECTS, "a", suspend=True), deleted, None):
        assert change.enqueues(PROJECTS, project, after) == both


def test_all_projects_are_enqueued_until_they_are_gone() -> None:
    change = Changes()
    for name in ("a", "b"):
        change.enqueues(PROJECTS, None, thing(PROJECTS, name))
    change.enqueues(PROJECTS, thing(PROJECTS, "b"), None)
    change.keys.clear()
    change.enqueuer.all_projects()
    assert change.keys == {A}


def test_a_certification_of_a_service_account_enqueues_itself_alone() -> None:
    change = Changes()
    account = thing(CERTIFICATIONS, "c", subject={"kind": "ServiceAccount", "name": "builders/ci"})
    assert change.enqueues(CERTIFICATIONS, None, account) == {Key("Certification", "c")}


def test_a_user_enqueues_the_certifications_that_name_it() -> None:
    change = Changes()
    change.enqueues(CERTIFICATIONS, None, thing(CERTIFICATIONS, "c", subject={"kind": "User", "name": "ann"}))
    user = Key("RegistryUser", "ann")
    assert change.enqueues(REGISTRY_USERS, None, thing(REGISTRY_USERS, "ann")) == {user, Key("Certification", "c")}


def test_a_password_secret_that_is_no_longer_named_enqueues_nothing() -> None:
    change = Changes()
    named = thing(REGISTRY_USERS, "ann", passwordSecretRef={"name": "ann-password"})
    change.enqueues(REGISTRY_USERS, None, named)
    change.enqueues(REGISTRY_USERS, named, thing(REGISTRY_USERS, "ann"))
    assert change.enqueues(SECRETS, None, thing(SECRETS, "ann-password", "berth-system")) == set()
