"""What members may do with kubectl in a project's namespace, by level, as the API server judges it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from berth.api import names
from berth.kube.resources import DOCKER_REPOSITORIES, REGISTRY_TEAMS, REGISTRY_USERS, ROLE_BINDINGS
from tests.kit.operator.harness import Cluster, RunningOperator
from tests.kit.operator.settings import ACCOUNT, BERTH

SHARED = {"spec": {"localSharing": [{"kind": "User", "name": "another", "level": "View"}]}}
TRASHED = {"spec": {"trashed": True}}
DESCRIBED = {"spec": {"description": "changed"}}
LEVELS = ("View", "Download", "Edit", "EditAndDelete", "Administer")


async def apply(cluster: Cluster, kind: str, name: str, spec: dict[str, Any]) -> None:
    resource = {"RegistryUser": REGISTRY_USERS, "RegistryTeam": REGISTRY_TEAMS}[kind]
    body = {"apiVersion": names.API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    await cluster.admin.apply(resource, body, field_manager="owner")


def repository(namespace: str, name: str, spec: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": "DockerRepository",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec or {},
    }


class KubectlUser:
    """A user of kubectl."""

    def __init__(self, cluster: Cluster, namespace: str, user: str, *groups: str) -> None:
        self.plane = cluster.plane
        self.arguments = ["-n", namespace, f"--as={user}", *(f"--as-group={group}" for group in groups)]

    def _run(self, *arguments: str, input: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        return self.plane.kubectl(*self.arguments, *arguments, input=input)

    def patch(self, name: str, patch: dict[str, Any]) -> str:
        """Empty when it was done, else what kubectl says."""
        return self._run("patch", "dockerrepository", name, "--type=merge", "-p", json.dumps(patch)).stderr

    def create(self, made: dict[str, Any]) -> str:
        return self._run("create", "-f", "-", input=made).stderr

    def may(self, verb: str, resource: str = "dockerrepositories.berth.dev") -> bool:
        return self._run("auth", "can-i", verb, resource).stdout.strip() == "yes"


async def shared_project(cluster: Cluster, unique: str) -> str:
    """A project with one person for each level (cluster user `<project>-<level>`) and one repository."""
    for level in LEVELS:
        identity = {"kubernetes": {"users": [f"{unique}-{level}"]}}
        await apply(cluster, "RegistryUser", f"{unique}-{level.lower()}", identity)
    sharing = [{"kind": "User", "name": f"{unique}-{level.lower()}", "level": level} for level in LEVELS]
    await cluster.make_project(unique, sharing=sharing)
    namespace = names.project_namespace(unique)
    await cluster.until(ROLE_BINDINGS, "berth-administer", lambda live: live is not None, namespace)
    await cluster.admin.apply(DOCKER_REPOSITORIES, repository(namespace, "one"), field_manager="owner")
    return namespace


async def test_each_level_may_change_what_it_says_and_no_more(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    namespace = await shared_project(cluster, unique)
    may = {
        "View": (False, False, False),
        "Download": (False, False, False),
        "Edit": (True, False, False),
        "EditAndDelete": (True, True, False),
        "Administer": (True, True, True),
    }
    for level, expected in may.items():
        member = KubectlUser(cluster, namespace, f"{unique}-{level}")
        said = tuple(member.patch("one", patch) for patch in (DESCRIBED, TRASHED, SHARED))
        assert tuple(not words for words in said) == expected, (level, said)
        await cluster.admin.merge(
            DOCKER_REPOSITORIES,
            (namespace, "one"),
            {"spec": {"description": None, "trashed": None, "localSharing": None}},
            field_manager="owner",
        )


async def test_a_refusal_says_which_field_and_who_can_help(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    namespace = await shared_project(cluster, unique)
    editor = KubectlUser(cluster, namespace, f"{unique}-Edit")
    said = editor.patch("one", SHARED)
    assert f"spec.localSharing of DockerRepository {namespace}/one can only be changed with Administer" in said
    assert f"spec.trashed of DockerRepository {namespace}/one can only be changed with" in editor.patch("one", TRASHED)


async def test_an_editor_makes_repositories_but_none_with_sharing_of_its_own(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    namespace = await shared_project(cluster, unique)
    editor = KubectlUser(cluster, namespace, f"{unique}-Edit")
    assert editor.create(repository(namespace, "two")) == ""
    assert "can only be changed with Administer" in editor.create(repository(namespace, "three", SHARED["spec"]))
    assert "can only be changed with Administer" in editor.create(repository(namespace, "four", {"localSharing": []}))
    assert "EditAndDelete" in editor.create(repository(namespace, "five", TRASHED["spec"]))


async def test_an_editor_does_not_take_sharing_away_and_may_edit_beside_it(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    namespace = await shared_project(cluster, unique)
    await cluster.admin.merge(DOCKER_REPOSITORIES, (namespace, "one"), SHARED, field_manager="owner")
    editor = KubectlUser(cluster, namespace, f"{unique}-Edit")
    assert "can only be changed with Administer" in editor.patch("one", {"spec": {"localSharing": None}})
    assert editor.patch("one", DESCRIBED) == ""


async def test_no_one_outside_the_project_sees_its_repositories(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    namespace = await shared_project(cluster, unique)
    assert not KubectlUser(cluster, namespace, "another").may("get")
    assert KubectlUser(cluster, namespace, f"{unique}-View").may("get")


async def test_members_by_team_group_and_service_account_get_their_rights_and_lose_them(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await apply(cluster, "RegistryUser", unique, {"kubernetes": {"users": [f"{unique}@example.org"]}})
    await apply(cluster, "RegistryTeam", unique, {"members": [{"kind": "User", "name": unique}]})
    sharing = [
        {"kind": "Team", "name": unique, "level": "Edit"},
        {"kind": "Group", "name": f"idp:{unique}", "level": "EditAndDelete"},
        {"kind": "ServiceAccount", "name": f"builders/{unique}", "level": "Administer"},
    ]
    await cluster.make_project(unique, sharing=sharing)
    namespace = names.project_namespace(unique)
    await cluster.until(ROLE_BINDINGS, "berth-administer", lambda live: live is not None, namespace)
    member = KubectlUser(cluster, namespace, f"{unique}@example.org")
    assert (member.may("create"), member.may("delete")) == (True, False)
    grouped = KubectlUser(cluster, namespace, "another", f"idp:{unique}")
    assert (grouped.may("delete"), grouped.may("administer")) == (True, False)
    account = KubectlUser(cluster, namespace, f"system:serviceaccount:builders:{unique}")
    assert account.may("administer")
    await apply(cluster, "RegistryTeam", unique, {"members": []})
    await cluster.until(ROLE_BINDINGS, "berth-edit", lambda live: live is None, namespace)
    assert not member.may("get")


@pytest.mark.parametrize(
    ("kind", "spec", "said"),
    [
        ("RegistryUser", {"type": "Robot"}, "only the users and tokens of pull secrets"),
        (
            "AccessToken",
            {"owner": {"kind": "Robot", "name": "r"}, "scopes": ["download"], "sha256": "a" * 64},
            "only the users and tokens of pull secrets",
        ),
    ],
)
async def test_the_operator_itself_can_make_no_user_and_no_token_but_those_of_pull_secrets(
    cluster: Cluster, operator: RunningOperator, unique: str, kind: str, spec: dict[str, Any], said: str
) -> None:
    made = {"apiVersion": names.API_VERSION, "kind": kind, "metadata": {"name": unique}, "spec": spec}
    arguments = (f"--as=system:serviceaccount:{BERTH}:{ACCOUNT}", "create", "-f", "-")
    assert said in cluster.plane.kubectl(*arguments, input=made).stderr


async def test_the_operator_itself_can_make_no_token_that_pushes_and_change_no_persons_user(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    labels = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER_OPERATOR, names.LABEL_PULL_NAMESPACE: "n"}
    token = {
        "apiVersion": names.API_VERSION,
        "kind": "AccessToken",
        "metadata": {"name": unique, "labels": labels},
        "spec": {"owner": {"kind": "Robot", "name": "a.pull.n"}, "scopes": ["modify"], "sha256": "a" * 64},
    }
    as_operator = f"--as=system:serviceaccount:{BERTH}:{ACCOUNT}"
    said = cluster.plane.kubectl(as_operator, "create", "-f", "-", input=token).stderr
    assert "has only the scope download" in said
    await apply(cluster, "RegistryUser", unique, {})
    patch = json.dumps({"metadata": {"labels": labels}, "spec": {"disabled": True}})
    arguments = ("patch", "registryuser", unique, "--type=merge", "-p", patch)
    assert "only the users and tokens of" in cluster.plane.kubectl(as_operator, *arguments).stderr
