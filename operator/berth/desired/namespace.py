"""The namespace of a project, with Pod Security `restricted` (Kubernetes, Pod Security Admission)."""

from __future__ import annotations

from typing import Any

from berth.api import names
from berth.desired.labels import Labelling, child_labels

_MODES = ("enforce", "audit", "warn")


def build_namespace(project_id: str, inputs: Labelling) -> dict[str, Any]:
    """The namespace, which enforces the `restricted` profile (Kubernetes, Pod Security Admission)."""
    security = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in _MODES}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": names.project_namespace(project_id),
            "labels": {**child_labels(project_id, "project", inputs), **security},
        },
    }
