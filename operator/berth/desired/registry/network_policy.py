"""NetworkPolicies of a project's namespace (networking.k8s.io/v1)."""

from __future__ import annotations

from typing import Any, Final

from berth.api import names
from berth.desired.inputs import ProjectInputs
from berth.desired.labels import NAME, build_child, registry_selector

CALLERS: Final = ("access", "catalog", "gateway", "operator")
"""Components of Berth that call registries: manifests, registry walk, blobs, write probe."""

_API = "networking.k8s.io/v1"
_COMPONENT = "network"


def build_default_deny(project_id: str, inputs: ProjectInputs) -> dict[str, Any]:
    """Deny all traffic of every pod in the namespace."""
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    return build_child(_API, "NetworkPolicy", "default-deny", project_id, _COMPONENT, inputs, spec=spec)


def build_registry_policy(project_id: str, inputs: ProjectInputs) -> dict[str, Any]:
    """Allow Berth's processes to the registry's port, and DNS from it; storage is a mounted claim."""
    spec = {
        "podSelector": {"matchLabels": registry_selector(project_id)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"from": [_callers(inputs.berth_namespace)], "ports": [{"protocol": "TCP", "port": names.REGISTRY_PORT}]}
        ],
        "egress": [{"to": [_dns()], "ports": [{"protocol": p, "port": 53} for p in ("UDP", "TCP")]}],
    }
    return build_child(_API, "NetworkPolicy", names.REGISTRY_NAME, project_id, _COMPONENT, inputs, spec=spec)


def _callers(berth_namespace: str) -> dict[str, Any]:
    """Namespace and pod selector in one peer: both must match."""
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": berth_namespace}},
        "podSelector": {
            "matchLabels": {names.LABEL_NAME: NAME},
            "matchExpressions": [{"key": names.LABEL_COMPONENT, "operator": "In", "values": list(CALLERS)}],
        },
    }


def _dns() -> dict[str, Any]:
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
