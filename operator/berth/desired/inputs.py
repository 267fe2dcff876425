"""Inputs of desired manifests besides the object itself. Frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

from berth.api.policy import PolicyState
from berth.api.sharing import SharingLevel
from berth.desired.labels import Labelling


class RbacSubjectKind(StrEnum):
    """Kinds of RBAC subjects (rbac.authorization.k8s.io/v1 `Subject`)."""

    USER = "User"
    GROUP = "Group"
    SERVICE_ACCOUNT = "ServiceAccount"


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A Kubernetes identity of a subject that the project is shared with."""

    kind: RbacSubjectKind
    name: str
    namespace: str = ""  # only of a ServiceAccount


@dataclass(frozen=True, slots=True)
class TokenAuthorities:
    """The certificate authorities of registry tokens."""

    bundle: str  # certificates of all trusted ones (PEM)
    trusted: frozenset[str]  # their fingerprints (`keys.fingerprint`)
    required: frozenset[str]  # fingerprints of those that sign now or next; every running registry must trust them


@dataclass(frozen=True, slots=True)
class StartState:
    """The configuration that a live registry started with, from its Deployment's annotations."""

    template_hash: str = ""  # hash of everything but the authorities
    authorities: frozenset[str] = frozenset()  # fingerprints of the authorities that it trusts, at least


class NamespaceInputs(Labelling, Protocol):
    """Inputs of a project's namespace and of the operator's binding in it."""

    @property
    def berth_namespace(self) -> str:
        """Berth's own namespace."""

    @property
    def operator_service_account(self) -> str:
        """The operator's ServiceAccount, in Berth's own namespace."""

    @property
    def project_cluster_role(self) -> str:
        """The ClusterRole that the operator binds itself to in each project's namespace."""


@dataclass(frozen=True, slots=True)
class ProjectInputs:
    """Everything besides the `Project` that determines its manifests.

    `members` maps each level to its Kubernetes identities, with `RegistryUser` objects already resolved to their
    `spec.kubernetes` names. Order and repetition do not matter.
    """

    registry_image: str
    registry_version: str
    registry_pull_policy: Literal["Always", "IfNotPresent", "Never"]
    token_authorities: TokenAuthorities
    http_secret: str = field(repr=False)  # hexadecimal; desired.keys.http_secret(seed, project uid)
    host: str  # the registry's address for clients (with port, if not 443)
    berth_namespace: str
    instance: str
    cluster_domain: str
    operator_service_account: str
    project_cluster_role: str
    members: Mapping[SharingLevel, tuple[Member, ...]] = field(default_factory=dict)
    trashed: bool = False  # spec.trashed: every request is refused, the registry keeps running
    suspended: bool = False  # spec.suspend: no registry pod
    deleted: bool = False  # metadata.deletionTimestamp: no registry pod, everything is kept
    allow_public: bool = False  # of the installation: whether sharing with Public is effective
    start_state: StartState = StartState()
    pull_token_ends: Mapping[str, datetime] = field(default_factory=dict)  # by robot: the end of its newest token
    claim_request: str = ""  # size requested by the live claim; it never shrinks
    berth_version: str = "0.1.0"

    @property
    def state(self) -> PolicyState:
        """The state in the project's `AccessPolicy`; the stricter one wins."""
        if self.trashed or self.deleted:
            return PolicyState.TRASHED
        return PolicyState.SUSPENDED if self.suspended else PolicyState.ACTIVE

    @property
    def is_running(self) -> bool:
        """Whether registry pods should exist."""
        return not (self.suspended or self.deleted)


@dataclass(frozen=True, slots=True)
class RepositoryInputs:
    """Everything besides the `DockerRepository` that determines its manifests."""

    project_id: str
    instance: str
    deleted: bool = False  # metadata.deletionTimestamp
    allow_public: bool = False  # of the installation: whether sharing with Public is effective
    claimed_by: str = ""  # name of the older DockerRepository that owns the same path
    berth_version: str = "0.1.0"

    @property
    def owns_path(self) -> bool:
        """Whether the object owns its path."""
        return not self.claimed_by
