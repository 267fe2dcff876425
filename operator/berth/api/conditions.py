"""Conditions: the closed lists of types and reasons, each with its meaning, and the model of one condition.

A new type or reason is an API change: people and dashboards match on these words. `docs/crds/conditions.md` is
generated from this file. Meaning of `Ready`, `Reconciling` and `Stalled`: kstatus (sigs.k8s.io/cli-utils/pkg/kstatus).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from berth.api.base import ApiModel, Time

MESSAGE_MAX_LENGTH: Final = 4096


class _Word(StrEnum):
    """An enum of words with their meaning, so that list and documentation cannot differ."""

    meaning: str

    def __new__(cls, word: str, meaning: str = "") -> _Word:
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        return member


class ConditionType(_Word):
    """The type of a condition."""

    READY = "Ready", "The state matches the spec, and this was checked."
    RECONCILING = "Reconciling", "Work is under way; present only when True."
    STALLED = "Stalled", "Only a person can fix it, and the message says how; present only when True."
    STORAGE_READY = (
        "StorageReady",
        "The project's claim is bound, has the requested size, and the registry wrote to it.",
    )
    REGISTRY_AVAILABLE = "RegistryAvailable", "The project's registry answers."
    ACCESS_READY = "AccessReady", "Sharing is in force at the gateway, and the registry accepts Berth's tokens."
    TRASHED = "Trashed", "Every operation is refused; nothing is lost; the name stays reserved."
    SUSPENDED = "Suspended", "The registry is scaled to zero because spec.suspend is true; present only when True."
    PUSHABLE = "Pushable", "The repository accepts pushes from certified subjects with Edit."
    CATALOG_IN_SYNC = "CatalogInSync", "Tags and counts in this status match the registry."
    CERTIFIED = "Certified", "The user may push: a certification that names the user is valid now."
    SUBJECTS_KNOWN = (
        "SubjectsKnown",
        "Every named subject exists; the rule of a missing one applies as soon as it exists.",
    )
    ADMINISTERED = "Administered", "The sharing gives Administer to an existing subject."
    PULL_SECRETS_SERVED = "PullSecretsServed", "Every namespace of spec.pullSecrets has its pull secret."


class ConditionReason(_Word):
    """Why a condition has its status."""

    # any kind
    READY = "Ready", "The state matches the spec."
    PROGRESSING = "Progressing", "Objects were written and are not in effect yet."
    INVALID_SPEC = "InvalidSpec", "The stored object breaks a rule of this version; the message names the field."
    APPLY_REFUSED = "ApplyRefused", "The API server refused an object that Berth wrote; the message has its response."
    INTERNAL_ERROR = "InternalError", "Unexpected error in Berth; Berth retries, and the log has the details."
    INSTALLATION_NOT_READY = "InstallationNotReady", "Berth's own keys or services do not exist yet."
    NAMESPACE_TAKEN = "NamespaceTaken", "The project's namespace exists and belongs to something else."
    NAMESPACE_TERMINATING = "NamespaceTerminating", "The project's namespace is being deleted."
    ACTIVE = "Active", "Neither trashed nor suspended."
    SUSPENDED = "Suspended", "spec.suspend is true: the registry is scaled to zero."

    # storage
    CLAIM_BOUND = "ClaimBound", "The claim is bound, and nothing was written to it yet."
    VOLUME_WRITABLE = "VolumeWritable", "The registry wrote to the volume and read it back."
    CLAIM_PENDING = "ClaimPending", "The claim is not bound yet."
    CLAIM_LOST = "ClaimLost", "The volume behind the claim is gone."
    CLAIM_RESIZING = "ClaimResizing", "The volume is growing."
    CLAIM_NOT_EXPANDABLE = "ClaimNotExpandable", "The storage class does not allow volumes to grow."
    CLAIM_SHRINK_REFUSED = "ClaimShrinkRefused", "The spec requests less than the claim already has."
    STORAGE_CLASS_NOT_FOUND = "StorageClassNotFound", "The storage class does not exist, or no default class does."
    VOLUME_NOT_WRITABLE = "VolumeNotWritable", "The registry cannot write to its volume."

    # registry
    REGISTRY_AVAILABLE = "RegistryAvailable", "The registry answers."
    REGISTRY_STARTING = "RegistryStarting", "The registry's Pod is starting."
    REGISTRY_CRASH_LOOPING = "RegistryCrashLooping", "The registry exits repeatedly."
    REGISTRY_UNSCHEDULABLE = "RegistryUnschedulable", "The registry's Pod fits on no node."
    REGISTRY_POD_REFUSED = "RegistryPodRefused", "The cluster's admission or quota refuses the registry's Pod."
    REGISTRY_UNREACHABLE = "RegistryUnreachable", "The registry's Pod is ready but does not answer Berth."
    REGISTRY_STOPPED = "RegistryStopped", "The registry is scaled to zero; the message says why."
    IMAGE_PULL_FAILED = "ImagePullFailed", "The node cannot pull the registry's image."

    # access
    POLICY_APPLIED = "PolicyApplied", "The policy is written and in force."
    POLICY_PENDING = "PolicyPending", "The policy is not written yet, or not every Pod of the access service has it."
    USER_NOT_FOUND = "UserNotFound", "No RegistryUser of that name and type exists."
    SUBJECTS_FOUND = "SubjectsFound", "Every named user, robot and team exists."
    SUBJECTS_NOT_FOUND = "SubjectsNotFound", "Some named subjects do not exist yet; the message names them."
    PUBLIC_NOT_ALLOWED = (
        "PublicNotAllowed",
        "Sharing with Public has no effect: the installation does not allow it.",
    )
    ADMINISTERED = "Administered", "An existing subject has Administer."
    NO_ADMINISTER = "NoAdminister", "No existing subject has Administer, so no member can change the sharing."

    # users, certifications and tokens
    VALID = "Valid", "In force."
    DISABLED = "Disabled", "spec.disabled is true: every request of this user is refused."
    SECRET_NOT_FOUND = "SecretNotFound", "The referenced Secret does not exist in Berth's namespace."
    SECRET_KEY_MISSING = "SecretKeyMissing", "The Secret has no such key."
    SECRET_EMPTY = "SecretEmpty", "The key of the Secret is empty."
    UNKNOWN_HASH_SCHEME = "UnknownHashScheme", "The password hash is neither argon2id nor bcrypt."
    CERTIFIED = "Certified", "A valid certification names this user."
    NO_CERTIFICATION = "NoCertification", "No certification names this user."
    CERTIFICATION_EXPIRED = "CertificationExpired", "The last certification has passed its validUntil."
    TOKEN_EXPIRED = "TokenExpired", "The token has passed its expiresAt."
    TOKEN_REPEATED = "TokenRepeated", "Another AccessToken has the same secret."

    # pull secrets
    SERVED = "Served", "The pull secret exists and is valid."
    NAMESPACE_NOT_FOUND = "NamespaceNotFound", "The namespace does not exist."
    CONSENT_MISSING = "ConsentMissing", "The namespace does not allow Berth to write a pull secret."
    NAME_TAKEN = "NameTaken", "An object with the required name exists and does not belong to Berth."
    SERVICE_ACCOUNT_NOT_FOUND = "ServiceAccountNotFound", "A ServiceAccount that should use the Secret does not exist."
    NOT_SERVED = "NotServed", "Some namespaces have no pull secret; status.pullSecrets says why."

    # trash and deletion
    NOT_TRASHED = "NotTrashed", "Not in the trash."
    PROJECT_TRASHED = "ProjectTrashed", "The project is in the trash: spec.trashed is true."
    REPOSITORY_TRASHED = "RepositoryTrashed", "The repository is in the trash: spec.trashed is true."
    PROJECT_DELETED = "ProjectDeleted", "The project's object is being deleted; registry stopped, data kept."
    REPOSITORY_DELETED = "RepositoryDeleted", "The repository's object is being deleted; data kept."

    # repositories
    PATH_TAKEN = "PathTaken", "An older DockerRepository of the project has this path."
    NOT_IN_PROJECT_NAMESPACE = "NotInProjectNamespace", "The object is not in a project's namespace."
    PROJECT_NOT_FOUND = "ProjectNotFound", "The namespace's project does not exist."
    PROJECT_SUSPENDED = "ProjectSuspended", "The project is suspended."
    ACCEPTS_PUSHES = "AcceptsPushes", "Pushes are accepted."
    EXTERNAL_REPOSITORY = "ExternalRepository", "The repository is catalogued here and hosted in another registry."

    # catalog
    IN_SYNC = "InSync", "The catalog matches the registry's current state."
    NEVER_PUSHED = "NeverPushed", "Nothing was pushed yet."
    CONTENT_MISSING = (
        "ContentMissing",
        "The registry lacks most of the catalog's content, as after the loss of a volume; nothing was corrected.",
    )


class Condition(ApiModel):
    """One condition, as in metav1.Condition."""

    type: Annotated[str, Field(max_length=316, description="Type of the condition.")]
    status: Annotated[Literal["True", "False", "Unknown"], Field(description="True, False or Unknown.")]
    reason: Annotated[
        str,
        Field(
            max_length=128,
            pattern=r"^[A-Za-z]([A-Za-z0-9]*[A-Za-z0-9])?$",
            description="Reason, one word of a closed list (docs/crds/conditions.md).",
        ),
    ]
    message: Annotated[
        str,
        Field(max_length=MESSAGE_MAX_LENGTH, description="Explanation: a sentence with the object and the next step."),
    ]
    last_transition_time: Annotated[Time, Field(description="When the status last changed, RFC 3339.")]
    observed_generation: Annotated[
        int | None, Field(ge=0, description="The metadata.generation that the condition is about. Absent: not known.")
    ] = None
