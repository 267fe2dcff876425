"""Labels and metadata of a project's children (recommended labels of Kubernetes and Berth's own)."""

from __future__ import annotations

from typing import Any, Final, Protocol

from berth.api import names

NAME: Final = "berth"


class Labelling(Protocol):
    """The installation's part of the labels."""

    @property
    def instance(self) -> str:
        """Name of the installation (the Helm release)."""

    @property
    def berth_version(self) -> str:
        """Version of Berth."""


def component_labels(component: str, instance: str, version: str) -> dict[str, str]:
    """Labels of every object that the operator writes."""
    return {
        names.LABEL_NAME: NAME,
        names.LABEL_INSTANCE: instance,
        names.LABEL_COMPONENT: component,
        names.LABEL_PART_OF: NAME,
        names.LABEL_VERSION: version,
        names.LABEL_MANAGED_BY: names.FIELD_MANAGER_OPERATOR,
    }


def child_labels(project_id: str, component: str, inputs: Labelling) -> dict[str, str]:
    """Labels of one child. Pods carry no label with Berth's version, so an upgrade restarts no registry."""
    return {
        **component_labels(component, inputs.instance, inputs.berth_version),
        names.LABEL_PROJECT: project_id,
    }


def registry_selector(project_id: str) -> dict[str, str]:
    """Selector of the registry's pods. Constant, because a Deployment's selector is immutable."""
    return {names.LABEL_COMPONENT: names.REGISTRY_NAME, names.LABEL_PROJECT: project_id}


def build_child(
    api_version: str, kind: str, name: str, project_id: str, component: str, inputs: Labelling, **body: Any
) -> dict[str, Any]:
    """A namespaced child with its labels and no owner reference, so deleting a custom resource deletes no child."""
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
