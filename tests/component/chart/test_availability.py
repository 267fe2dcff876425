"""What the chart does so that a drained or lost node takes no more than one replica with it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.chart import CHART, helm, render

GENERATED = CHART / "ci" / "generated-values.yaml"
REPLICATED = ("access", "gateway", "catalog")


def budgets(*arguments: str) -> dict[str, Any]:
    """Specs of the budgets, by the component whose Pods they select."""
    found = {}
    for document in render(GENERATED, *arguments):
        if document["kind"] == "PodDisruptionBudget":
            found[document["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]] = document["spec"]
    return found


def deployments(*arguments: str) -> dict[str, Any]:
    documents = [d for d in render(GENERATED, *arguments) if d["kind"] == "Deployment"]
    return {d["metadata"]["labels"]["app.kubernetes.io/component"]: d["spec"] for d in documents}


def of_each(replicas: int) -> tuple[str, ...]:
    settings = ["catalog.database.urlSecretRef.name=catalog-db", *(f"{c}.replicas={replicas}" for c in REPLICATED)]
    return tuple(f"--set={setting}" for setting in settings)


def test_a_component_with_several_replicas_has_a_budget_for_its_own_pods() -> None:
    found, deployed = budgets(*of_each(2)), deployments(*of_each(2))
    assert set(found) == set(REPLICATED)
    for component, spec in found.items():
        assert spec["selector"] == deployed[component]["selector"]
        assert spec["maxUnavailable"] == 1
        assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_single_replica_keeps_no_node_from_being_drained() -> None:
    assert budgets(*of_each(1)) == {}


def test_budgets_are_as_the_values_say() -> None:
    shares = {spec["maxUnavailable"] for spec in budgets("--set=podDisruptionBudget.maxUnavailable=25%").values()}
    assert shares == {"25%"}
    assert budgets("--set=podDisruptionBudget.enabled=false") == {}


@pytest.mark.parametrize("value", ["0", "0%", "101%", "half"])
def test_a_budget_under_which_no_node_could_be_drained_is_refused(value: str) -> None:
    setting = f"--set=podDisruptionBudget.maxUnavailable={value}"
    result = helm("template", "berth", str(CHART), "--set=host=registry.example.org", setting)
    assert result.returncode != 0
    assert "maxUnavailable" in result.stderr


def test_replicas_of_one_version_are_spread_over_nodes_and_started_in_any_case() -> None:
    deployed = deployments()
    for component in REPLICATED:
        (spread,) = deployed[component]["template"]["spec"]["topologySpreadConstraints"]
        assert spread["topologyKey"] == "kubernetes.io/hostname"
        assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
        assert spread["labelSelector"] == deployed[component]["selector"]
        assert spread["matchLabelKeys"] == ["pod-template-hash"]


def test_replicas_are_spread_over_what_the_values_name() -> None:
    zones = deployments("--set=spreadOver={kubernetes.io/hostname,topology.kubernetes.io/zone}")
    keys = [found["topologyKey"] for found in zones["gateway"]["template"]["spec"]["topologySpreadConstraints"]]
    assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert "topologySpreadConstraints" not in deployments("--set=spreadOver=null")["gateway"]["template"]["spec"]
