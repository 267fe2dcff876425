"""Desired children of a `Project`."""

from __future__ import annotations

from typing import Any

from berth.api.project import Project
from berth.desired.inputs import NamespaceInputs, ProjectInputs
from berth.desired.namespace import build_namespace
from berth.desired.registry.claim import build_claim
from berth.desired.registry.deployment import build_deployment
from berth.desired.registry.network_policy import build_default_deny, build_registry_policy
from berth.desired.registry.secret import build_registry_secret
from berth.desired.registry.service import build_service
from berth.desired.sharing.access_policy import build_project_policy
from berth.desired.sharing.rbac import build_member_rbac, build_operator_binding


def desired_namespace(project_id: str, inputs: NamespaceInputs) -> tuple[dict[str, Any], ...]:
    """The namespace and the operator's own binding in it: what everything else of a project needs first."""
    return (build_namespace(project_id, inputs), build_operator_binding(project_id, inputs))


def desired_project(project: Project, inputs: ProjectInputs) -> tuple[dict[str, Any], ...]:
    """All children of a project, in the order to apply them.

    The operator's own binding follows the namespace, because the operator may write nothing else there without it.
    The network policies and the access policy precede the registry, so that no pod ever runs without them.
    """
    project_id = project.project_id
    return (
        *desired_namespace(project_id, inputs),
        build_default_deny(project_id, inputs),
        build_registry_policy(project_id, inputs),
        build_project_policy(project, inputs),
        build_registry_secret(project_id, inputs),
        build_claim(project, inputs),
        build_service(project_id, inputs),
        build_deployment(project, inputs),
        *build_member_rbac(project_id, inputs),
    )
