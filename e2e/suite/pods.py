"""Pods of a test's own: a user's workload in a user's namespace, and commands in it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.suite.world import HOST, SYSTEM, TOOLS, Cluster, Result

REGISTRY_TOKEN = "/var/run/tokens/registry"
OTHER_TOKEN = "/var/run/tokens/other"
CLUSTER_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_CA = "/etc/registry-ca"
_CRANE = "/opt/crane"


@dataclass(frozen=True)
class Workload:
    """A running Pod with Python and crane in it, under a ServiceAccount, trusting the registry.

    Its tokens are projected: `REGISTRY_TOKEN` for the registry's audience, `OTHER_TOKEN` for another, and the
    `CLUSTER_TOKEN` that every Pod has. It holds no Secret.
    """

    cluster: Cluster
    namespace: str
    name: str

    def run(self, program: str, *arguments: str) -> Result:
        """Run a Python program in the Pod."""
        words = ("exec", self.name, f"--namespace={self.namespace}", "--", "python3", "-c", program, *arguments)
        return self.cluster.kubectl(*words)


def make_namespace(cluster: Cluster, purpose: str) -> str:
    """A namespace that no other run used."""
    name = f"{purpose}-{secrets.token_hex(3)}"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def remove_namespace(cluster: Cluster, name: str) -> None:
    """Delete it without waiting."""
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found").must()


def service_account(namespace: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def start_workloads(cluster: Cluster, namespace: str, accounts: Sequence[str]) -> dict[str, Workload]:
    """One Pod for each of these ServiceAccounts, which it makes; all of them run."""
    found = cluster.get("configmap", "berth-ca", SYSTEM)
    assert found is not None
    authority = {**found, "metadata": {"name": "registry-ca", "namespace": namespace}}
    made = [object_ for name in accounts for object_ in (service_account(namespace, name), _pod(namespace, name))]
    cluster.apply(authority, *made)
    pods = [f"pod/{name}" for name in accounts]
    waiting = ("wait", "--for=condition=Ready", *pods, f"--namespace={namespace}", "--timeout=90s")
    cluster.kubectl(*waiting).must()
    return {name: Workload(cluster, namespace, name) for name in accounts}


def _pod(namespace: str, name: str) -> dict[str, Any]:
    container = {
        "name": "work",
        "image": "berth.local/berth:dev",
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", "import signal; signal.pause()"],
        "env": [
            {"name": "SSL_CERT_FILE", "value": f"{_CA}/ca.crt"},
            {"name": "HOME", "value": "/tmp"},
            {"name": "CRANE", "value": f"{_CRANE}/crane"},
            {"name": "REGISTRY", "value": HOST},
        ],
        "volumeMounts": [
            {"name": "crane", "mountPath": _CRANE, "readOnly": True},
            {"name": "tokens", "mountPath": str(Path(REGISTRY_TOKEN).parent), "readOnly": True},
            {"name": "ca", "mountPath": _CA, "readOnly": True},
        ],
    }
    tokens = [
        {"serviceAccountToken": {"audience": audience, "path": Path(path).name, "expirationSeconds": 600}}
        for path, audience in ((REGISTRY_TOKEN, HOST), (OTHER_TOKEN, "vault.example.org"))
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "serviceAccountName": name,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": [
                {"name": "crane", "hostPath": {"path": str((TOOLS / "bin/crane").resolve().parent)}},
                {"name": "tokens", "projected": {"sources": tokens}},
                {"name": "ca", "configMap": {"name": "registry-ca"}},
            ],
        },
    }


def image_pod(namespace: str, name: str, image: str, account: str = "default", **spec: Any) -> dict[str, Any]:
    """A Pod that runs an image and is set up in no other way."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "serviceAccountName": account,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "pulled", "image": image, "imagePullPolicy": "Always"}],
            **spec,
        },
    }


def await_running(cluster: Cluster, namespace: str, pod: str) -> None:
    """Wait until the Pod is ready, or fail with its events."""
    where = f"--namespace={namespace}"
    waited = cluster.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", where, "--timeout=60s")
    assert waited.ok, f"{waited.said}\n{cluster.kubectl('describe', 'pod', pod, where).out}"
