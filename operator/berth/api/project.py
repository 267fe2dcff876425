"""`Project`: a declared private registry."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from berth.api.base import ApiModel, Resource, Time
from berth.api.conditions import MESSAGE_MAX_LENGTH
from berth.api.names import PROJECT_ID_MAX_LENGTH, PROJECT_ID_PATTERN, RESERVED_PROJECT_IDS
from berth.api.schema import (
    ATOMIC,
    SET,
    ComputeQuantity,
    NamespaceName,
    ObjectName,
    SizeText,
    keyed_by,
    rule,
    rules,
)
from berth.api.sharing import Share, sharing_field
from berth.api.status import ObjectStatus

PULL_SECRETS_MAX_ITEMS: Final = 100

_RESERVED = ", ".join(f"'{name}'" for name in sorted(RESERVED_PROJECT_IDS))


class StorageType(StrEnum):
    """The kind of a project's storage."""

    PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"


class AccessMode(StrEnum):
    """Access modes of a claim that a registry can use."""

    READ_WRITE_ONCE = "ReadWriteOnce"
    READ_WRITE_MANY = "ReadWriteMany"


class RepositoryCreation(StrEnum):
    """How repositories are created."""

    ON_PUSH = "OnPush"
    DECLARED = "Declared"


def _size(example: str) -> dict[str, str]:
    """The rule that a size is a quantity above zero."""
    return rule(
        "isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",
        f"must be a size above zero: write a number and a unit, for example {example}",
    )


class PersistentVolumeClaimStorage(ApiModel):
    """A claim in the project's namespace."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                """has(self.storageClassName) == has(oldSelf.storageClassName)
                   && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)""",
                "cannot be changed, a volume stays in its class: undo the change, "
                "or create a new Project and copy the images",
                at=".storageClassName",
            ),
            rule(
                """(has(self.accessMode) ? self.accessMode : 'ReadWriteOnce')
                   == (has(oldSelf.accessMode) ? oldSelf.accessMode : 'ReadWriteOnce')""",
                "cannot be changed, a volume keeps its mode: undo the change, "
                "or create a new Project and copy the images",
                at=".accessMode",
            ),
        )
    )

    size: Annotated[
        SizeText,
        Field(
            description="Size of the claim in bytes, as a quantity (50Gi). May only grow. No default.",
            json_schema_extra=rules(
                _size("50Gi"),
                rule(
                    """!isQuantity(self) || !isQuantity(oldSelf)
                       || !quantity(self).isLessThan(quantity(oldSelf))""",
                    "may only grow: write the former size or more, or create a smaller Project and copy the images",
                    message_expression="""'may only grow: write ' + oldSelf
                       + ' or more, or create a smaller Project and copy the images'""",
                ),
            ),
        ),
    ]
    storage_class_name: Annotated[
        ObjectName | None,
        Field(
            description="StorageClass of the claim; cannot be changed. Default: the cluster's default class.",
        ),
    ] = None
    access_mode: Annotated[
        AccessMode,
        Field(
            description="ReadWriteOnce: one replica. ReadWriteMany: several replicas, needs a class that offers it. "
            "Cannot be changed. Default: ReadWriteOnce."
        ),
    ] = AccessMode.READ_WRITE_ONCE


class Storage(ApiModel):
    """The storage of a project."""

    type: Annotated[StorageType, Field(description="Kind of storage: PersistentVolumeClaim. No default.")]
    persistent_volume_claim: Annotated[
        PersistentVolumeClaimStorage,
        Field(description="The claim, for type PersistentVolumeClaim. No default."),
    ]


class ComputeResources(ApiModel):
    """Amounts of compute resources."""

    cpu: Annotated[
        ComputeQuantity | None, Field(description="Processor time in cores (250m is a quarter). Default: none.")
    ] = None
    memory: Annotated[ComputeQuantity | None, Field(description="Memory in bytes (256Mi). Default: none.")] = None


def _within_limit(resource: str) -> dict[str, str]:
    """The rule that a request is at most its limit."""
    request, limit = f"string(self.requests.{resource})", f"string(self.limits.{resource})"
    return rule(
        f"""!has(self.requests) || !has(self.requests.{resource}) || !has(self.limits) || !has(self.limits.{resource})
           || !isQuantity({request}) || !isQuantity({limit})
           || !quantity({request}).isGreaterThan(quantity({limit}))""",
        "is more than its limit: lower it, or raise the limit",
        at=f".requests.{resource}",
    )


class Resources(ApiModel):
    """Compute resources of a container."""

    model_config = ConfigDict(json_schema_extra=rules(_within_limit("cpu"), _within_limit("memory")))

    requests: Annotated[
        ComputeResources | None,
        Field(description="Resources reserved on the node. Default: those of the installation."),
    ] = None
    limits: Annotated[
        ComputeResources | None, Field(description="Upper limits. Default: those of the installation.")
    ] = None


class RegistrySettings(ApiModel):
    """The project's registry process."""

    replicas: Annotated[
        int,
        Field(ge=1, le=20, description="Pods of the registry; more than 1 needs accessMode ReadWriteMany. Default: 1."),
    ] = 1
    resources: Annotated[
        Resources | None,
        Field(description="Requests and limits of each registry container. Default: those of the installation."),
    ] = None


class Limits(ApiModel):
    """Limits on pushes."""

    layer_size: Annotated[
        SizeText | None,
        Field(
            description="Largest layer that may be pushed, in bytes as a quantity (decimal: 100G). "
            "Default: that of the installation.",
            json_schema_extra=rules(_size("100G")),
        ),
    ] = None


class PullSecret(ApiModel):
    """A namespace whose Pods may pull from the project."""

    namespace: Annotated[
        NamespaceName,
        Field(description="Namespace that gets a Secret of type kubernetes.io/dockerconfigjson. No default."),
    ]
    service_accounts: Annotated[
        tuple[ObjectName, ...],
        Field(
            max_length=20,
            description="ServiceAccounts there that get the Secret among their imagePullSecrets. Default: none; Pods "
            "name the Secret themselves.",
            json_schema_extra=SET,
        ),
    ] = ()


class ProjectSpec(ApiModel):
    """The desired state of a project."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                """!has(self.registry) || !has(self.registry.replicas) || self.registry.replicas <= 1
                   || !has(self.storage.persistentVolumeClaim)
                   || (has(self.storage.persistentVolumeClaim.accessMode)
                       && self.storage.persistentVolumeClaim.accessMode == 'ReadWriteMany')""",
                "above 1 needs a volume that several pods can write: set it to 1, "
                "or create the Project with spec.storage.persistentVolumeClaim.accessMode ReadWriteMany",
                at=".registry.replicas",
            ),
        )
    )

    display_name: Annotated[
        str | None, Field(max_length=100, description="Name for people. Default: metadata.name.")
    ] = None
    description: Annotated[
        str | None, Field(max_length=2000, description="Purpose of the project, in plain text. Default: none.")
    ] = None
    storage: Annotated[Storage, Field(description="Storage of the project's images. No default.")]
    registry: Annotated[
        RegistrySettings | None, Field(description="The project's registry process. Default: one replica.")
    ] = None
    sharing: Annotated[
        tuple[Share, ...],
        sharing_field(
            "Subjects and their levels in the project. A repository's localSharing replaces it there. Atomic: each "
            "writer replaces the whole list. Default: not shared."
        ),
    ] = ()
    repository_creation: Annotated[
        RepositoryCreation,
        Field(
            description="OnPush: the first push creates the repository. Declared: only a DockerRepository object does. "
            "Default: OnPush."
        ),
    ] = RepositoryCreation.ON_PUSH
    limits: Annotated[Limits | None, Field(description="Limits on pushes. Default: those of the installation.")] = None
    pull_secrets: Annotated[
        tuple[PullSecret, ...],
        Field(
            max_length=PULL_SECRETS_MAX_ITEMS,
            description="Namespaces that get a pull secret: the login of a robot with Download, made for the namespace "
            "and rotated by Berth. Default: none.",
            json_schema_extra=keyed_by("namespace"),
        ),
    ] = ()
    suspend: Annotated[
        bool, Field(description="Scale the registry to zero and refuse every request; all data stays. Default: false.")
    ] = False
    trashed: Annotated[
        bool,
        Field(
            description="Move the project to the trash: every operation is refused, nothing is lost, false restores. "
            "Default: false."
        ),
    ] = False


class StorageStatus(ApiModel):
    """The observed state of a project's storage."""

    capacity: Annotated[
        str | None,
        Field(max_length=32, description="Capacity of the bound volume in bytes, as a quantity. Absent: not bound."),
    ] = None


class InventoryEntry(ApiModel):
    """One object that the operator created for a project."""

    group: Annotated[str, Field(max_length=253, description="API group; empty for core.")]
    version: Annotated[str, Field(max_length=63, description="API version with which it was last written.")]
    kind: Annotated[str, Field(max_length=63, description="Kind.")]
    namespace: Annotated[str | None, Field(max_length=63, description="Namespace. Absent: the object has none.")] = None
    name: Annotated[str, Field(max_length=253, description="Name.")]


class PullSecretStatus(ApiModel):
    """The state of one entry of spec.pullSecrets."""

    namespace: Annotated[str, Field(max_length=63, description="The namespace.")]
    served: Annotated[bool, Field(description="Whether its pull secret exists and is valid.")]
    reason: Annotated[
        str, Field(max_length=128, description="Reason, one word of a closed list (docs/crds/conditions.md).")
    ]
    message: Annotated[
        str | None,
        Field(
            max_length=MESSAGE_MAX_LENGTH, description="Explanation with the next step. Absent: nothing is left to do."
        ),
    ] = None
    secret_name: Annotated[
        str | None, Field(max_length=253, description="Name of the Secret there. Absent: none exists.")
    ] = None
    rotated_at: Annotated[
        Time | None, Field(description="When its password was last rotated, RFC 3339. Absent: never.")
    ] = None


class ProjectStatus(ObjectStatus):
    """The observed state of a project."""

    namespace: Annotated[
        str | None, Field(max_length=63, description="Namespace of the project. Absent: not created yet.")
    ] = None
    address: Annotated[
        str | None, Field(max_length=400, description="Prefix of the project's image names. Absent: not known yet.")
    ] = None
    registry_version: Annotated[
        str | None, Field(max_length=64, description="Version of the registry. Absent: not deployed yet.")
    ] = None
    storage: Annotated[
        StorageStatus | None, Field(description="The observed state of the storage. Absent: not known yet.")
    ] = None
    repositories: Annotated[
        int | None, Field(ge=0, description="Number of repositories, trashed ones too. Absent: not counted yet.")
    ] = None
    pull_secrets: Annotated[
        tuple[PullSecretStatus, ...],
        Field(
            max_length=PULL_SECRETS_MAX_ITEMS,
            description="The state of each entry of spec.pullSecrets. Default: none requested.",
            json_schema_extra=keyed_by("namespace"),
        ),
    ] = ()
    inventory: Annotated[
        tuple[InventoryEntry, ...],
        Field(
            max_length=500,
            description="Every object that the operator created for the project; objects that are no longer desired "
            "are deleted by this list. Default: none.",
            json_schema_extra=ATOMIC,
        ),
    ] = ()


class Project(Resource):
    """A private container registry: storage, registry, sharing and limits. Its name is the project id."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                f"size(self.metadata.name) <= {PROJECT_ID_MAX_LENGTH}",
                f"is the project id in every image name: use at most {PROJECT_ID_MAX_LENGTH} characters",
                at=".metadata.name",
            ),
            rule(
                f"size(self.metadata.name) > {PROJECT_ID_MAX_LENGTH} "
                f"|| self.metadata.name.matches('{PROJECT_ID_PATTERN}')",
                "is the project id in every image name: use lower-case letters, digits and hyphens, "
                "and begin and end with a letter or digit",
                at=".metadata.name",
            ),
            rule(
                f"!(self.metadata.name in [{_RESERVED}])",
                "is reserved for Berth's own addresses: choose another project id",
                at=".metadata.name",
            ),
        )
    )

    kind: Literal["Project"] = "Project"
    spec: Annotated[ProjectSpec, Field(description="The desired state of the project.")]
    status: Annotated[
        ProjectStatus, Field(description="The observed state of the project; written by Berth alone.")
    ] = ProjectStatus()

    @property
    def project_id(self) -> str:
        """The first component of every image name of this project."""
        return self.metadata.name
