"""The kinds of the API: names, scope, short names, printer columns. One entry each; everything else is derived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from berth.api.base import Resource
from berth.api.certification import Certification
from berth.api.names import GROUP, VERSION
from berth.api.policy import AccessPolicy
from berth.api.project import Project
from berth.api.repository import DockerRepository
from berth.api.team import RegistryTeam
from berth.api.token import AccessToken
from berth.api.user import RegistryUser

CATEGORY: Final = "berth"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; with `wide`, of `-o wide` alone."""

    name: str
    path: str
    description: str
    type: Literal["string", "integer", "boolean", "date"] = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind. `plural` names it in URLs, RBAC rules and `kubectl get`."""

    model: type[Resource]
    plural: str
    singular: str
    short_names: tuple[str, ...]
    namespaced: bool
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        """The value of `kind` in manifests."""
        return self.model.__name__

    @property
    def crd_name(self) -> str:
        """`metadata.name` of its CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"

    @property
    def has_status(self) -> bool:
        """Whether a controller reports on the kind. A generated kind has no status."""
        return "status" in self.model.model_fields

    def url(self, namespace: str | None = None, name: str | None = None) -> str:
        """The API path of the collection (of all namespaces without one), or of one object."""
        place = f"namespaces/{namespace}/" if namespace else ""
        return f"/apis/{GROUP}/{VERSION}/{place}{self.plural}" + (f"/{name}" if name else "")


def _condition(kind: str, part: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{part}'


_READY: Final = Column("Ready", _condition("Ready", "status"), "Whether the state matches the spec.")
_REASON: Final = Column("Reason", _condition("Ready", "reason"), "Why it is ready or not.")
_MESSAGE: Final = Column("Message", _condition("Ready", "message"), "Explanation with the next step.", wide=True)
_AGE: Final = Column("Age", ".metadata.creationTimestamp", "Time since the creation.", "date")

PROJECT: Final = Kind(
    model=Project,
    plural="projects",
    singular="project",
    short_names=("bproj",),
    namespaced=False,
    columns=(
        _READY,
        _REASON,
        Column("Address", ".status.address", "Prefix of the project's image names."),
        Column("Repositories", ".status.repositories", "Number of repositories.", "integer"),
        Column("Capacity", ".status.storage.capacity", "Capacity of the volume."),
        Column("Namespace", ".status.namespace", "Namespace of the project.", wide=True),
        Column("Registry", ".status.registryVersion", "Version of the registry.", wide=True),
        _MESSAGE,
        _AGE,
    ),
)
DOCKER_REPOSITORY: Final = Kind(
    model=DockerRepository,
    plural="dockerrepositories",
    singular="dockerrepository",
    short_names=("drepo",),
    namespaced=True,
    columns=(
        _READY,
        _REASON,
        Column("Address", ".status.address", "Name to pull and push, without tag."),
        Column("Tags", ".status.tagCount", "Number of tags.", "integer"),
        Column("Last push", ".status.lastPush.at", "Time since the newest push.", "date"),
        Column("By", ".status.lastPush.by", "The subject of the newest push.", wide=True),
        _MESSAGE,
        _AGE,
    ),
)
REGISTRY_USER: Final = Kind(
    model=RegistryUser,
    plural="registryusers",
    singular="registryuser",
    short_names=("ruser",),
    namespaced=False,
    columns=(
        _READY,
        _REASON,
        Column("Type", ".spec.type", "Person or Robot."),
        Column("Certified", _condition("Certified", "status"), "Whether the user may push."),
        Column("Because", _condition("Certified", "reason"), "Certified, NoCertification or CertificationExpired."),
        Column("Until", ".status.certifiedUntil", "Latest end of the certifications, past or future."),
        Column("Disabled", ".spec.disabled", "Whether every request is refused.", "boolean", wide=True),
        _MESSAGE,
        _AGE,
    ),
)
CERTIFICATION: Final = Kind(
    model=Certification,
    plural="certifications",
    singular="certification",
    short_names=("bcert",),
    namespaced=False,
    columns=(
        _READY,
        _REASON,
        Column("Kind", ".spec.subject.kind", "User, Robot or ServiceAccount.", wide=True),
        Column("Subject", ".spec.subject.name", "The certified subject."),
        Column("Certified by", ".spec.certifiedBy", "Person or office that issued the certification."),
        Column("Valid until", ".spec.validUntil", "First time at which it is no longer valid."),
        _MESSAGE,
        _AGE,
    ),
)
REGISTRY_TEAM: Final = Kind(
    model=RegistryTeam,
    plural="registryteams",
    singular="registryteam",
    short_names=("rteam",),
    namespaced=False,
    columns=(
        _READY,
        _REASON,
        Column("Members", ".status.members", "Number of members.", "integer"),
        _MESSAGE,
        _AGE,
    ),
)
ACCESS_TOKEN: Final = Kind(
    model=AccessToken,
    plural="accesstokens",
    singular="accesstoken",
    short_names=("atoken",),
    namespaced=False,
    columns=(
        _READY,
        _REASON,
        Column("Owner", ".spec.owner.name", "Owner of the token."),
        Column("Scopes", ".spec.scopes", "Scopes of the token."),
        Column("Expires", ".spec.expiresAt", "First time at which it is no longer valid."),
        Column("Last used", ".status.lastUsed", "Time since the last login with it.", "date"),
        Column("Description", ".spec.description", "Purpose of the token.", wide=True),
        _MESSAGE,
        _AGE,
    ),
)
ACCESS_POLICY: Final = Kind(
    model=AccessPolicy,
    plural="accesspolicies",
    singular="accesspolicy",
    short_names=("apol",),
    namespaced=True,
    columns=(
        Column("Project", ".spec.project", "Project id."),
        Column("Repository", ".spec.repository", "Repository path; empty on the project's own."),
        Column("State", ".spec.state", "Active, Trashed or Suspended."),
        Column("Rights", ".spec.summary", "Subjects with their levels, and the end of those that expire."),
        Column(
            "Source",
            ".spec.rules[0].source",
            "Sharing (of the Project) or LocalSharing (of the repository); rules from PullSecret are marked in Rights.",
        ),
        _AGE,
    ),
)

KINDS: Final = (
    PROJECT,
    DOCKER_REPOSITORY,
    REGISTRY_USER,
    REGISTRY_TEAM,
    CERTIFICATION,
    ACCESS_TOKEN,
    ACCESS_POLICY,
)
