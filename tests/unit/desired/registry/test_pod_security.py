"""The registry's pod meets every rule of the Pod Security profile `restricted` (Kubernetes, Pod Security Standards)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from berth.desired.registry.deployment import build_deployment
from tests.kit.desired.samples import inputs, project

ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def violations(pod: dict[str, Any]) -> Iterator[str]:  # noqa: C901, PLR0912 (one branch a rule of the standard)
    """Every rule of baseline and restricted that the pod breaks."""
    for field in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
        if pod.get(field):
            yield field
    for volume in pod.get("volumes", []):
        if not set(volume) - {"name"} <= ALLOWED_VOLUMES:
            yield f"volume {volume['name']}"
    shared = pod.get("securityContext", {})
    for container in (*pod["containers"], *pod.get("initContainers", []), *pod.get("ephemeralContainers", [])):
        own = container.get("securityContext", {})
        both = {**shared, **own}
        if own.get("privileged"):
            yield "privileged"
        if own.get("allowPrivilegeEscalation") is not False:
            yield "allowPrivilegeEscalation"
        if own.get("capabilities", {}).get("drop") != ["ALL"]:
            yield "capabilities.drop"
        if not set(own.get("capabilities", {}).get("add", [])) <= {"NET_BIND_SERVICE"}:
            yield "capabilities.add"
        if both.get("runAsNonRoot") is not True:
            yield "runAsNonRoot"
        if both.get("runAsUser") == 0:
            yield "runAsUser"
        if both.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
            yield "seccompProfile"
        if both.get("procMount", "Default") != "Default":
            yield "procMount"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield "hostPort"
        for check in ("livenessProbe", "readinessProbe", "startupProbe"):
            if container.get(check, {}).get("httpGet", {}).get("host"):
                yield f"{check}.host"
    if shared.get("sysctls") or "appArmorProfile" in shared or "seLinuxOptions" in shared:
        yield "sysctls, AppArmor or SELinux"


def pod_of(**spec: Any) -> dict[str, Any]:
    pod = build_deployment(project(**spec), inputs())["spec"]["template"]["spec"]
    assert isinstance(pod, dict)
    return pod


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"claim": {"accessMode": "ReadWriteMany"}, "registry": {"replicas": 3}},
        {"registry": {"resources": {"limits": {"memory": "1Gi"}}}},
    ],
)
def test_the_pod_breaks_no_rule(spec: dict[str, Any]) -> None:
    assert list(violations(pod_of(**spec))) == []


def test_the_check_sees_a_pod_that_breaks_rules() -> None:
    pod = pod_of()
    del pod["containers"][0]["securityContext"]
    assert {"allowPrivilegeEscalation", "capabilities.drop"} <= set(violations(pod))


def test_the_pod_runs_as_the_agreed_user_on_a_read_only_root() -> None:
    pod = pod_of()
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 65532
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_pod_gets_neither_a_token_nor_variables_of_services() -> None:
    pod = pod_of()
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
