"""Labels of everything that belongs to a project (recommended labels of Kubernetes and Berth's own)."""

from __future__ import annotations

from typing import Any, Final, Protocol

from berth.api import names

NAME: Final = "berth"


class Labelling(Protocol):
    """What labels say about the installation."""

    @property
    def instance(self) -> str:
        """Name of the installation (the Helm release)."""

    @property
    def berth_version(self) -> str:
        """Version of Berth."""


def child_labels(project_id: str, component: str, inputs: Labelling) -> dict[str, str]:
    """Labels of one child. A label with the version stands on no pod, so an upgrade of Berth restarts no registry."""
    return {
        names.LABEL_NAME: NAME,
        names.LABEL_INSTANCE: inputs.instance,
        names.LABEL_COMPONENT: component,
        names.LABEL_PART_OF: NAME,
        names.LABEL_VERSION: inputs.berth_version,
        names.LABEL_MANAGED_BY: names.FIELD_MANAGER_OPERATOR,
        names.LABEL_PROJECT: project_id,
    }


def registry_selector(project_id: str) -> dict[str, str]:
    """What selects the registry's pods. Immutable in a Deployment: it holds nothing that can change."""
    return {names.LABEL_COMPONENT: names.REGISTRY_NAME, names.LABEL_PROJECT: project_id}


def child(
    api_version: str, kind: str, name: str, project_id: str, component: str, inputs: Labelling, **body: Any
) -> dict[str, Any]:
    """One namespaced child with its labels. No owner reference: deleting a custom resource deletes no child."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": names.project_namespace(project_id),
            "labels": child_labels(project_id, component, inputs),
        },
        **body,
    }
