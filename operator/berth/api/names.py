"""Names that clusters, manifests and external tools depend on. Pure.

Sources: Kubernetes object names (RFC 1123), OCI distribution spec 1.1 "Pulling manifests" (repository
and tag grammar), and the recommended labels of Kubernetes.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

GROUP: Final = "berth.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

FIELD_MANAGER_OPERATOR: Final = "berth-operator"
FIELD_MANAGER_CATALOG: Final = "berth-catalog"

LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_PART_OF: Final = "app.kubernetes.io/part-of"
LABEL_VERSION: Final = "app.kubernetes.io/version"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_PROJECT: Final = f"{GROUP}/project"
LABEL_REPOSITORY: Final = f"{GROUP}/repository"
LABEL_PULL_NAMESPACE: Final = f"{GROUP}/pull-namespace"

ANNOTATION_DESIRED_HASH: Final = f"{GROUP}/desired-hash"
ANNOTATION_RECONCILE_REQUESTED: Final = "reconcile.fluxcd.io/requestedAt"
# Each new value of one of these, set by a person, triggers one rotation; Berth records the value that it has handled.
ANNOTATION_ROTATE_PULL_SECRETS: Final = f"{GROUP}/rotate-pull-secrets"  # on a Project
ANNOTATION_ROTATE_SIGNING_KEY: Final = f"{GROUP}/rotate-signing-key"  # on the Secret of a leaf
ANNOTATION_ROTATE_AUTHORITY: Final = f"{GROUP}/rotate-authority"  # on the Secret of an authority
ANNOTATION_FORGET_AUTHORITIES: Final = f"{GROUP}/forget-authorities"  # on the Secret of an authority

FINALIZER: Final = f"{GROUP}/trash"

REGISTRY_NAME: Final = "registry"
REGISTRY_PORT: Final = 5000
PROJECT_POLICY_NAME: Final = "project"

# Audiences of the projected ServiceAccount tokens that authenticate Berth's own processes.
AUDIENCE_ACCESS: Final = "berth-access"
AUDIENCE_CATALOG: Final = "berth-catalog"

PATH_POLICY_REVISION: Final = "/policy-revision"
"""Path of the access service that returns its policy revision, to Berth's own processes alone."""

PROJECT_ID_MAX_LENGTH: Final = 50
PROJECT_ID_PATTERN: Final = r"^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$"
RESERVED_PROJECT_IDS: Final = frozenset(
    {
        "v1",
        "v2",
        "token",
        "why",
        "authz",
        "healthz",
        "readyz",
        "metrics",
        "help",
        "portal",
        "berth",
        "library",
        "system",
    }
)

# OCI distribution spec 1.1: one path component, a repository name, a tag.
PATH_COMPONENT_PATTERN: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY_PATTERN: Final = rf"^{PATH_COMPONENT_PATTERN}(?:/{PATH_COMPONENT_PATTERN})*$"
REPOSITORY_MAX_LENGTH: Final = 200
TAG_PATTERN: Final = r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$"
DIGEST_PATTERN: Final = r"^sha(?:256:[a-f0-9]{64}|512:[a-f0-9]{128})$"

_NOT_IN_SLUG = re.compile(r"[^a-z0-9-]+")
_SLUG_MAX_LENGTH = 52


def project_namespace(project_id: str) -> str:
    """The namespace of a project."""
    return f"berth-{project_id}"


def registry_audience(project_id: str) -> str:
    """The `aud` of tokens for a project's registry; unique, so that no token is valid for two registries."""
    return f"berth-registry/{project_id}"


def registry_host(project_id: str, cluster_domain: str) -> str:
    """`host:port` of a project's registry inside the cluster."""
    return f"{REGISTRY_NAME}.{project_namespace(project_id)}.svc.{cluster_domain}:{REGISTRY_PORT}"


def pull_secret_name(project_id: str) -> str:
    """The name of the pull secret of a project in another namespace."""
    return f"berth-{project_id}"


def pull_robot_name(project_id: str, namespace: str) -> str:
    """The RegistryUser behind the pull secret of a namespace: `genomics.pull.analysis`.

    If that is too long for a user name (63), the end is a hash. The two forms cannot collide, because a project id
    has no dot.
    """
    name = f"{project_id}.pull.{namespace}"
    if len(name) <= 63:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{project_id[:40].rstrip('-')}.pull-{digest}"


def repository_object_name(path: str) -> str:
    """The `metadata.name` of a generated object for a repository path.

    A path that is a short DNS label is the name itself. Any other path gives a readable slug and the first eight
    hexadecimal digits of its SHA-256, because two paths may give one slug (`a/b` and `a-b`).
    """
    slug = _NOT_IN_SLUG.sub("-", path).strip("-")
    if slug == path and len(slug) <= _SLUG_MAX_LENGTH:
        return path
    digest = hashlib.sha256(path.encode()).hexdigest()[:8]
    return f"{slug[:_SLUG_MAX_LENGTH].rstrip('-')}-{digest}"


def claim_rank(path: str, name: str, created: str) -> tuple[str, bool, str]:
    """The sort key of DockerRepositories that claim one path. The smallest one gets it, in every process alike.

    `created` is `metadata.creationTimestamp` in whole seconds. Of two objects from the same second, the one with the
    generated name comes first; then the name decides.
    """
    return created, name != repository_object_name(path), name
