"""What decisions need of each object, and nothing else: the one conversion from manifests to policy. Pure.

The live feed, the offline policy tests and whatever else decides read manifests here. An object whose facts did not
change (a status write, a label) changes no policy and costs no rebuild. Objects come from the API server, which checked
them against the CRDs; one that still cannot be read is treated so that nobody gains by it.
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
"""How argon2id and bcrypt hashes begin (PHC string format; crypt(5)): what counts as one, for services and statuses."""


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """Of a `Project`: what it says itself, before the operator has acted on it."""

    state: PolicyState
    creation: RepositoryCreation
    layer_size_limit: int | None  # bytes; None: of the installation


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """Of a `DockerRepository`."""

    path: str
    created: str  # RFC 3339 in UTC, which sorts by time
    state: PolicyState = PolicyState.ACTIVE
    local: bool = False  # it has sharing of its own, wherever its rules are
    external: bool = False
    has_content: bool = False
    readable: bool = True


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """Of an `AccessPolicy`."""

    project: str
    repository: str | None
    state: PolicyState
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class UserFacts:
    """Of a `RegistryUser`."""

    disabled: bool = False
    robot: bool = False
    secret: tuple[str, str] | None = None  # name and key
    aliases: frozenset[Subject] = frozenset()  # ServiceAccounts and outside user names that act as this user


@dataclass(frozen=True, slots=True)
class TeamFacts:
    """Of a `RegistryTeam`."""

    members: frozenset[Subject]


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """Of an `AccessToken` that has not been revoked."""

    sha256: str
    record: AccessTokenRecord


@dataclass(frozen=True, slots=True)
class CertificationFacts:
    """Of a `Certification` that has not been withdrawn."""

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
    """Facts of a DockerRepository; one that cannot be read keeps its path and is shared with nobody."""
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
    """What the `AccessPolicy` of a Project will say, from the Project itself; None when it cannot be read.

    The generated policies come from the same `berth.api.policy.project_rules`.
    """
    try:
        project = Project.model_validate(manifest)
    except ValidationError:
        return None
    rules = project_rules(project, allow_public=allow_public)
    return PolicyFacts(project.project_id, None, PolicyState.ACTIVE, tuple(_rule(rule) for rule in rules))


def local_sharing_facts(manifest: Manifest, project_id: str, *, allow_public: bool) -> PolicyFacts | None:
    """What the `AccessPolicy` of a DockerRepository will say; None when it inherits or cannot be read."""
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
    reference, outside = user.spec.password_secret_ref, user.spec.kubernetes
    aliases: frozenset[Subject] = frozenset()
    if outside is not None:
        aliases = frozenset(
            (
                *(Subject(SubjectKind.USER, name) for name in outside.users),
                *(Subject(SubjectKind.SERVICE_ACCOUNT, name) for name in outside.service_accounts),
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
    """A Secret without the values that are no password hash (keys, certificates): those do not stay in memory."""
    data = secret.get("data")
    kept = {key: value for key, value in data.items() if _hash(value)} if isinstance(data, Mapping) else {}
    return {**secret, "data": kept}


def _hash(value: object) -> str | None:
    try:
        text = base64.b64decode(str(value), validate=True).decode("ascii").strip()
    except (binascii.Error, ValueError):
        return None
    return text if text.startswith(HASH_PREFIXES) else None
