"""The Service in front of a project's registry pods."""

from __future__ import annotations

from typing import Any

from berth.api import names
from berth.desired.inputs import ProjectInputs
from berth.desired.labels import build_child, registry_selector


def build_service(project_id: str, inputs: ProjectInputs) -> dict[str, Any]:
    """The Service `registry`, on the port in `names.registry_host`."""
    spec = {
        "type": "ClusterIP",
        "selector": registry_selector(project_id),
        "ports": [{"name": "registry", "port": names.REGISTRY_PORT, "targetPort": "registry", "protocol": "TCP"}],
    }
    return build_child("v1", "Service", names.REGISTRY_NAME, project_id, names.REGISTRY_NAME, inputs, spec=spec)
