"""The conversion from manifests to the facts that decisions need. Pure.

The snapshot watcher, the offline policy tests and the kubectl plugin all use it. An object whose facts stay the same
(a status write, a label) causes no rebuild. Objects come from the API server, which checked them against the CRDs; an
object that still cannot be read gives no rights.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from berth.api.certification import Certification
from berth.api.policy import AccessPolicy, PolicyRule, PolicyState, local_rules, project_rules
from berth.api.project import Project, RepositoryCreation
from berth.api.quantities import parse_quantity
from berth.api.repository import DockerRepository
from berth.api.sharing import SubjectKind
from berth.api.team import RegistryTeam
from berth.api.token import AccessToken
from berth.api.user import RegistryUser, UserType
from berth.authz.model import AccessTokenRecord, Rule, Subject

Manifest: TypeAlias = Mapping[str, Any]

HASH_PREFIXES: Final = ("$argon2id$", "$2a$", "$2b$", "$2y$")
"""Prefixes of argon2id and bcrypt hashes (PHC string format; crypt(5)), for services and statuses."""


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """The facts of a `Project`, before the operator has reconciled it."""

    state: PolicyState
    creation: RepositoryCreation
    layer_size_limit: int | None  # bytes; None: that of the installation


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """The facts of a `DockerRepository`."""

    path: str
    created: str  # RFC 3339 in UTC, which sorts by time
    state: PolicyState = PolicyState.ACTIVE
    local: bool = False  # it has local sharing; the rules are in its AccessPolicy
    external: bool = False
    has_content: bool = False
    readable: bool = True


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """The facts of an `AccessPolicy`."""

    project: str
    repository: str | None
    state: PolicyState
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class UserFacts:
    """The facts of a `RegistryUser`."""

    disabled: bool = False
    robot: bool = False
    secret: tuple[str, str] | None = None  # name and key
    aliases: frozenset[Subject] = frozenset()  # ServiceAccounts and external user names that act as this user


@dataclass(frozen=True, slots=True)
class TeamFacts:
    """The facts of a `RegistryTeam`."""

    members: frozenset[Subject]


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """The facts of an `AccessToken` that is not revoked."""

    sha256: str
    record: AccessTokenRecord


@dataclass(frozen=True, slots=True)
class CertificationFacts:
    """The facts of a `Certification` that is not withdrawn."""

    subject: Subject
    until: datetime | None


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """The password hashes among the values of a Secret, by key."""

    hashes: Mapping[str, str] = field(repr=False)


def project_facts(manifest: Manifest) -> ProjectFacts | None:
    """Facts of a Project; None when it cannot be read."""
    try:
        project = Project.model_validate(manifest)
    except ValidationError:
        return None
    limits = project.spec.limits
    state = PolicyState.ACTIVE
    if project.spec.suspend:
        state = PolicyState.SUSPENDED
    if project.spec.trashed or project.metadata.being_deleted:
        state = PolicyState.TRASHED
    size = limits.layer_size if limits else None
    return ProjectFacts(
        state=state,
        creation=project.spec.repository_creation,
        layer_size_limit=parse_quantity(str(size)) if size is not None else None,
    )


def repository_facts(manifest: Manifest) -> RepositoryFacts:
    """Facts of a DockerRepository; one that cannot be read keeps its path and gives no rights."""
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
        state=PolicyState.TRASHED if trashed else PolicyState.ACTIVE,
        local=spec.local_sharing is not None,
        external=spec.external is not None,
        has_content=bool(repository.status.digest_count),
    )


def policy_facts(manifest: Manifest) -> PolicyFacts | None:
    """Facts of an AccessPolicy; None when it cannot be read."""
    try:
        spec = AccessPolicy.model_validate(manifest).spec
    except ValidationError:
        return None
    return PolicyFacts(
        project=spec.project,
        repository=spec.repository,
        state=spec.state,
        rules=tuple(_rule(rule) for rule in spec.rules),
    )


def sharing_facts(manifest: Manifest, *, allow_public: bool) -> PolicyFacts | None:
    """The future `AccessPolicy` of a Project, from the Project itself; None when it cannot be read.

    The operator generates policies with the same function, `berth.api.policy.project_rules`.
    """
    try:
        project = Project.model_validate(manifest)
    except ValidationError:
        return None
    rules = project_rules(project, allow_public=allow_public)
    return PolicyFacts(project.project_id, None, PolicyState.ACTIVE, tuple(_rule(rule) for rule in rules))


def local_sharing_facts(manifest: Manifest, project_id: str, *, allow_public: bool) -> PolicyFacts | None:
    """The future `AccessPolicy` of a DockerRepository; None when it inherits or cannot be read."""
    try:
        repository = DockerRepository.model_validate(manifest)
    except ValidationError:
        return None
    rules = local_rules(repository, allow_public=allow_public)
    if rules is None:
        return None
    return PolicyFacts(project_id, repository.path, PolicyState.ACTIVE, tuple(_rule(rule) for rule in rules))


def _rule(rule: PolicyRule) -> Rule:
    return Rule(rule.kind, rule.name or "", rule.level, rule.source)


def user_facts(manifest: Manifest) -> UserFacts | None:
    """Facts of a RegistryUser; None when it cannot be read."""
    try:
        user = RegistryUser.model_validate(manifest)
    except ValidationError:
        return None
    reference, external = user.spec.password_secret_ref, user.spec.kubernetes
    aliases: frozenset[Subject] = frozenset()
    if external is not None:
        aliases = frozenset(
            (
                *(Subject(SubjectKind.USER, name) for name in external.users),
                *(Subject(SubjectKind.SERVICE_ACCOUNT, name) for name in external.service_accounts),
            )
        )
    return UserFacts(
        disabled=user.spec.disabled or user.metadata.being_deleted,
        robot=user.spec.type is UserType.ROBOT,
        secret=(reference.name, reference.key) if reference else None,
        aliases=aliases,
    )


def team_facts(manifest: Manifest) -> TeamFacts | None:
    """Facts of a RegistryTeam; None when it cannot be read or is being deleted."""
    try:
        team = RegistryTeam.model_validate(manifest)
    except ValidationError:
        return None
    if team.metadata.being_deleted:
        return None
    return TeamFacts(frozenset(Subject(SubjectKind(member.kind.value), member.name) for member in team.spec.members))


def token_facts(manifest: Manifest) -> TokenFacts | None:
    """Facts of an AccessToken; None when it cannot be read or is being deleted."""
    try:
        token = AccessToken.model_validate(manifest)
    except ValidationError:
        return None
    if token.metadata.being_deleted:
        return None
    spec = token.spec
    record = AccessTokenRecord(
        name=token.metadata.name,
        owner=Subject(SubjectKind(spec.owner.kind.value), spec.owner.name),
        scopes=frozenset(spec.scopes),
        expires_at=spec.expires_at,
    )
    return TokenFacts(spec.sha256, record)


def certification_facts(manifest: Manifest) -> CertificationFacts | None:
    """Facts of a Certification; None when it cannot be read or is being deleted."""
    try:
        certification = Certification.model_validate(manifest)
    except ValidationError:
        return None
    if certification.metadata.being_deleted:
        return None
    named = certification.spec.subject
    return CertificationFacts(Subject(SubjectKind(named.kind.value), named.name), certification.spec.valid_until)


def secret_facts(manifest: Manifest) -> SecretFacts | None:
    """The password hashes of a Secret; None when it holds none or is being deleted."""
    data = manifest.get("data")
    if not isinstance(data, Mapping) or manifest["metadata"].get("deletionTimestamp"):
        return None
    hashes = {key: found for key, value in data.items() if (found := _hash(value))}
    return SecretFacts(hashes) if hashes else None


def password_hashes_only(secret: Manifest) -> dict[str, Any]:
    """A Secret without other values than password hashes, so that keys and certificates do not stay in memory."""
    data = secret.get("data")
    kept = {key: value for key, value in data.items() if _hash(value)} if isinstance(data, Mapping) else {}
    return {**secret, "data": kept}


def _hash(value: object) -> str | None:
    try:
        text = base64.b64decode(str(value), validate=True).decode("ascii").strip()
    except (binascii.Error, ValueError):
        return None
    return text if text.startswith(HASH_PREFIXES) else None
