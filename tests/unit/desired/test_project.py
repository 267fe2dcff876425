"""The set of a project's manifests as a whole."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from berth.api import names
from berth.api.policy import AccessPolicy
from berth.api.sharing import SharingLevel
from berth.api.team import RegistryTeam
from berth.api.user import RegistryUser
from berth.desired.inputs import Member, RbacSubjectKind
from berth.desired.project import desired_project
from berth.desired.sharing.access_policy import build_project_policy
from berth.desired.sharing.members import members_by_level
from berth.kube.apply import PRUNABLE
from tests.kit.desired.samples import inputs, of_kind, project

ANN = Member(RbacSubjectKind.USER, "ann@example.org")
BOT = Member(RbacSubjectKind.SERVICE_ACCOUNT, "ci", "builders")
SHARING = [{"kind": "User", "name": "ann", "level": "Edit"}, {"kind": "AuthenticatedUsers", "level": "View"}]


def manifests(**changed: Any) -> tuple[dict[str, Any], ...]:
    return desired_project(project(sharing=SHARING), inputs(**changed))


def test_the_same_input_gives_the_same_bytes() -> None:
    members = {SharingLevel.EDIT: (ANN, BOT)}
    turned = {SharingLevel.EDIT: (BOT, ANN, BOT)}
    first, second = manifests(members=members), manifests(members=turned)
    assert json.dumps(first) == json.dumps(second)


def test_children_follow_those_that_they_need() -> None:
    order = [(m["kind"], m["metadata"]["name"]) for m in manifests(members={SharingLevel.VIEW: (ANN,)})]
    assert order[:2] == [("Namespace", "berth-genomics"), ("RoleBinding", "berth-operator")]
    deployment = order.index(("Deployment", "registry"))
    for needed in (
        ("NetworkPolicy", "default-deny"),
        ("NetworkPolicy", "registry"),
        ("AccessPolicy", "project"),
        ("Secret", "registry"),
        ("PersistentVolumeClaim", "registry"),
    ):
        assert order.index(needed) < deployment
    assert order.index(("Role", "berth-view")) < order.index(("RoleBinding", "berth-view"))


def test_no_object_is_repeated() -> None:
    every = manifests(members=dict.fromkeys(SharingLevel, (ANN,)))
    keys = [(m["kind"], m["metadata"]["name"]) for m in every]
    assert len(set(keys)) == len(keys)


def test_no_child_has_an_owner_so_no_delete_cascades_to_data() -> None:
    assert all("ownerReferences" not in m["metadata"] for m in manifests())
    kept = {m["kind"] for m in manifests()} - {resource.kind for resource in PRUNABLE}
    assert kept == {"Namespace", "PersistentVolumeClaim", "Secret"}


def test_every_child_carries_all_labels() -> None:
    keys = {f"app.kubernetes.io/{k}" for k in ("name", "instance", "component", "part-of", "version", "managed-by")}
    for manifest in manifests(members={SharingLevel.VIEW: (ANN,)}):
        labels = manifest["metadata"]["labels"]
        assert keys <= set(labels)
        assert labels["berth.dev/project"] == "genomics"


def test_every_child_but_the_namespace_is_in_it() -> None:
    for manifest in manifests():
        namespace = manifest["metadata"].get("namespace")
        assert namespace == (None if manifest["kind"] == "Namespace" else "berth-genomics")


def test_the_namespace_enforces_the_restricted_profile() -> None:
    labels = of_kind(manifests(), "Namespace")["metadata"]["labels"]
    for mode in ("enforce", "warn", "audit"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"


def test_the_claim_is_as_the_spec_says() -> None:
    given = project(claim={"size": "51200Mi", "storageClassName": "fast", "accessMode": "ReadWriteMany"})
    claim = of_kind(desired_project(given, inputs()), "PersistentVolumeClaim")["spec"]
    assert claim["resources"]["requests"]["storage"] == "50Gi"
    assert claim["storageClassName"] == "fast"
    assert claim["accessModes"] == ["ReadWriteMany"]


def test_a_claim_without_a_class_leaves_the_choice_to_the_cluster() -> None:
    assert "storageClassName" not in of_kind(manifests(), "PersistentVolumeClaim")["spec"]


@pytest.mark.parametrize(("live", "expected"), [("", "10Gi"), ("5Gi", "10Gi"), ("10Gi", "10Gi"), ("20480Mi", "20Gi")])
def test_a_claim_grows_and_never_shrinks(live: str, expected: str) -> None:
    claim = of_kind(manifests(claim_request=live), "PersistentVolumeClaim")["spec"]
    assert claim["resources"]["requests"]["storage"] == expected


def test_only_berths_own_processes_reach_the_registry() -> None:
    (rule,) = of_kind(manifests(), "NetworkPolicy", "registry")["spec"]["ingress"]
    (peer,) = rule["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "berth-system"}
    (choice,) = peer["podSelector"]["matchExpressions"]
    assert choice["key"] == names.LABEL_COMPONENT
    assert set(choice["values"]) == {"gateway", "access", "operator", "catalog"}
    assert rule["ports"] == [{"protocol": "TCP", "port": 5000}]


def test_the_registry_reaches_nothing_but_name_service() -> None:
    (rule,) = of_kind(manifests(), "NetworkPolicy", "registry")["spec"]["egress"]
    assert {port["port"] for port in rule["ports"]} == {53}
    assert all(rule["to"])


def test_everything_else_in_the_namespace_is_cut_off() -> None:
    spec = of_kind(manifests(), "NetworkPolicy", "default-deny")["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_the_operator_binds_the_one_role_to_itself() -> None:
    binding = of_kind(manifests(), "RoleBinding", "berth-operator")
    assert binding["roleRef"]["name"] == "berth-project-operator"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "berth-operator", "namespace": "berth-system"}]


VERBS = {
    SharingLevel.VIEW: {"get", "list", "watch"},
    SharingLevel.DOWNLOAD: {"get", "list", "watch"},
    SharingLevel.EDIT: {"get", "list", "watch", "create", "update", "patch"},
    SharingLevel.EDIT_AND_DELETE: {"trash", "get", "list", "watch", "create", "update", "patch", "delete"},
    SharingLevel.ADMINISTER: {"trash", "administer", "get", "list", "watch", "create", "update", "patch", "delete"},
}


@pytest.mark.parametrize("level", list(SharingLevel))
def test_members_may_do_with_kubectl_what_their_level_allows(level: SharingLevel) -> None:
    made = manifests(members={level: (ANN, BOT)})
    (role,) = [m for m in made if m["kind"] == "Role"]
    verbs = {resource: set(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]}
    assert verbs == {"dockerrepositories": VERBS[level], "accesspolicies": {"get", "list", "watch"}}
    binding = of_kind(made, "RoleBinding", role["metadata"]["name"])
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "ci", "namespace": "builders"},
        {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann@example.org"},
    ]


def test_a_level_without_members_has_no_role() -> None:
    assert [m for m in manifests(members={SharingLevel.EDIT: ()}) if m["kind"] == "Role"] == []


def _user(name: str, **spec: Any) -> RegistryUser:
    identity = {"users": [f"{name}@example.org"], "serviceAccounts": [f"builders/{name}"]}
    return RegistryUser.model_validate({"metadata": {"name": name}, "spec": {"kubernetes": identity, **spec}})


def _names_in_the_cluster(name: str) -> tuple[Member, Member]:
    return (
        Member(RbacSubjectKind.SERVICE_ACCOUNT, name, "builders"),
        Member(RbacSubjectKind.USER, f"{name}@example.org"),
    )


def test_members_are_the_cluster_names_of_enabled_users_alone() -> None:
    users = {name: _user(name) for name in ("ann", "bob")} | {"eve": _user("eve", disabled=True)}
    shares = [{"kind": "User", "name": n, "level": "Edit"} for n in ("ann", "eve", "absent")]
    everybody = [{"kind": kind, "level": "View"} for kind in ("AuthenticatedUsers", "Public")]
    given = project(sharing=[*shares, *everybody])
    assert members_by_level(given.spec.sharing, users, {}) == {SharingLevel.EDIT: _names_in_the_cluster("ann")}


@pytest.mark.parametrize(
    ("kind", "name", "members"),
    [
        ("Robot", "nightly", _names_in_the_cluster("nightly")),
        ("User", "nightly", ()),
        ("Robot", "ann", ()),
        ("ServiceAccount", "shop/web", (Member(RbacSubjectKind.SERVICE_ACCOUNT, "web", "shop"),)),
        ("Group", "idp:lab", (Member(RbacSubjectKind.GROUP, "idp:lab"),)),
        ("Group", "system:masters", ()),
        ("Team", "absent", ()),
        (
            "Team",
            "authors",
            (
                Member(RbacSubjectKind.GROUP, "idp:lab"),
                Member(RbacSubjectKind.SERVICE_ACCOUNT, "ann", "builders"),
                Member(RbacSubjectKind.SERVICE_ACCOUNT, "web", "shop"),
                Member(RbacSubjectKind.USER, "ann@example.org"),
            ),
        ),
    ],
)
def test_each_kind_of_subject_is_a_member_under_its_names_in_the_cluster(
    kind: str, name: str, members: tuple[Member, ...]
) -> None:
    users = {"ann": _user("ann"), "nightly": _user("nightly", type="Robot")}
    named = [("User", "ann"), ("User", "nightly"), ("ServiceAccount", "shop/web"), ("Group", "idp:lab")]
    listed = {"members": [{"kind": member, "name": called} for member, called in named]}
    teams = {"authors": RegistryTeam.model_validate({"metadata": {"name": "authors"}, "spec": listed})}
    given = project(sharing=[{"kind": kind, "name": name, "level": "Edit"}])
    assert members_by_level(given.spec.sharing, users, teams).get(SharingLevel.EDIT, ()) == members


def test_a_project_policy_leaves_the_public_out_unless_the_installation_allows_it() -> None:
    shares = [{"kind": "Public", "level": "Download"}, {"kind": "Team", "name": "authors", "level": "Edit"}]
    given = project(sharing=shares)
    team = {**shares[1], "actions": ["view", "pull", "push"], "source": "Sharing"}
    public = {**shares[0], "actions": ["view", "pull"], "source": "Sharing"}
    assert build_project_policy(given, inputs())["spec"]["rules"] == [team]
    assert build_project_policy(given, inputs(allow_public=True))["spec"]["rules"] == [public, team]


def test_the_policy_says_who_may_do_what_and_where_it_comes_from() -> None:
    policy = AccessPolicy.model_validate(of_kind(manifests(), "AccessPolicy"))
    assert [rule.to_dict() for rule in policy.spec.rules] == [
        {"kind": "User", "name": "ann", "level": "Edit", "actions": ["view", "pull", "push"], "source": "Sharing"},
        {"kind": "AuthenticatedUsers", "level": "View", "actions": ["view"], "source": "Sharing"},
    ]


def test_the_policy_says_when_the_robot_of_a_pull_secret_stops_pulling_and_nothing_of_others() -> None:
    shares = [{"kind": "User", "name": "ann", "level": "Edit"}]
    given = project(sharing=shares, pullSecrets=[{"namespace": "analysis"}, {"namespace": "web"}])
    served = f"{given.project_id}.pull.analysis"
    policy = build_project_policy(given, inputs(pull_token_ends={served: datetime(2027, 1, 23, 10, tzinfo=UTC)}))
    assert [(rule["name"], rule.get("expiresAt")) for rule in policy["spec"]["rules"]] == [
        ("ann", None),
        (served, "2027-01-23T10:00:00Z"),
        (f"{given.project_id}.pull.web", None),  # no token yet
    ]
    assert policy["spec"]["summary"] == (
        f"User ann Edit, Robot {served} Download by PullSecret until 2027-01-23, "
        f"Robot {given.project_id}.pull.web Download by PullSecret"
    )


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        ({}, "Active"),
        ({"suspended": True}, "Suspended"),
        ({"trashed": True}, "Trashed"),
        ({"deleted": True}, "Trashed"),
        ({"trashed": True, "suspended": True}, "Trashed"),
    ],
)
def test_the_policy_has_the_stricter_state_and_the_sharing_stays(flags: dict[str, bool], state: str) -> None:
    spec = of_kind(manifests(**flags), "AccessPolicy")["spec"]
    assert spec["state"] == state
    assert spec["rules"] == of_kind(manifests(), "AccessPolicy")["spec"]["rules"]
