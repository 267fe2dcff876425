"""RBAC in a project's namespace: the operator's own binding, and the Roles of members for kubectl.

The API server lets the operator write a Role only when the operator has all of its permissions, so the ClusterRole
`inputs.project_cluster_role` must contain `PERMISSIONS`, `rolebindings` and `roles`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from berth.api import names
from berth.api.sharing import SharingLevel
from berth.desired.inputs import Member, NamespaceInputs, ProjectInputs, RbacSubjectKind
from berth.desired.labels import build_child

_RBAC = "rbac.authorization.k8s.io"
_API = f"{_RBAC}/v1"
_COMPONENT = "rbac"

_READ = ("get", "list", "watch")
_EDIT = (*_READ, "create", "update", "patch")
_DELETE = (*_EDIT, "delete")
# Berth's own verbs: the chart's ValidatingAdmissionPolicy requires them where a change needs more than Edit.
_TRASH = "trash"  # spec.trashed, spec.external.image
_ADMINISTER = "administer"  # spec.localSharing, deleting an object that has it, its finalizer

PERMISSIONS: Final[Mapping[SharingLevel, tuple[str, ...]]] = {
    SharingLevel.VIEW: _READ,
    SharingLevel.DOWNLOAD: _READ,
    SharingLevel.EDIT: _EDIT,
    SharingLevel.EDIT_AND_DELETE: (*_DELETE, _TRASH),
    SharingLevel.ADMINISTER: (*_DELETE, _TRASH, _ADMINISTER),
}
"""Verbs on `dockerrepositories` for each level. `accesspolicies` are generated, so every level only reads them."""

ROLE_NAMES: Final[Mapping[SharingLevel, str]] = {
    SharingLevel.VIEW: "berth-view",
    SharingLevel.DOWNLOAD: "berth-download",
    SharingLevel.EDIT: "berth-edit",
    SharingLevel.EDIT_AND_DELETE: "berth-edit-and-delete",
    SharingLevel.ADMINISTER: "berth-administer",
}


def build_operator_binding(project_id: str, inputs: NamespaceInputs) -> dict[str, Any]:
    """The operator's own RoleBinding, which it needs to write anything else in this namespace."""
    subject = {
        "kind": "ServiceAccount",
        "name": inputs.operator_service_account,
        "namespace": inputs.berth_namespace,
    }
    reference = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": inputs.project_cluster_role}
    return build_child(
        _API, "RoleBinding", "berth-operator", project_id, _COMPONENT, inputs, roleRef=reference, subjects=[subject]
    )


def build_member_rbac(project_id: str, inputs: ProjectInputs) -> tuple[dict[str, Any], ...]:
    """A Role and a RoleBinding for each level that has members, weakest first."""
    manifests: list[dict[str, Any]] = []
    for level in SharingLevel:
        members = sorted(set(inputs.members.get(level, ())))
        if not members:
            continue
        name = ROLE_NAMES[level]
        reference = {"apiGroup": _RBAC, "kind": "Role", "name": name}
        subjects = [_subject(member) for member in members]
        manifests.append(build_child(_API, "Role", name, project_id, _COMPONENT, inputs, rules=_rules(level)))
        manifests.append(
            build_child(_API, "RoleBinding", name, project_id, _COMPONENT, inputs, roleRef=reference, subjects=subjects)
        )
    return tuple(manifests)


def _rules(level: SharingLevel) -> list[dict[str, Any]]:
    return [
        {"apiGroups": [names.GROUP], "resources": ["dockerrepositories"], "verbs": list(PERMISSIONS[level])},
        {"apiGroups": [names.GROUP], "resources": ["accesspolicies"], "verbs": list(_READ)},
    ]


def _subject(member: Member) -> dict[str, Any]:
    if member.kind is RbacSubjectKind.SERVICE_ACCOUNT:
        return {"kind": member.kind.value, "name": member.name, "namespace": member.namespace}
    return {"kind": member.kind.value, "apiGroup": _RBAC, "name": member.name}
