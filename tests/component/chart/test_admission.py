"""What the chart's admission policies refuse beyond RBAC, to members of a project and to the operator itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest

from berth.api import names
from berth.api.sharing import SharingLevel
from berth.desired.sharing.rbac import PERMISSIONS, ROLE_NAMES
from tests.kit.api import objects
from tests.kit.chart import CHART, render
from tests.kit.control_plane import ControlPlane

RBAC = "rbac.authorization.k8s.io"
BERTH = "berth-system"
OPERATOR = f"system:serviceaccount:{BERTH}:berth-operator"
NAMESPACE_CONTROLLER = "system:serviceaccount:kube-system:namespace-controller"
PATIENCE = 30.0  # seconds; a limit for broken code
SHARING = [{"kind": "User", "name": "reviewer", "level": "Download"}]
EXTERNAL = {"image": "example.org/tools/aligner", "tags": [{"name": "v1", "digest": f"sha256:{'a' * 64}"}]}
MEMBERS = (SharingLevel.EDIT, SharingLevel.EDIT_AND_DELETE, SharingLevel.ADMINISTER)
Run = CompletedProcess[str]


class Kubectl:
    """A user with kubectl in one namespace."""

    def __init__(self, plane: ControlPlane, namespace: str, user: str) -> None:
        self._plane = plane
        self._namespace = namespace
        self._who = f"--as={user}"

    def __call__(self, *arguments: str, input: dict[str, Any] | None = None) -> Run:
        return self._plane.kubectl("-n", self._namespace, self._who, *arguments, input=input)

    def create(self, made: dict[str, Any]) -> Run:
        return self("create", "-f", "-", input=made)

    def patch(self, name: str, change: dict[str, Any], kind: str = "dockerrepository") -> Run:
        return self("patch", kind, name, "--type=merge", "-p", json.dumps(change))

    def delete(self, name: str) -> Run:
        return self("delete", "dockerrepository", name, "--wait=false")


@pytest.fixture(scope="module")
def plane(berth_crds: ControlPlane) -> ControlPlane:
    """The control plane with the chart's roles and policies in force."""
    kinds = ("ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    documents = render(CHART / "ci" / "generated-values.yaml")
    berth_crds.apply(*(document for document in documents if document["kind"] in kinds))
    stranger = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "not-a-project"}}
    limit = time.monotonic() + PATIENCE
    # The last of the policies is in force: a new one takes a moment to reach the API server.
    while not berth_crds.kubectl(
        f"--as={OPERATOR}", "create", "--dry-run=server", "-f", "-", input=stranger
    ).returncode:
        assert time.monotonic() < limit, "the policy is not in force"
    return berth_crds


@pytest.fixture
def space(plane: ControlPlane, unique: str) -> str:
    """A project's namespace, where a member of each level goes by the level's name."""
    namespace = names.project_namespace(unique)
    labels = {names.LABEL_PROJECT: unique}
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    for level in MEMBERS:
        role = {"apiGroups": [names.GROUP], "resources": ["dockerrepositories"], "verbs": list(PERMISSIONS[level])}
        subject = {"apiGroup": RBAC, "kind": "User", "name": level.value}
        metadata = {"name": ROLE_NAMES[level], "namespace": namespace}
        reference = {"apiGroup": RBAC, "kind": "Role", "name": ROLE_NAMES[level]}
        plane.apply(
            {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": [role]},
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": reference,
                "subjects": [subject],
            },
        )
    return namespace


@pytest.fixture
def member(plane: ControlPlane, space: str) -> Callable[[SharingLevel], Kubectl]:
    return lambda level: Kubectl(plane, space, level.value)


Members = Callable[[SharingLevel], Kubectl]


def put(plane: ControlPlane, space: str, name: str, **spec: Any) -> None:
    """A repository with the operator's finalizer."""
    made = objects.repository(name, space, **spec)
    made["metadata"]["finalizers"] = [names.FINALIZER]
    plane.apply(made)


def found(plane: ControlPlane, space: str, name: str) -> dict[str, Any]:
    return plane.get("-n", space, "dockerrepository", name)


def test_who_may_not_share_may_not_get_rid_of_sharing_by_deleting_the_object(
    plane: ControlPlane, space: str, member: Members
) -> None:
    put(plane, space, "hidden", localSharing=SHARING)
    refused = member(SharingLevel.EDIT_AND_DELETE).delete("hidden")
    assert "(Forbidden)" in refused.stderr
    assert refused.stderr.rstrip().endswith(
        f"spec.localSharing of DockerRepository {space}/hidden would be lost with the object, which can only be "
        "deleted with Administer: ask an administrator of the project, or set spec.trashed."
    )
    assert "deletionTimestamp" not in found(plane, space, "hidden")["metadata"]
    assert member(SharingLevel.ADMINISTER).delete("hidden").returncode == 0
    assert "deletionTimestamp" in found(plane, space, "hidden")["metadata"]


def test_an_empty_local_sharing_that_hides_from_everybody_is_sharing_too(
    plane: ControlPlane, space: str, member: Members
) -> None:
    put(plane, space, "closed", localSharing=[])
    assert "would be lost with the object" in member(SharingLevel.EDIT_AND_DELETE).delete("closed").stderr


def test_only_administer_can_remove_the_finalizer_of_a_deleted_object(
    plane: ControlPlane, space: str, member: Members
) -> None:
    put(plane, space, "plain")
    keeper = member(SharingLevel.EDIT_AND_DELETE)
    other = keeper.patch("plain", {"metadata": {"finalizers": ["example.org/another"]}})
    assert "keeps every request refused" in other.stderr
    assert keeper.delete("plain").returncode == 0
    nothing: tuple[list[str] | None, ...] = (None, [])
    for finalizers in nothing:
        refused = keeper.patch("plain", {"metadata": {"finalizers": finalizers}})
        assert refused.stderr.rstrip().endswith(
            f"The finalizer berth.dev/trash of DockerRepository {space}/plain keeps every request refused, and can "
            "only be removed with Administer: ask an administrator of the project to restore it."
        ), finalizers
    assert names.FINALIZER in found(plane, space, "plain")["metadata"]["finalizers"]
    assert member(SharingLevel.ADMINISTER).patch("plain", {"metadata": {"finalizers": None}}).returncode == 0
    assert "NotFound" in plane.kubectl("-n", space, "get", "dockerrepository", "plain").stderr


def test_what_is_in_the_trash_is_not_brought_back_by_deleting_its_object(
    plane: ControlPlane, space: str, member: Members
) -> None:
    put(plane, space, "thrown", trashed=True)
    editor = member(SharingLevel.EDIT)
    assert "(Forbidden)" in editor.delete("thrown").stderr
    assert "keeps every request refused" in editor.patch("thrown", {"metadata": {"finalizers": None}}).stderr
    assert found(plane, space, "thrown")["spec"]["trashed"] is True


def test_members_may_have_finalizers_of_their_own(plane: ControlPlane, space: str, member: Members) -> None:
    put(plane, space, "plain")
    editor = member(SharingLevel.EDIT)
    with_own: tuple[list[str], ...] = ([names.FINALIZER, "example.org/mine"], [names.FINALIZER])
    for finalizers in with_own:
        assert editor.patch("plain", {"metadata": {"finalizers": finalizers}}).returncode == 0


def test_the_operator_takes_its_finalizer_away_and_a_namespace_that_is_deleted_goes_with_all_that_is_shared(
    plane: ControlPlane, space: str
) -> None:
    put(plane, space, "shared", localSharing=SHARING)
    controller = Kubectl(plane, space, NAMESPACE_CONTROLLER)
    assert "would be lost with the object" in controller.delete("shared").stderr
    plane.kubectl("delete", "namespace", space, "--wait=false", check=True)
    limit = time.monotonic() + PATIENCE
    while (gone := controller.delete("shared")).returncode:  # as the controller itself does: once more
        assert time.monotonic() < limit, gone.stderr
    released = Kubectl(plane, space, OPERATOR).patch("shared", {"metadata": {"finalizers": None}})
    assert released.returncode == 0, released.stderr
    assert "NotFound" in plane.kubectl("-n", space, "get", "dockerrepository", "shared").stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"external": EXTERNAL}),
        ({"external": EXTERNAL}, {"external": {"image": "example.org/tools/other"}}),
        ({"external": EXTERNAL}, {"external": None}),
    ],
    ids=["set", "another image", "taken away"],
)
def test_an_editor_does_not_send_the_pulls_of_an_existing_repository_elsewhere(
    plane: ControlPlane, space: str, member: Members, before: dict[str, Any], after: dict[str, Any]
) -> None:
    put(plane, space, "aligner", **before)
    refused = member(SharingLevel.EDIT).patch("aligner", {"spec": after})
    assert refused.stderr.rstrip().endswith(
        f"spec.external.image of DockerRepository {space}/aligner can only be changed with EditAndDelete or "
        "Administer, because it removes what is hosted under that name: ask an administrator of the project, or "
        "create another DockerRepository."
    )
    assert found(plane, space, "aligner")["spec"] == before
    assert member(SharingLevel.EDIT_AND_DELETE).patch("aligner", {"spec": after}).returncode == 0


def test_an_editor_catalogues_images_that_are_hosted_elsewhere_and_keeps_their_tags(
    plane: ControlPlane, space: str, member: Members
) -> None:
    editor = member(SharingLevel.EDIT)
    assert editor.create(objects.repository("elsewhere", space, external=EXTERNAL)).returncode == 0
    more = {"image": EXTERNAL["image"], "tags": [{"name": "v2", "digest": f"sha256:{'b' * 64}"}]}
    assert editor.patch("elsewhere", {"spec": {"external": more, "description": "by hand"}}).returncode == 0


def binding(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "berth-operator", "namespace": namespace},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "berth-project-operator"},
        "subjects": [{"kind": "ServiceAccount", "name": "berth-operator", "namespace": BERTH}],
    }


@pytest.mark.parametrize("namespace", ["kube-system", "default", BERTH])
def test_the_operator_gives_itself_no_rights_outside_of_projects(plane: ControlPlane, namespace: str) -> None:
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    operator = Kubectl(plane, namespace, OPERATOR)
    refused = operator.create(binding(namespace))
    assert "the operator writes RoleBindings only in namespaces of projects" in refused.stderr
    label = {"metadata": {"labels": {names.LABEL_PROJECT: namespace.removeprefix("berth-")}}}
    labelled = operator.patch(namespace, label, "namespace")
    assert labelled.returncode != 0
    assert "(Forbidden)" in labelled.stderr
    assert names.LABEL_PROJECT not in plane.get("namespace", namespace)["metadata"]["labels"]
    secrets = plane.kubectl(f"--as={OPERATOR}", "auth", "can-i", "get", "secrets", "-n", namespace)
    assert secrets.stdout.strip() == "no"


def test_a_label_on_a_namespace_of_another_name_opens_it_to_the_operator_no_more(
    plane: ControlPlane, unique: str
) -> None:
    namespace = plane.namespace("others", {names.LABEL_PROJECT: unique})
    refused = Kubectl(plane, namespace, OPERATOR).create(binding(namespace))
    assert "only in namespaces of projects" in refused.stderr


def test_the_operator_makes_a_projects_namespace_and_its_own_binding_in_it(plane: ControlPlane, unique: str) -> None:
    namespace = names.project_namespace(unique)
    operator = Kubectl(plane, namespace, OPERATOR)
    labels = {names.LABEL_PROJECT: unique}
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
    created = operator.create(made)
    assert created.returncode == 0, created.stderr
    bound = operator.create(binding(namespace))
    assert bound.returncode == 0, bound.stderr


def test_the_operator_makes_no_other_namespace(plane: ControlPlane, unique: str) -> None:
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": unique}}
    for labels in ({}, {names.LABEL_PROJECT: unique}):
        made["metadata"] = {"name": unique, "labels": labels}
        refused = Kubectl(plane, "default", OPERATOR).create(made)
        assert "the operator writes only namespaces of projects" in refused.stderr
