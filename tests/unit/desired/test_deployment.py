"""How the registry is run."""

from __future__ import annotations

from typing import Any

import pytest

from berth.desired.deployment import ANNOTATION_CONFIG_HASH, build_deployment
from berth.desired.inputs import ProjectInputs
from berth.desired.resources import canonical_quantity, container_resources
from berth.desired.service import build_service
from tests.unit.desired.samples import inputs, project

SHARED: dict[str, Any] = {"claim": {"accessMode": "ReadWriteMany"}, "registry": {"replicas": 3}}


def spec_of(given: ProjectInputs | None = None, **spec: Any) -> dict[str, Any]:
    made = build_deployment(project(**spec), given or inputs())["spec"]
    assert isinstance(made, dict)
    return made


def test_a_claim_for_one_node_is_given_up_before_it_is_taken() -> None:
    assert spec_of()["strategy"] == {"type": "Recreate"}
    assert spec_of()["replicas"] == 1


def test_a_shared_claim_is_rolled_over_without_a_gap() -> None:
    made = spec_of(**SHARED)
    assert made["strategy"]["type"] == "RollingUpdate"
    assert made["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert made["replicas"] == 3


@pytest.mark.parametrize("flag", ["suspended", "deleted"])
def test_a_suspended_or_deleted_project_has_no_registry_pod(flag: str) -> None:
    assert spec_of(inputs(**{flag: True}), **SHARED)["replicas"] == 0


def test_suspending_changes_nothing_but_the_number_of_pods() -> None:
    running, suspended = spec_of(**SHARED), spec_of(inputs(suspended=True), **SHARED)
    assert {**suspended, "replicas": 3} == running


def test_a_project_in_the_trash_keeps_its_registry() -> None:
    assert spec_of(inputs(trashed=True))["replicas"] == 1


def test_a_change_of_configuration_restarts_the_registry() -> None:
    def pod_hash(given: ProjectInputs) -> str:
        return str(spec_of(given)["template"]["metadata"]["annotations"][ANNOTATION_CONFIG_HASH])

    assert pod_hash(inputs()) == pod_hash(inputs())
    assert pod_hash(inputs(host="other.example.org")) != pod_hash(inputs())


def test_an_upgrade_of_berth_restarts_no_registry() -> None:
    before, after = spec_of(inputs(berth_version="0.1.0")), spec_of(inputs(berth_version="9.9.9"))
    assert before["template"] == after["template"]


def test_service_and_deployment_select_the_pods_that_are_made() -> None:
    made = spec_of()
    labels = made["template"]["metadata"]["labels"]
    service = build_service("genomics", inputs())["spec"]
    assert made["selector"]["matchLabels"].items() <= labels.items()
    assert service["selector"].items() <= labels.items()
    ports = {port["name"]: port["containerPort"] for port in made["template"]["spec"]["containers"][0]["ports"]}
    assert ports[service["ports"][0]["targetPort"]] == service["ports"][0]["port"] == 5000


def test_the_selector_never_changes() -> None:
    changed = inputs(instance="other", berth_version="2", registry_version="4", suspended=True)
    assert spec_of(changed, **SHARED)["selector"] == spec_of()["selector"]


def test_probes_never_ask_for_what_needs_a_token() -> None:
    container = spec_of()["template"]["spec"]["containers"][0]
    assert container["readinessProbe"]["httpGet"]["path"] == "/"
    assert container["startupProbe"]["httpGet"]["path"] == "/"
    assert "httpGet" not in container["livenessProbe"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("1024Mi", "1Gi"),
        ("50Gi", "50Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1500M", "1500M"),
        ("100000M", "100G"),
        ("1e3", "1k"),
        ("0", "0"),
        ("1048576", "1048576"),
        ("0.1Ki", "103"),
    ],
)
def test_quantities_are_written_as_the_api_server_keeps_them(written: str, kept: str) -> None:
    assert canonical_quantity(written) == kept
    assert canonical_quantity(kept) == kept


def resources(**given: Any) -> dict[str, dict[str, str]]:
    registry = project(registry={"resources": given}).spec.registry
    assert registry is not None
    return container_resources(registry.resources)


def test_resources_come_from_the_installation_unless_the_spec_says_so() -> None:
    assert container_resources(None) == {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
    made = resources(requests={"cpu": 1}, limits={"cpu": "2", "memory": "2048Mi"})
    assert made == {"requests": {"cpu": "1", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "2Gi"}}


def test_no_default_contradicts_what_a_person_wrote() -> None:
    assert resources(requests={"memory": "2Gi"})["limits"]["memory"] == "2Gi"
    assert resources(limits={"memory": "32Mi", "cpu": "10m"})["requests"] == {"cpu": "10m", "memory": "32Mi"}
