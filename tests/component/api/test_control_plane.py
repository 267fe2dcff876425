"""The control plane that all component tests stand on."""

from __future__ import annotations

from tests.kit.control_plane import ControlPlane


def test_it_counts_the_writes_of_one_user_alone(control_plane: ControlPlane, namespace: str) -> None:
    user = control_plane.service_account(namespace, "writer")
    create = ("-n", namespace, "create")
    control_plane.kubectl(*create, "role", "writer", "--verb=get,create", "--resource=configmaps", check=True)
    bind = ("rolebinding", "writer", "--role=writer", f"--serviceaccount={namespace}:writer")
    control_plane.kubectl(*create, *bind, check=True)
    kubeconfig = control_plane.kubeconfig_of(namespace, "writer")
    before = control_plane.audit_position()
    control_plane.kubectl(*create, "configmap", "counted", kubeconfig=kubeconfig, check=True)
    control_plane.kubectl(*create, "configmap", "dry", "--dry-run=server", kubeconfig=kubeconfig, check=True)
    control_plane.kubectl("-n", namespace, "get", "configmap", "counted", kubeconfig=kubeconfig, check=True)
    control_plane.kubectl(*create, "configmap", "by-the-admin", check=True)
    written = control_plane.writes(user, after=before)
    assert [(each.verb, each.resource, each.name, each.code) for each in written] == [
        ("create", "configmaps", "counted", 201)
    ]


def test_a_service_account_may_do_nothing_until_it_is_bound(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.service_account(namespace, "visitor")
    kubeconfig = control_plane.kubeconfig_of(namespace, "visitor")
    refused = control_plane.kubectl("-n", namespace, "get", "secrets", kubeconfig=kubeconfig)
    assert refused.returncode == 1
    assert "cannot list resource" in refused.stderr
