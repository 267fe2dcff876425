"""The rights of a project's members with kubectl in its namespace, and how the effective rights are shown."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from e2e.suite.crowd import Projects
from e2e.suite.http import Session
from e2e.suite.world import Cluster, Result, eventually, with_page

SUFFIX = secrets.token_hex(3)
REPOSITORY = "kept"
LEVELS = ("View", "Download", "Edit", "EditAndDelete", "Administer")
OUTSIDER = "Outsider"
FORBIDDEN: Final = "Error from server (Forbidden): "
CHANGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "describe": {"spec": {"description": "by hand"}},
    "trash": {"spec": {"trashed": True}},
    "share": {"spec": {"localSharing": [{"kind": "AuthenticatedUsers", "level": "View"}]}},
}
UNDO: Final = {"spec": {"description": None, "trashed": None, "localSharing": None}}
MAY: Final[Mapping[str, frozenset[str]]] = {
    OUTSIDER: frozenset(),
    "View": frozenset({"list", "read policies"}),
    "Download": frozenset({"list", "read policies"}),
    "Edit": frozenset({"list", "read policies", "create", "describe"}),
    "EditAndDelete": frozenset({"list", "read policies", "create", "describe", "trash"}),
    "Administer": frozenset({"list", "read policies", "create", "describe", "trash", "share"}),
}
"""Who may do what of `Member.attempts`."""


@dataclass(frozen=True)
class Member:
    """A kubectl user as the cluster knows them: by name, or as a member of a group."""

    cluster: Cluster
    namespace: str
    identity: tuple[str, ...]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> Result:
        return self.cluster.kubectl(f"--namespace={self.namespace}", *self.identity, *arguments, stdin=stdin)

    def change(self, change: Mapping[str, Any]) -> Result:
        return self.kubectl("patch", "dockerrepository", REPOSITORY, "--type=merge", f"--patch={json.dumps(change)}")

    def create(self, name: str, spec: Mapping[str, Any] | None = None) -> Result:
        return self.kubectl("create", "--filename=-", stdin=json.dumps(repository(self.namespace, name, spec or {})))

    def attempts(self, name: str) -> dict[str, Result]:
        """Everything that a member may or may not do; `name` is for a new repository."""
        return {
            "list": self.kubectl("get", "dockerrepositories"),
            "read policies": self.kubectl("get", "accesspolicies"),
            "create": self.create(name),
            **{what: self.change(change) for what, change in CHANGES.items()},
        }


def repository(namespace: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "berth.dev/v1alpha1", "kind": "DockerRepository", "metadata": metadata, "spec": dict(spec)}


def user(name: str, kubernetes_name: str) -> dict[str, Any]:
    spec = {"type": "Person", "kubernetes": {"users": [kubernetes_name]}}
    return {"apiVersion": "berth.dev/v1alpha1", "kind": "RegistryUser", "metadata": {"name": name}, "spec": spec}


def team(name: str, *members: str) -> dict[str, Any]:
    spec = {"members": [{"kind": "User", "name": member} for member in members]}
    return {"apiVersion": "berth.dev/v1alpha1", "kind": "RegistryTeam", "metadata": {"name": name}, "spec": spec}


def shares() -> list[dict[str, str]]:
    """Each level by another kind of subject: users, a team, a group and a ServiceAccount."""
    return [
        {"kind": "User", "name": f"viewer-{SUFFIX}", "level": "View"},
        {"kind": "Team", "name": f"downloaders-{SUFFIX}", "level": "Download"},
        {"kind": "User", "name": f"editor-{SUFFIX}", "level": "Edit"},
        {"kind": "Group", "name": f"idp:keepers-{SUFFIX}", "level": "EditAndDelete"},
        {"kind": "ServiceAccount", "name": f"builders-{SUFFIX}/ci", "level": "Administer"},
    ]


IDENTITIES: Final[Mapping[str, tuple[str, ...]]] = {
    OUTSIDER: (f"--as=outsider-{SUFFIX}@example.org",),
    "View": (f"--as=viewer-{SUFFIX}@example.org",),
    "Download": (f"--as=downloader-{SUFFIX}@example.org",),
    "Edit": (f"--as=editor-{SUFFIX}@example.org",),
    "EditAndDelete": ("--as=anyone@example.org", f"--as-group=idp:keepers-{SUFFIX}"),
    "Administer": (f"--as=system:serviceaccount:builders-{SUFFIX}:ci",),
}
PEOPLE: Final = ("outsider", "viewer", "downloader", "editor")


@pytest.fixture(scope="module")
def project(cluster: Cluster, projects: Projects) -> str:
    people = [user(f"{name}-{SUFFIX}", f"{name}-{SUFFIX}@example.org") for name in PEOPLE]
    cluster.apply(*people, team(f"downloaders-{SUFFIX}", f"downloader-{SUFFIX}"))
    name = projects.make("members", sharing=[*projects.crowd.sharing, *shares()])
    cluster.apply(repository(f"berth-{name}", REPOSITORY, {}))
    return name


def member(cluster: Cluster, project: str, level: str) -> Member:
    return Member(cluster, f"berth-{project}", IDENTITIES[level])


@pytest.mark.parametrize("level", [OUTSIDER, *LEVELS])
def test_a_member_does_with_kubectl_what_the_level_allows_and_nothing_else(
    cluster: Cluster, project: str, level: str
) -> None:
    tried = member(cluster, project, level).attempts(f"made-{level.lower()}")
    cluster.patch("dockerrepository", REPOSITORY, UNDO, f"berth-{project}").must()
    assert {what for what, result in tried.items() if result.ok} == MAY[level], tried
    assert all(refused.err.startswith(FORBIDDEN) for refused in tried.values() if not refused.ok), tried


def test_an_editor_reads_which_field_needs_more_and_who_can_change_it(cluster: Cluster, project: str) -> None:
    editor, namespace = member(cluster, project, "Edit"), f"berth-{project}"
    shared = editor.change(CHANGES["share"])
    assert shared.err.rstrip().endswith(
        f"spec.localSharing of DockerRepository {namespace}/{REPOSITORY} can only be changed with Administer: "
        "ask an administrator of the project, or leave it unchanged."
    )
    trashed = editor.change(CHANGES["trash"])
    assert trashed.err.rstrip().endswith(
        f"spec.trashed of DockerRepository {namespace}/{REPOSITORY} can only be changed with EditAndDelete or "
        "Administer: ask an administrator of the project, or leave it unchanged."
    )
    created = editor.create("with-sharing", CHANGES["share"]["spec"])
    assert "can only be changed with Administer" in created.err


def test_what_local_sharing_hides_stays_hidden_whatever_its_members_do_to_the_object(
    cluster: Cluster, project: str, projects: Projects, curator: Session
) -> None:
    namespace, hidden = f"berth-{project}", f"{project}/hidden"
    viewer = replace(curator, person=projects.crowd.viewer)
    curator.push(hidden, "v1", b"hidden").must(201)
    eventually(lambda: cluster.get("dockerrepository", "hidden", namespace), "the push made its object")
    unseen = f"{hidden} does not exist or is not shared with {projects.crowd.viewer.name};"
    assert " has View" in viewer.pull(hidden, "v1").refusal[2], "who has View in the project sees that it is there"
    local = [{"kind": "User", "name": projects.crowd.curator.name, "level": "Administer"}]
    cluster.patch("dockerrepository", "hidden", {"spec": {"localSharing": local}}, namespace).must()
    eventually(lambda: viewer.pull(hidden, "v1").refusal[2].startswith(unseen), "local sharing hides it")

    keeper = member(cluster, project, "EditAndDelete")
    deleted = keeper.kubectl("delete", "dockerrepository", "hidden", "--wait=false")
    assert deleted.err.startswith(FORBIDDEN), deleted.said
    assert "would be lost with the object" in deleted.err
    for change in (
        {"metadata": {"finalizers": None}},
        {"spec": {"external": {"image": "example.org/tools/other"}, "localSharing": None}},
    ):
        refused = keeper.kubectl("patch", "dockerrepository", "hidden", "--type=merge", f"--patch={json.dumps(change)}")
        assert refused.err.startswith(FORBIDDEN), refused.said
    assert viewer.pull(hidden, "v1").refusal[2].startswith(unseen)
    cluster.patch("dockerrepository", "hidden", UNDO, namespace).must()
    eventually(lambda: cluster.get("accesspolicy", "hidden", namespace) is None, "its own policy is gone")


def test_a_deleted_repository_is_refused_to_everybody_until_an_administrator_lets_it_go(
    cluster: Cluster, project: str, curator: Session
) -> None:
    namespace, thrown = f"berth-{project}", f"{project}/thrown"
    curator.push(thrown, "v1", b"thrown").must(201)
    eventually(lambda: cluster.get("dockerrepository", "thrown", namespace), "the push made its object")
    keeper, gone = member(cluster, project, "EditAndDelete"), ("dockerrepository", "thrown")
    keeper.kubectl("delete", *gone, "--wait=false").must()
    sentence = (
        f"{thrown} is in the trash, where every request is refused; "
        f"ask someone with EditAndDelete on project {project} to restore it."
    )
    refusal = (403, "DENIED", with_page(sentence, "pull", thrown))
    eventually(lambda: curator.pull(thrown, "v1").refusal == refusal, "it is refused")
    release = ("patch", *gone, "--type=merge", '--patch={"metadata":{"finalizers":null}}')
    refused = keeper.kubectl(*release)
    assert refused.err.startswith(FORBIDDEN), refused.said
    assert "can only be removed with Administer" in refused.err
    assert curator.pull(thrown, "v1").refusal == refusal
    member(cluster, project, "Administer").kubectl(*release).must()
    eventually(lambda: curator.pull(thrown, "v1").must(200), "it can be pulled again")


def test_no_member_writes_access_policies_or_other_projects_objects(cluster: Cluster, project: str) -> None:
    administrator = member(cluster, project, "Administer")
    for words in (
        ("patch", "accesspolicy", "project", "--type=merge", "--patch={}"),
        ("delete", "accesspolicy", "project"),
        ("get", "secrets"),
        ("delete", "role", "berth-administer"),
        ("get", "dockerrepositories", "--all-namespaces"),
    ):
        refused = administrator.kubectl(*words)
        assert refused.err.startswith(FORBIDDEN), (words, refused.said)


def test_who_loses_a_share_loses_kubectl_too(cluster: Cluster, project: str) -> None:
    before: Sequence[Mapping[str, str]] = (cluster.get("project", project) or {})["spec"]["sharing"]
    viewer = member(cluster, project, "View")
    viewer.kubectl("get", "dockerrepositories").must()
    without = [share for share in before if share["name"] != f"viewer-{SUFFIX}"]
    cluster.patch("project", project, {"spec": {"sharing": without}}).must()
    eventually(lambda: not viewer.kubectl("get", "dockerrepositories").ok, "the viewer may list no more")
    cluster.patch("project", project, {"spec": {"sharing": list(before)}}).must()
    eventually(lambda: viewer.kubectl("get", "dockerrepositories").ok, "the viewer may list again")


def test_the_effective_rights_of_a_project_and_its_repositories_read_well(cluster: Cluster, project: str) -> None:
    namespace = f"berth-{project}"
    local = [{"kind": "User", "name": f"editor-{SUFFIX}", "level": "Download"}]
    cluster.apply(repository(namespace, "local", {"localSharing": local}), repository(namespace, "plain", {}))
    eventually(lambda: cluster.get("accesspolicy", "local", namespace), "the local policy is there")
    header, *rows = member(cluster, project, "View").kubectl("get", "accesspolicies").must().out.splitlines()
    assert header.split() == ["NAME", "PROJECT", "REPOSITORY", "STATE", "RIGHTS", "SOURCE", "AGE"]
    starts = [header.index(word) for word in header.split()]
    cells = [[row[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)] for row in rows]
    found = {row[0]: row[1:-1] for row in cells}
    assert set(found) == {"project", "local"}, "a repository without sharing of its own has no policy of its own"
    assert found["local"] == [project, "local", "Active", f"User editor-{SUFFIX} Download", "LocalSharing"]
    sharing = (cluster.get("project", project) or {})["spec"]["sharing"]
    rights = [f"{share['kind']} {share['name']} {share['level']}" for share in sharing]
    shortened = f"{', '.join(rights[:-1])}, and 1 more"
    assert found["project"] == [project, "", "Active", shortened, "Sharing"]
