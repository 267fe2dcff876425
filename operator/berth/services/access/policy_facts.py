"""What decisions need of each watched object, and nothing else. Pure.

An object whose facts did not change (a status write, a label) changes no policy and costs no rebuild.
Objects come from the API server, which checked them against the CRDs; one that still can not be read is treated so
that nobody gains by it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from berth.access.model import Creation, Level, Rule, State, SubjectKind
from berth.api.certification import Certification
from berth.api.policy import AccessPolicy
from berth.api.project import Project
from berth.api.quantities import parse_quantity
from berth.api.repository import DockerRepository
from berth.api.sharing import SharingLevel
from berth.api.user import RegistryUser

Manifest: TypeAlias = Mapping[str, Any]

HASH_PREFIXES: Final = ("$argon2id$", "$2a$", "$2b$", "$2y$")

_LEVELS: Final = {
    SharingLevel.VIEW: Level.VIEW,
    SharingLevel.DOWNLOAD: Level.DOWNLOAD,
    SharingLevel.EDIT: Level.EDIT,
    SharingLevel.EDIT_AND_DELETE: Level.EDIT_AND_DELETE,
    SharingLevel.ADMINISTER: Level.ADMINISTER,
}


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """Of a `Project`: what it says itself, before the operator has acted on it."""

    state: State
    creation: Creation
    layer_size_limit: int | None  # bytes; None: of the installation


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """Of a `DockerRepository`."""

    path: str
    created: str  # RFC 3339 in UTC, which sorts by time
    state: State = State.ACTIVE
    local: bool = False  # it has sharing of its own, wherever its rules are
    external: bool = False
    has_content: bool = False
    readable: bool = True


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """Of an `AccessPolicy`."""

    project: str
    repository: str | None
    state: State
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class UserFacts:
    """Of a `RegistryUser`."""

    disabled: bool
    secret: tuple[str, str] | None  # name and key


@dataclass(frozen=True, slots=True)
class CertificationFacts:
    """Of a `Certification` that has not been withdrawn."""

    user: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """The password hashes among the values of a Secret, by key; every other value is forgotten at once."""

    hashes: Mapping[str, str] = field(repr=False)


def project_facts(manifest: Manifest) -> ProjectFacts | None:
    """Facts of a Project; None when it can not be read."""
    try:
        project = Project.model_validate(manifest)
    except ValidationError:
        return None
    limits = project.spec.limits
    state = State.ACTIVE
    if project.spec.suspend:
        state = State.SUSPENDED
    if project.spec.trashed or project.metadata.being_deleted:
        state = State.TRASHED
    size = limits.layer_size if limits else None
    return ProjectFacts(
        state=state,
        creation=Creation(project.spec.repository_creation.value),
        layer_size_limit=parse_quantity(str(size)) if size is not None else None,
    )


def repository_facts(manifest: Manifest) -> RepositoryFacts:
    """Facts of a DockerRepository; one that can not be read keeps its path and is shared with nobody."""
    created = str(manifest["metadata"].get("creationTimestamp") or "")
    try:
        repository = DockerRepository.model_validate(manifest)
    except ValidationError:
        spec = manifest.get("spec")
        path = spec.get("repository") if isinstance(spec, Mapping) else None
        return RepositoryFacts(path=str(path or manifest["metadata"]["name"]), created=created, readable=False)
    spec = repository.spec
    trashed = spec.trashed or repository.metadata.being_deleted
    return RepositoryFacts(
        path=repository.path,
        created=created,
        state=State.TRASHED if trashed else State.ACTIVE,
        local=spec.local_sharing is not None,
        external=spec.external is not None,
        has_content=bool(repository.status.digest_count),
    )


def policy_facts(manifest: Manifest) -> PolicyFacts | None:
    """Facts of an AccessPolicy; None when it can not be read."""
    try:
        spec = AccessPolicy.model_validate(manifest).spec
    except ValidationError:
        return None
    rules = tuple(
        Rule(kind=SubjectKind(rule.kind.value), name=rule.name or "", level=_LEVELS[rule.level]) for rule in spec.rules
    )
    return PolicyFacts(project=spec.project, repository=spec.repository, state=State(spec.state.value), rules=rules)


def user_facts(manifest: Manifest) -> UserFacts | None:
    """Facts of a RegistryUser; None when it can not be read."""
    try:
        user = RegistryUser.model_validate(manifest)
    except ValidationError:
        return None
    reference = user.spec.password_secret_ref
    return UserFacts(
        disabled=user.spec.disabled or user.metadata.being_deleted,
        secret=(reference.name, reference.key) if reference else None,
    )


def certification_facts(manifest: Manifest) -> CertificationFacts | None:
    """Facts of a Certification; None when it can not be read or is being deleted."""
    try:
        certification = Certification.model_validate(manifest)
    except ValidationError:
        return None
    if certification.metadata.being_deleted:
        return None
    return CertificationFacts(user=certification.spec.subject.name, until=certification.spec.valid_until)


def secret_facts(manifest: Manifest) -> SecretFacts | None:
    """The password hashes of a Secret; None when it holds none or is being deleted."""
    data = manifest.get("data")
    if not isinstance(data, Mapping) or manifest["metadata"].get("deletionTimestamp"):
        return None
    hashes = {key: found for key, value in data.items() if (found := _hash(value))}
    return SecretFacts(hashes) if hashes else None


def _hash(value: object) -> str | None:
    try:
        text = base64.b64decode(str(value), validate=True).decode("ascii").strip()
    except (binascii.Error, ValueError):
        return None
    return text if text.startswith(HASH_PREFIXES) else None
