"""How the registry is run."""

from __future__ import annotations

from typing import Any

import pytest

from berth.desired.inputs import ProjectInputs, TokenAuthorities
from berth.desired.registry.deployment import build_deployment, read_start_state
from berth.desired.registry.resources import canonical_quantity, container_resources, larger
from berth.desired.registry.service import build_service
from tests.kit.desired.samples import authorities, inputs, project

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


@pytest.mark.parametrize("changed", [{"host": "other.example.org"}, {"http_secret": "aa" * 32}])
def test_a_change_of_configuration_restarts_the_registry(changed: dict[str, str]) -> None:
    assert spec_of(inputs())["template"] == spec_of(inputs())["template"]
    assert spec_of(inputs(**changed))["template"] != spec_of(inputs())["template"]


AT_FIRST = authorities("a", standby="b")


def later(known: TokenAuthorities, **changed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pod templates of a registry: started with the first authorities, and with these."""
    live = build_deployment(project(), inputs(token_authorities=AT_FIRST))
    given = inputs(token_authorities=known, start_state=read_start_state(live), **changed)
    return live["spec"]["template"], build_deployment(project(), given)["spec"]["template"]


def authorities_in(template: dict[str, Any]) -> set[str]:
    return set(read_start_state({"spec": {"template": template}}).authorities)


def test_a_registry_starts_with_every_authority_including_the_one_on_standby() -> None:
    assert authorities_in(spec_of(inputs(token_authorities=authorities("a", standby="b")))["template"]) == {"a", "b"}
    assert read_start_state(None).authorities == frozenset()


@pytest.mark.parametrize(
    "known",
    [
        AT_FIRST,
        authorities("b", standby="c", retired=("a",)),  # the successor signs, and the next one is on standby
        authorities("a", "b", standby="b"),  # it is to sign
        authorities("a", standby="c", retired=("b",)),  # it had to be replaced
    ],
)
def test_no_registry_restarts_for_authorities_that_it_trusts_or_does_not_require(known: TokenAuthorities) -> None:
    before, after = later(known)
    assert after == before


@pytest.mark.parametrize(
    ("known", "trusted"),
    [
        (authorities("b", "c", standby="c", retired=("a",)), {"a", "b", "c"}),  # the second in a row is to sign
        (authorities("c", standby="d", retired=("b",)), {"b", "c", "d"}),  # it signs after a day in any case
        (authorities("x", standby="y"), {"x", "y"}),  # both were lost
        (authorities("b", standby="c"), {"b", "c"}),  # the first was forgotten
    ],
)
def test_a_registry_restarts_with_all_authorities_when_it_lacks_one_that_signs_or_has_one_that_is_forgotten(
    known: TokenAuthorities, trusted: set[str]
) -> None:
    before, after = later(known)
    assert after != before
    assert authorities_in(after) == trusted


def test_whatever_else_restarts_a_registry_makes_it_read_all_authorities() -> None:
    known = authorities("b", standby="c", retired=("a",))
    for changed in ({"host": "other.example.org"}, {"registry_image": "registry.example.org/distribution:4"}):
        before, after = later(known, **changed)
        assert after != before
        assert authorities_in(after) == {"a", "b", "c"}
    suspended, resumed = later(known, suspended=True)
    assert resumed == suspended, "the number of pods is no part of the template"


def test_a_deployment_of_an_earlier_version_is_started_with_all_authorities() -> None:
    live = build_deployment(project(), inputs())
    live["spec"]["template"]["metadata"]["annotations"] = {"berth.dev/config-hash": "5e" * 16}
    after = build_deployment(project(), inputs(token_authorities=AT_FIRST, start_state=read_start_state(live)))
    assert authorities_in(after["spec"]["template"]) == {"a", "b"}


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
        ("0.0000000001", "1n"),
    ],
)
def test_quantities_are_written_as_the_api_server_keeps_them(written: str, kept: str) -> None:
    assert canonical_quantity(written) == kept
    assert canonical_quantity(kept) == kept


def test_the_larger_of_two_quantities_is_canonical_and_an_empty_second_one_is_ignored() -> None:
    assert larger("512Mi", "2048Mi") == larger("2048Mi", "512Mi") == "2Gi"
    assert larger("1024Mi", "") == "1Gi"
    assert larger("512Mi", "536870912") == "512Mi", "of two equal ones the first"


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


def test_pods_of_a_shared_claim_leave_the_service_before_they_stop() -> None:
    assert "lifecycle" not in spec_of()["template"]["spec"]["containers"][0]
    assert spec_of(**SHARED)["template"]["spec"]["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}


def test_several_pods_are_spread_over_nodes() -> None:
    assert "topologySpreadConstraints" not in spec_of(claim=SHARED["claim"])["template"]["spec"]
    (spread,) = spec_of(claim=SHARED["claim"], registry={"replicas": 2})["template"]["spec"][
        "topologySpreadConstraints"
    ]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
