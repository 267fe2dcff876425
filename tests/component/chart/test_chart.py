"""The chart renders, is accepted by a real API server, and grants only the permissions that are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.chart import CHART, VALUES, helm, render
from tests.kit.control_plane import ControlPlane
from tests.kit.docs.pages import ROOT

# What no built-in API serves: a cluster with cert-manager does.
FOREIGN_KINDS = {"Certificate"}


def pods_of(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [d["spec"]["template"]["spec"] for d in documents if d["kind"] == "Deployment"]


def rules_of(documents: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [(d["kind"], rule) for d in documents if d["kind"] in ("Role", "ClusterRole") for rule in d["rules"]]


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_helm_lint_finds_nothing(values: Path) -> None:
    result = helm("lint", "--strict", str(CHART), "--values", str(values))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_api_server_accepts_every_object(values: Path, control_plane: ControlPlane) -> None:
    documents = [d for d in render(values) if d["kind"] not in FOREIGN_KINDS]
    control_plane.kubectl("create", "namespace", "berth-system")
    for document in documents:
        result = control_plane.kubectl(
            "apply", "--namespace=berth-system", "--dry-run=server", "--filename=-", input=yaml.safe_dump(document)
        )
        assert result.returncode == 0, (document["kind"], document["metadata"]["name"], result.stderr)


def test_a_missing_secret_of_an_identity_providers_authorities_keeps_no_pod_from_starting() -> None:
    documents = render(VALUES[0], "--set", "access.oidcCASecretName=identity-ca")
    secrets = [v["secret"] for pod in pods_of(documents) for v in pod.get("volumes", []) if v["name"] == "oidc-ca"]
    assert [(secret["secretName"], secret["optional"]) for secret in secrets] == [("identity-ca", True)]


def test_without_a_host_the_error_says_which_value_is_missing() -> None:
    result = helm("template", "berth", str(CHART))
    assert result.returncode != 0
    assert "host is required: the host name that clients type" in result.stderr


def test_a_misspelt_value_is_refused() -> None:
    result = helm("template", "berth", str(CHART), "--set", "host=h.example.org", "--set", "acess.replicas=3")
    assert result.returncode != 0
    assert "acess" in result.stderr


def test_several_catalogs_on_one_sqlite_file_are_refused_with_the_way_out() -> None:
    result = helm("template", "berth", str(CHART), "--set", "host=h.example.org", "--set", "catalog.replicas=2")
    assert result.returncode != 0
    assert "catalog.database.urlSecretRef.name" in result.stderr


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_no_rule_has_a_wildcard_and_secrets_are_read_in_one_namespace_alone(values: Path) -> None:
    documents = render(values)
    bound_cluster_wide = {d["roleRef"]["name"] for d in documents if d["kind"] == "ClusterRoleBinding"}
    for kind, rule in rules_of(documents):
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], rule
        assert not {"escalate", "impersonate"} & set(rule["verbs"]), rule
        assert "bind" not in rule["verbs"] or rule.get("resourceNames"), rule
        assert kind in ("Role", "ClusterRole")
    for document in documents:
        if document["kind"] == "ClusterRole" and document["metadata"]["name"] in bound_cluster_wide:
            assert all("secrets" not in rule["resources"] for rule in document["rules"]), document["metadata"]["name"]


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_every_pod_fits_the_restricted_pod_security_standard(values: Path) -> None:
    pods = pods_of(render(values))
    assert len(pods) == 4
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["enableServiceLinks"] is False
        assert not any("hostPath" in volume for volume in pod["volumes"])
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]


def test_the_crds_in_the_chart_are_the_generated_ones() -> None:
    generated = {path.name: path.read_text() for path in (ROOT / "crds").glob("*.yaml")}
    embedded = {path.name: path.read_text() for path in (CHART / "files" / "crds").glob("*.yaml")}
    assert generated
    assert embedded == generated, "run make crds"


def test_crds_are_kept_at_uninstall_by_default() -> None:
    values = CHART / "ci" / "generated-values.yaml"
    kept = [d for d in render(values) if d["kind"] == "CustomResourceDefinition"]
    assert len(kept) == len(list((ROOT / "crds").glob("*.yaml")))
    assert all(d["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for d in kept)
    loose = [d for d in render(values, "--set", "crds.keep=false") if d["kind"] == "CustomResourceDefinition"]
    assert not any("helm.sh/resource-policy" in d["metadata"].get("annotations", {}) for d in loose)
    assert not [d for d in render(values, "--set", "crds.enabled=false") if d["kind"] == "CustomResourceDefinition"]


def test_only_access_mounts_the_signing_key() -> None:
    holders = {
        d["metadata"]["name"]
        for d in render(CHART / "ci" / "generated-values.yaml")
        if d["kind"] == "Deployment"
        for volume in d["spec"]["template"]["spec"]["volumes"]
        if volume.get("secret", {}).get("secretName") == "berth-token-signing"
    }
    assert holders == {"berth-access"}


def gateway_service(*arguments: str) -> dict[str, Any]:
    documents = render(CHART / "ci" / "generated-values.yaml", *arguments)
    services = {d["metadata"]["name"]: d for d in documents if d["kind"] == "Service"}
    spec: dict[str, Any] = services["berth-gateway"]["spec"]
    return spec


def test_the_gateway_sees_the_clients_own_address_by_default() -> None:
    assert gateway_service()["externalTrafficPolicy"] == "Local"
    spread = gateway_service("--set=gateway.service.externalTrafficPolicy=Cluster")
    assert spread["externalTrafficPolicy"] == "Cluster"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), ""),
        (("gateway.service.externalTrafficPolicy=Cluster",), "all clients behind one node have that node's address"),
        (("gateway.service.type=ClusterIP",), "set access.trustedHops to the number of proxies"),
        (("gateway.service.type=ClusterIP", "access.trustedHops=1"), ""),
    ],
)
def test_the_notes_say_when_clients_share_one_address(
    control_plane: ControlPlane, values: tuple[str, ...], expected: str
) -> None:
    settings = [f"--set={value}" for value in ("host=registry.example.org", *values)]
    result = helm(
        "install", "berth", str(CHART), "--dry-run=client", "--kubeconfig", str(control_plane.kubeconfig), *settings
    )
    assert result.returncode == 0, result.stderr
    notes = result.stdout.partition("NOTES:")[2]
    assert expected in notes
    assert ("all clients" in notes) is bool(expected), notes


@pytest.mark.parametrize(("replicas", "parts"), [(1, ("10", "100")), (3, ("3", "33")), (20, ("1", "5"))])
def test_all_replicas_of_access_together_let_through_no_more_failed_logins_than_the_values_say(
    replicas: int, parts: tuple[str, str]
) -> None:
    for document in render(VALUES[0], "--set", f"access.replicas={replicas}"):
        if document["kind"] == "Deployment" and document["metadata"]["name"] == "berth-access":
            container = document["spec"]["template"]["spec"]["containers"][0]
            expected = {entry["name"]: entry.get("value") for entry in container["env"]}
            assert (expected["BERTH_FAILED_LOGINS_PER_MINUTE"], expected["BERTH_FAILED_LOGINS_PER_HOUR"]) == parts
            return
    raise AssertionError("the chart has no Deployment berth-access")
