"""A project in a real API server, with the rights that the catalog has there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from berth.api import names
from berth.catalog.model import RepositoryKey
from tests.kit.chart import CHART, render
from tests.kit.control_plane import AuditEvent, ControlPlane

DEADLINE = 20.0


@dataclass
class Cluster:
    """An API server with one project, and the catalog's ServiceAccount with the rights that the chart gives it."""

    plane: ControlPlane
    project: str
    user: str
    kubeconfig: Any

    @property
    def namespace(self) -> str:
        return names.project_namespace(self.project)

    def key(self, path: str) -> RepositoryKey:
        return RepositoryKey(self.project, path)

    def repositories(self) -> dict[str, dict[str, Any]]:
        found = self.plane.get("dockerrepositories", "-n", self.namespace)["items"]
        return {item["metadata"]["name"]: item for item in found}

    def declare(self, name: str, **spec: Any) -> None:
        metadata = {"name": name, "namespace": self.namespace}
        self.plane.apply(
            {"apiVersion": names.API_VERSION, "kind": "DockerRepository", "metadata": metadata, "spec": spec}
        )

    def writes(self, after: int) -> list[AuditEvent]:
        return self.plane.writes(self.user, after)


def project_cluster(plane: ControlPlane, unique: str) -> Cluster:
    """The project of that name, with its namespace and the catalog's rights in the cluster."""
    project = {
        "apiVersion": names.API_VERSION,
        "kind": "Project",
        "metadata": {"name": unique},
        "spec": {
            "displayName": "Genomics",
            "storage": {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}},
        },
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.project_namespace(unique)}}
    home = plane.namespace("berth-system")
    user = plane.service_account(home, "berth-catalog")
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": home},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "berth-catalog"},
        "subjects": [{"kind": "ServiceAccount", "name": "berth-catalog", "namespace": home}],
    }
    roles = [d for d in render(CHART / "ci" / "generated-values.yaml") if d["kind"] == "ClusterRole"]
    plane.apply(project, namespace, *(r for r in roles if r["metadata"]["name"] == "berth-catalog"), binding)
    return Cluster(plane, unique, user, plane.kubeconfig_of(home, "berth-catalog"))


async def eventually(condition: Callable[[], Any]) -> Any:
    """Wait until a condition is true, and return its value."""
    async with asyncio.timeout(DEADLINE):
        while True:
            if found := condition():
                return found
            await asyncio.sleep(0.02)


def shown(cluster: Cluster, name: str) -> Callable[[], dict[str, Any] | None]:
    """The status of an object, once the catalog has written it."""

    def look() -> dict[str, Any] | None:
        found = cluster.repositories().get(name, {}).get("status", {})
        return found if "tagCount" in found else None

    return look
