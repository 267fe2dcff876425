"""The chart's ClusterRoles for people, on a cluster whose controllers aggregate them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from e2e.suite.crowd import Projects
from e2e.suite.tokens import access_token, new_secret
from e2e.suite.world import Cluster, Person, Result, certification, eventually

SUFFIX = secrets.token_hex(3)
RBAC = "rbac.authorization.k8s.io"


def bound(role: str, user: str, namespace: str = "") -> Mapping[str, Any]:
    """The binding of a ClusterRole to a user, in one namespace or everywhere."""
    metadata = {"name": f"{role}-{SUFFIX}", **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    }


def create(cluster: Cluster, user: str, made: Mapping[str, Any]) -> Result:
    return cluster.kubectl(f"--as={user}", "create", "--filename=-", stdin=json.dumps(made))


@pytest.fixture
def editor(cluster: Cluster, person: Callable[..., Person]) -> Iterator[Person]:
    """A user without certification."""
    made = person(f"novice-{secrets.token_hex(3)}")
    yield made
    cluster.kubectl("delete", "registryuser", made.name).must()


def test_a_user_who_may_view_a_namespace_sees_its_repositories_and_the_effective_rights(
    cluster: Cluster, projects: Projects
) -> None:
    name = projects.make("viewed")
    viewer = f"viewer-{SUFFIX}@example.org"
    cluster.apply(bound("view", viewer, f"berth-{name}"))

    def reads(kind: str) -> bool:
        return cluster.kubectl(f"--namespace=berth-{name}", f"--as={viewer}", "get", kind).ok

    for kind in ("dockerrepositories", "accesspolicies"):
        eventually(partial(reads, kind), f"the ClusterRole view covers {kind}")
    assert not cluster.kubectl(f"--as={viewer}", "get", "registryusers").ok
    assert not cluster.kubectl("--namespace=berth-system", f"--as={viewer}", "get", "accesspolicies").ok


def test_registry_administrators_certify_and_can_do_nothing_else(cluster: Cluster, editor: Person) -> None:
    officer = f"officer-{SUFFIX}@example.org"
    cluster.apply(bound("berth-certifier", officer))
    made = certification(editor.name)
    made = {**made, "metadata": {"name": f"{editor.name}-{SUFFIX}"}}
    eventually(lambda: create(cluster, officer, made).ok, "the officer certifies")
    eventually(
        lambda: cluster.condition("registryuser", editor.name, "Certified")["status"] == "True",
        "the editor is certified",
    )
    cluster.kubectl(f"--as={officer}", "delete", "certification", made["metadata"]["name"]).must()
    refused = cluster.kubectl(f"--as={officer}", "patch", "registryuser", editor.name, "--type=merge", "--patch={}")
    assert "Forbidden" in refused.said
    assert "Forbidden" in cluster.kubectl(f"--as={officer}", "get", "projects").said


def test_a_token_for_another_user_needs_the_right_to_log_in_as_them(cluster: Cluster, editor: Person) -> None:
    owner = f"owner-{SUFFIX}@example.org"
    rule = {"apiGroups": ["berth.dev"], "resources": ["registryusers"], "verbs": ["issue-token"]}
    mine = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"tokens-of-{editor.name}"},
        "rules": [{**rule, "resourceNames": [editor.name]}],
    }
    cluster.apply(bound("berth-token-owner", owner))
    token = access_token(f"{editor.name}-{SUFFIX}", editor, new_secret(), ["download"])
    eventually(
        lambda: f"ask for the verb issue-token on registryusers/{editor.name}." in create(cluster, owner, token).said,
        "the token of another user is refused with the sentence",
    )
    cluster.apply(mine, bound(f"tokens-of-{editor.name}", owner))
    eventually(lambda: create(cluster, owner, token).ok, "the owner makes the token")
    cluster.kubectl(f"--as={owner}", "delete", "accesstoken", token["metadata"]["name"]).must()
