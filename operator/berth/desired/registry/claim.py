"""The claim that holds a project's bytes, and what keeps its volume when the claim goes."""

from __future__ import annotations

from typing import Any, Final

from berth.api import names
from berth.api.project import Project
from berth.desired.inputs import ProjectInputs
from berth.desired.labels import child
from berth.desired.registry.resources import larger

CLAIM_NAME: Final = names.REGISTRY_NAME


def build_claim(project: Project, inputs: ProjectInputs) -> dict[str, Any]:
    """The PersistentVolumeClaim `registry`.

    It asks for the spec's size or for what the live claim asks for, whichever is larger: a smaller size is refused by
    the API server, and the status says so; one refused child must not hold up the others.
    """
    storage = project.spec.storage.persistent_volume_claim
    spec: dict[str, Any] = {
        "accessModes": [storage.access_mode.value],
        "volumeMode": "Filesystem",
        "resources": {"requests": {"storage": larger(storage.size, inputs.claim_request)}},
    }
    if storage.storage_class_name is not None:
        spec["storageClassName"] = storage.storage_class_name
    return child("v1", "PersistentVolumeClaim", CLAIM_NAME, project.project_id, "storage", inputs, spec=spec)


def retained_volume(volume_name: str) -> dict[str, Any]:
    """The one field that Berth owns of the volume behind a claim: it outlives the claim.

    Not a child of the project: it must never stand in an inventory, or pruning would remove the volume.
    """
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name},
        "spec": {"persistentVolumeReclaimPolicy": "Retain"},
    }
