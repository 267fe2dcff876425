"""The claim with a project's data, and the reclaim policy that keeps its volume."""

from __future__ import annotations

from typing import Any, Final

from berth.api import names
from berth.api.project import Project
from berth.desired.inputs import ProjectInputs
from berth.desired.labels import build_child
from berth.desired.registry.resources import larger

CLAIM_NAME: Final = names.REGISTRY_NAME


def build_claim(project: Project, inputs: ProjectInputs) -> dict[str, Any]:
    """The PersistentVolumeClaim `registry`.

    It requests the larger of the spec's size and the live claim's: the API server refuses to shrink a claim, and that
    must not block the other children. The status reports it.
    """
    storage = project.spec.storage.persistent_volume_claim
    spec: dict[str, Any] = {
        "accessModes": [storage.access_mode.value],
        "volumeMode": "Filesystem",
        "resources": {"requests": {"storage": larger(storage.size, inputs.claim_request)}},
    }
    if storage.storage_class_name is not None:
        spec["storageClassName"] = storage.storage_class_name
    return build_child("v1", "PersistentVolumeClaim", CLAIM_NAME, project.project_id, "storage", inputs, spec=spec)


def retained_volume(volume_name: str) -> dict[str, Any]:
    """The one field that Berth owns of a claim's volume: `Retain`, so that the volume outlives the claim.

    Not a child of the project: if it were in the inventory, pruning would delete the volume.
    """
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name},
        "spec": {"persistentVolumeReclaimPolicy": "Retain"},
    }
