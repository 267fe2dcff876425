"""Observed state: everything that statuses depend on besides the object itself. Frozen data.

`None` means "does not exist" unless a field says otherwise. Sizes are Kubernetes quantities as the API server
returned them; messages are those of the API server, kubelet or registry, and are shortened in a status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from berth.api.policy import PolicyState
from berth.api.project import InventoryEntry, PullSecretStatus


@dataclass(frozen=True, slots=True)
class ObservedNamespace:
    """The project's namespace."""

    name: str
    terminating: bool = False
    project: str = ""  # value of its label berth.dev/project; a namespace without it is never taken over


@dataclass(frozen=True, slots=True)
class ObservedClaim:
    """The project's PersistentVolumeClaim."""

    name: str
    phase: str = "Pending"  # Pending, Bound, Lost
    requested: str = ""  # spec.resources.requests.storage
    capacity: str = ""  # status.capacity.storage; empty until bound
    storage_class: str = ""  # spec.storageClassName; empty when the cluster has no default class
    access_modes: tuple[str, ...] = ("ReadWriteOnce",)
    resize: str = ""  # type of a true resize condition: Resizing, FileSystemResizePending, ControllerResizeError …
    resize_message: str = ""
    event: str = ""  # message of its newest Warning event (ProvisioningFailed …)
    terminating: bool = False


@dataclass(frozen=True, slots=True)
class ObservedStorageClass:
    """The StorageClass that the claim names, or the cluster's default one."""

    name: str
    allows_expansion: bool = False
    waits_for_consumer: bool = False  # volumeBindingMode WaitForFirstConsumer


@dataclass(frozen=True, slots=True)
class ObservedDeployment:
    """The registry's Deployment."""

    generation: int = 1
    observed_generation: int = 0
    replicas: int = 1  # spec.replicas
    updated: int = 0  # status.updatedReplicas
    available: int = 0  # status.availableReplicas
    current: int = 0  # status.replicas: pods that still exist, old ones included
    failure: str = ""  # message of a true ReplicaFailure condition (quota, admission …)


@dataclass(frozen=True, slots=True)
class ObservedContainer:
    """One container of a registry pod."""

    name: str
    image: str = ""
    ready: bool = False
    restarts: int = 0
    waiting_reason: str = ""  # state.waiting.reason: CrashLoopBackOff, ImagePullBackOff, ErrImagePull …
    waiting_message: str = ""
    last_exit_code: int | None = None  # of the last termination
    last_reason: str = ""  # Error, OOMKilled …
    last_message: str = ""  # termination message (the registry's last log lines)


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """One registry pod."""

    name: str
    phase: str = "Pending"
    ready: bool = False
    unschedulable: str = ""  # message of PodScheduled=False
    event: str = ""  # message of its newest Warning event (FailedMount …)
    containers: tuple[ObservedContainer, ...] = ()
    terminating: bool = False


class ProbeOutcome(StrEnum):
    """Result of the last write probe of the registry."""

    WRITTEN = "Written"  # an upload was accepted, read back and cancelled
    NOT_WRITABLE = "NotWritable"  # the registry answered 5xx to a write: its volume refuses it
    UNREACHABLE = "Unreachable"  # no connection, or no answer in time
    REFUSED = "Refused"  # 401 or 403: the registry does not accept Berth's tokens


@dataclass(frozen=True, slots=True)
class ObservedProbe:
    """The last write probe of the registry's present pods."""

    outcome: ProbeOutcome
    message: str = ""


@dataclass(frozen=True, slots=True)
class ObservedAccess:
    """The state of access control for the project."""

    policy_state: PolicyState | None = None  # spec.state of AccessPolicy `project`; None: the object does not exist
    signing_keys_ready: bool = True  # Secrets berth-token-ca and berth-token-signing exist and are valid
    is_serving: bool = True  # a pod of the access service is ready


@dataclass(frozen=True, slots=True)
class ApplyFailure:
    """The first child that the API server did not accept."""

    kind: str
    name: str
    message: str
    is_permanent: bool = False  # 400, 403, 422: a retry without a change gives the same response


@dataclass(frozen=True, slots=True)
class ObservedUser:
    """A `RegistryUser` that an object names."""

    is_robot: bool = False  # of type Robot
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class ObservedSubjects:
    """The users and teams that an object names and that exist, by name."""

    users: Mapping[str, ObservedUser] = field(default_factory=dict)
    teams: Mapping[str, int] = field(default_factory=dict)  # their number of members
    public_allowed: bool = False  # by the installation


@dataclass(frozen=True, slots=True)
class ProjectObservation:
    """Everything that the status of a `Project` depends on."""

    host: str
    registry_version: str
    namespace: ObservedNamespace | None = None
    claim: ObservedClaim | None = None
    storage_class: ObservedStorageClass | None = None  # None: the named one, or any default one, does not exist
    deployment: ObservedDeployment | None = None
    pods: tuple[ObservedPod, ...] = ()
    probe: ObservedProbe | None = None  # None: not probed since the present pods started
    access: ObservedAccess = ObservedAccess()
    subjects: ObservedSubjects = ObservedSubjects()
    pull_secrets: tuple[PullSecretStatus, ...] = ()
    failure: ApplyFailure | None = None
    repositories: int = 0
    inventory: tuple[InventoryEntry, ...] = ()  # every child that was applied and not pruned


@dataclass(frozen=True, slots=True)
class RepositoryObservation:
    """Everything that the operator's part of the status of a `DockerRepository` depends on."""

    host: str
    project: str
    project_exists: bool = True
    project_state: PolicyState = PolicyState.ACTIVE
    claimed_by: str = ""  # name of the older DockerRepository that already claims the same path
    policy_state: PolicyState | None = None  # of its own AccessPolicy; None: none exists
    subjects: ObservedSubjects = ObservedSubjects()
    failure: ApplyFailure | None = None


class ObservedPassword(StrEnum):
    """The content of the Secret in `spec.passwordSecretRef`, without the hash itself."""

    NOT_REFERENCED = "NotReferenced"  # the user names no Secret
    SECRET_MISSING = "SecretMissing"
    KEY_MISSING = "KeyMissing"
    EMPTY = "Empty"
    UNKNOWN_SCHEME = "UnknownScheme"
    USABLE = "Usable"


@dataclass(frozen=True, slots=True)
class ObservedCertification:
    """One `Certification` that names the user."""

    name: str
    valid_until: datetime | None = None  # None: until withdrawn


@dataclass(frozen=True, slots=True)
class UserObservation:
    """Everything that the status of a `RegistryUser` depends on."""

    berth_namespace: str
    password: ObservedPassword = ObservedPassword.NOT_REFERENCED
    certifications: tuple[ObservedCertification, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenObservation:
    """Everything that the operator's part of the status of an `AccessToken` depends on."""

    owner_exists: bool = False  # as a RegistryUser of that type
    owner_disabled: bool = False
    duplicate_of: str = ""  # name of the AccessToken that has the same secret and comes first


@dataclass(frozen=True, slots=True)
class CertificationObservation:
    """Everything that the status of a `Certification` depends on."""

    subject_exists: bool = False  # as a RegistryUser of that type; a ServiceAccount is taken to exist
    subject_disabled: bool = False
