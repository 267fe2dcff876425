"""The ClusterRoles that the chart has for people give each exactly what it is for, on a real API server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from berth.api.kinds import KINDS
from berth.cli.kubectl.main import cli
from tests.kit.api import objects
from tests.kit.chart import CHART, render
from tests.kit.control_plane import ControlPlane

VERBS = ("get", "list", "create", "update", "patch", "delete")
PLURALS = tuple(kind.plural for kind in KINDS)
READ = {(verb, plural) for verb in ("get", "list") for plural in PLURALS}
RBAC = "rbac.authorization.k8s.io"
People = Callable[..., Path]


@pytest.fixture
def people(berth_crds: ControlPlane, unique: str) -> People:
    """A function that binds roles of the chart to a new account and returns its kubeconfig."""
    documents = render(CHART / "ci" / "generated-values.yaml")
    wanted = [d for d in documents if d["kind"].startswith("ValidatingAdmissionPolicy") or _of_people(d)]
    berth_crds.apply(*wanted)

    def person(*roles: str) -> Path:
        namespace = berth_crds.namespace()
        account = berth_crds.service_account(namespace, "person")
        for role in roles:
            berth_crds.apply(
                {
                    "apiVersion": f"{RBAC}/v1",
                    "kind": "ClusterRoleBinding",
                    "metadata": {"name": f"{namespace}-{role}"},
                    "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
                    "subjects": [{"apiGroup": RBAC, "kind": "User", "name": account}],
                }
            )
        return berth_crds.kubeconfig_of(namespace, "person")

    return person


def _of_people(document: dict[str, Any]) -> bool:
    return bool(document["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "people")


def allowed(plane: ControlPlane, kubeconfig: Path) -> set[tuple[str, str]]:
    """What that kubeconfig may do with Berth's kinds in every namespace."""
    listed = plane.kubectl("auth", "can-i", "--list", "--namespace=default", f"--kubeconfig={kubeconfig}", check=True)
    found = set()
    for line in listed.stdout.splitlines():
        resource, _, rest = line.partition(" ")
        plural, _, group = resource.partition(".")
        if group == "berth.dev":
            found |= {(verb, plural) for verb in rest[rest.rindex("[") :].strip("[] ").split()}
    return {(verb, plural) for verb, plural in found if verb in VERBS}


def berth(kubeconfig: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, arguments, env={"KUBECONFIG": str(kubeconfig)})
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        ("berth-ask", READ),
        ("berth-view", {(v, p) for v, p in READ if p in ("dockerrepositories", "accesspolicies")}),
        (
            "berth-certifier",
            {(verb, "certifications") for verb in VERBS} | {(v, p) for v, p in READ if p == "registryusers"},
        ),
        (
            "berth-token-owner",
            {(verb, "accesstokens") for verb in VERBS} | {(v, p) for v, p in READ if p == "registryusers"},
        ),
    ],
)
def test_each_role_gives_what_it_is_for_and_no_more(
    berth_crds: ControlPlane, people: People, role: str, rights: set[tuple[str, str]]
) -> None:
    assert allowed(berth_crds, people(role)) == rights


def test_view_on_a_namespace_includes_its_repositories_unless_disabled() -> None:
    for on in (True, False):
        documents = render(CHART / "ci" / "generated-values.yaml", f"--set=rbac.aggregateView={str(on).lower()}")
        (view,) = (d for d in documents if d["metadata"]["name"] == "berth-view")
        labels = view["metadata"]["labels"]
        assert [labels.get(f"{RBAC}/aggregate-to-{role}") == "true" for role in ("view", "edit", "admin")] == [on] * 3


def test_no_role_of_the_chart_for_people_is_bound_to_anybody() -> None:
    documents = render(CHART / "ci" / "generated-values.yaml")
    roles = {d["metadata"]["name"] for d in documents if d["kind"] == "ClusterRole" and _of_people(d)}
    bound = {d["roleRef"]["name"] for d in documents if d["kind"].endswith("RoleBinding")}
    assert roles == {"berth-view", "berth-ask", "berth-certifier", "berth-token-owner"}
    assert not roles & bound


def test_who_has_the_role_to_ask_gets_an_answer_without_a_doubt(
    berth_crds: ControlPlane, people: People, unique: str
) -> None:
    berth_crds.apply(objects.project(unique), objects.user(unique))
    code, said = berth(people("berth-ask"), "can-i", "pull", f"{unique}/a", "--as", unique)
    assert code == 3, said
    assert "may be wrong" not in said


def test_a_token_owner_creates_tokens_only_for_users_of_the_verb_issue_token(
    berth_crds: ControlPlane, people: People, unique: str
) -> None:
    mine, theirs = f"mine-{unique}", f"theirs-{unique}"
    rule = {"apiGroups": ["berth.dev"], "resources": ["registryusers"], "resourceNames": [mine]}
    berth_crds.apply(
        objects.user(mine),
        objects.user(theirs),
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": f"tokens-of-{mine}"},
            "rules": [{**rule, "verbs": ["issue-token"]}],
        },
    )
    person = people("berth-token-owner", f"tokens-of-{mine}")
    token = ("token", "create", f"laptop-{unique}", "--scope", "download", "-o", "name")
    code, said = berth(person, *token, "--owner", theirs)
    assert code == 1
    assert f"User {theirs}, and you may not create tokens for it" in said
    assert f"ask for the verb issue-token on registryusers/{theirs}." in said
    code, said = berth(person, *token, "--owner", mine)
    assert code == 0, said
    code, said = berth(people("berth-token-owner"), "token", "revoke", f"laptop-{unique}")
    assert code == 0, said


def test_a_user_who_may_not_create_a_token_may_not_change_it(
    berth_crds: ControlPlane, people: People, unique: str
) -> None:
    spec = {"owner": {"kind": "User", "name": unique}, "scopes": ["view"], "sha256": "b" * 64}
    token = {"apiVersion": "berth.dev/v1alpha1", "kind": "AccessToken", "metadata": {"name": unique}, "spec": spec}
    berth_crds.apply(token)
    person = f"--kubeconfig={people('berth-token-owner')}"
    wider = yaml.safe_dump({"spec": {"scopes": ["view", "modify"]}})
    refused = berth_crds.kubectl(person, "patch", "accesstoken", unique, "--type=merge", "-p", wider)
    assert "and you may not create tokens for it" in refused.stderr
    berth_crds.kubectl(person, "label", "accesstoken", unique, "kept=yes", check=True)
