"""What the manifests of a project depend on besides the `Project` itself. Frozen data, gathered elsewhere."""

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
    """One Kubernetes identity of a person, team or machine that the project is shared with."""

    kind: RbacSubjectKind
    name: str
    namespace: str = ""  # of a ServiceAccount alone


@dataclass(frozen=True, slots=True)
class TokenAuthorities:
    """The authorities whose leaves may sign registry tokens, and those of them without which no registry may run."""

    bundle: str  # their certificates (PEM, public)
    trusted: frozenset[str]  # their fingerprints (`keys.fingerprint`)
    needed: frozenset[str]  # of those that sign now or are to sign next


@dataclass(frozen=True, slots=True)
class StartedWith:
    """What a live Deployment says that its registry was started with."""

    template: str = ""  # hash of everything but the authorities
    authorities: frozenset[str] = frozenset()  # fingerprints; at least these


class NamespaceInputs(Labelling, Protocol):
    """What decides a project's namespace and the operator's binding in it."""

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
    """Everything besides the `Project` that decides what its manifests are.

    `members` maps each level to the Kubernetes identities that have it; whoever gathers it has already resolved
    `RegistryUser` objects to their `spec.kubernetes` names. Order and repetition in it do not matter.
    """

    registry_image: str
    registry_version: str
    registry_pull_policy: Literal["Always", "IfNotPresent", "Never"]
    token_authorities: TokenAuthorities
    http_secret: str = field(repr=False)  # hexadecimal; desired.keys.http_secret(seed, project uid)
    host: str  # the one address, as clients type it (with port, if not 443)
    berth_namespace: str
    instance: str
    cluster_domain: str
    operator_service_account: str
    project_cluster_role: str
    members: Mapping[SharingLevel, tuple[Member, ...]] = field(default_factory=dict)
    trashed: bool = False  # spec.trashed: everything refused, the registry keeps running
    suspended: bool = False  # spec.suspend: no registry pod
    deleted: bool = False  # metadata.deletionTimestamp: no registry pod, everything kept
    allow_public: bool = False  # of the installation: whether sharing with Public counts
    started: StartedWith = StartedWith()  # as the live Deployment says
    pull_token_ends: Mapping[str, datetime] = field(default_factory=dict)  # by robot: when its newest token ends
    claim_request: str = ""  # what the live claim asks for now; the claim is never asked to shrink below it
    berth_version: str = "0.1.0"

    @property
    def state(self) -> PolicyState:
        """The state that the project's `AccessPolicy` tells; the stricter one wins."""
        if self.trashed or self.deleted:
            return PolicyState.TRASHED
        return PolicyState.SUSPENDED if self.suspended else PolicyState.ACTIVE

    @property
    def running(self) -> bool:
        """Whether registry pods should exist."""
        return not (self.suspended or self.deleted)


@dataclass(frozen=True, slots=True)
class RepositoryInputs:
    """Everything besides the `DockerRepository` that decides what its manifests are."""

    project_id: str
    instance: str
    deleted: bool = False  # metadata.deletionTimestamp
    allow_public: bool = False  # of the installation: whether sharing with Public counts
    claimed_by: str = ""  # name of the older DockerRepository that has this path already; then it gets nothing
    berth_version: str = "0.1.0"

    @property
    def accepted(self) -> bool:
        """Whether the object owns its path."""
        return not self.claimed_by
