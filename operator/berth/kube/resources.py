"""The resources of the Kubernetes API that Berth reads and writes, and their URL paths. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from berth.api.names import GROUP, VERSION

Manifest: TypeAlias = dict[str, Any]
"""A Kubernetes object as plain data, in the form that the API server sends and accepts."""

ObjectKey: TypeAlias = tuple[str, str]
"""(namespace, name) of an object; the namespace of a cluster-scoped object is the empty string."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API, as in a line of `kubectl api-resources`."""

    group: str  # empty for the core group
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection, of one object, or of a subresource of it.

        Raises ValueError for a namespace with a cluster-scoped resource, and for an object of a namespaced resource
        without a namespace.
        """
        if namespace and not self.namespaced:
            raise ValueError(f"{self.kind} is cluster-scoped: no namespace may be given, but {namespace!r} was")
        if self.namespaced and name and not namespace:
            raise ValueError(f"{self.kind} {name!r} needs a namespace")
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if namespace:
            parts.append(f"namespaces/{quote(namespace, safe='')}")
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
            if subresource:
                parts.append(subresource)
        return "/".join(parts)

    def describe(self, name: str, namespace: str | None = None) -> str:
        """Kind and name of an object, for messages: `Secret berth-genomics/registry-config`."""
        return f"{self.kind} {namespace}/{name}" if namespace else f"{self.kind} {name}"


PROJECTS: Final = Resource(GROUP, VERSION, "projects", "Project", namespaced=False)
DOCKER_REPOSITORIES: Final = Resource(GROUP, VERSION, "dockerrepositories", "DockerRepository", namespaced=True)
REGISTRY_USERS: Final = Resource(GROUP, VERSION, "registryusers", "RegistryUser", namespaced=False)
REGISTRY_TEAMS: Final = Resource(GROUP, VERSION, "registryteams", "RegistryTeam", namespaced=False)
ACCESS_TOKENS: Final = Resource(GROUP, VERSION, "accesstokens", "AccessToken", namespaced=False)
CERTIFICATIONS: Final = Resource(GROUP, VERSION, "certifications", "Certification", namespaced=False)
ACCESS_POLICIES: Final = Resource(GROUP, VERSION, "accesspolicies", "AccessPolicy", namespaced=True)

NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
PERSISTENT_VOLUME_CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", namespaced=True)
PERSISTENT_VOLUMES: Final = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
SECRETS: Final = Resource("", "v1", "secrets", "Secret", namespaced=True)
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap", namespaced=True)
SERVICES: Final = Resource("", "v1", "services", "Service", namespaced=True)
PODS: Final = Resource("", "v1", "pods", "Pod", namespaced=True)
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount", namespaced=True)
EVENTS: Final = Resource("", "v1", "events", "Event", namespaced=True)
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment", namespaced=True)
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", namespaced=True)
ROLES: Final = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role", namespaced=True)
ROLE_BINDINGS: Final = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", namespaced=True)
STORAGE_CLASSES: Final = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
SELF_SUBJECT_REVIEWS: Final = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False
)

ALL: Final[tuple[Resource, ...]] = (
    PROJECTS,
    DOCKER_REPOSITORIES,
    REGISTRY_USERS,
    REGISTRY_TEAMS,
    ACCESS_TOKENS,
    CERTIFICATIONS,
    ACCESS_POLICIES,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    SECRETS,
    CONFIG_MAPS,
    SERVICES,
    PODS,
    SERVICE_ACCOUNTS,
    EVENTS,
    DEPLOYMENTS,
    NETWORK_POLICIES,
    ROLES,
    ROLE_BINDINGS,
    STORAGE_CLASSES,
)

_BY_TYPE: Final = {(resource.api_version, resource.kind): resource for resource in ALL}


def resource_of(manifest: Mapping[str, Any]) -> Resource:
    """The resource of a manifest. Raises ValueError for an unknown one."""
    identity = (str(manifest.get("apiVersion", "")), str(manifest.get("kind", "")))
    try:
        return _BY_TYPE[identity]
    except KeyError:
        raise ValueError(f"Berth knows no resource of apiVersion {identity[0]!r} and kind {identity[1]!r}") from None


def key_of(manifest: Mapping[str, Any]) -> ObjectKey:
    """(namespace, name) of a manifest."""
    metadata = manifest["metadata"]
    return str(metadata.get("namespace") or ""), str(metadata["name"])
