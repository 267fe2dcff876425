"""Incremental builder of the policy snapshot from the facts of watched objects. Pure.

Rules come only from `AccessPolicy` objects in the project's own namespace. The state is the stricter one of the object
and its policy, so that the trash takes effect before the operator reconciles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from berth.api.names import PROJECT_POLICY_NAME, claim_rank, project_namespace
from berth.api.policy import PolicyState
from berth.authz.model import ProjectPolicy, RepositoryPolicy, Rule, Snapshot
from berth.authz.policy.facts import PolicyFacts, ProjectFacts, RepositoryFacts
from berth.authz.policy.people import PeopleBuilder

_STRICTNESS: Final = {PolicyState.ACTIVE: 0, PolicyState.SUSPENDED: 1, PolicyState.TRASHED: 2}
_NAMESPACE_PREFIX: Final = project_namespace("")


def stricter(first: PolicyState, second: PolicyState) -> PolicyState:
    """The stricter of two states."""
    return max(first, second, key=_STRICTNESS.__getitem__)


@dataclass(slots=True)
class _Path:
    """The facts about one repository path, by object name."""

    repositories: dict[str, RepositoryFacts] = field(default_factory=dict)
    policies: dict[str, PolicyFacts] = field(default_factory=dict)


@dataclass(slots=True)
class _ProjectParts:
    """The facts about one project."""

    project: ProjectFacts | None = None
    policy: PolicyFacts | None = None
    repositories: dict[str, RepositoryFacts] = field(default_factory=dict)  # by object name
    policies: dict[str, PolicyFacts] = field(default_factory=dict)  # by object name, repositories' alone
    paths: dict[str, _Path] = field(default_factory=dict)
    built: dict[str, RepositoryPolicy] = field(default_factory=dict)  # by path


class PolicyBuilder:
    """Builds the snapshot from the facts of single objects.

    `layer_size_limit` (bytes, for projects without their own) and `public_allowed` are settings of the installation.
    Facts of None mean that the object is gone. Users, teams, tokens and certifications go to `people`.
    """

    def __init__(self, *, layer_size_limit: int | None, public_allowed: bool = False) -> None:
        self.people = PeopleBuilder()
        self._layer_size_limit = layer_size_limit
        self._public_allowed = public_allowed
        self._parts: dict[str, _ProjectParts] = {}
        self._changed_projects: set[str] = set()
        self._changed_paths: set[tuple[str, str]] = set()
        self._snapshot = Snapshot(generation=0, public_allowed=public_allowed)

    def update_project(self, name: str, facts: ProjectFacts | None) -> None:
        """Update a Project."""
        parts = self._parts.setdefault(name, _ProjectParts())
        if parts.project != facts:
            parts.project = facts
            self._changed_projects.add(name)

    def update_repository(self, namespace: str, name: str, facts: RepositoryFacts | None) -> None:
        """Update a DockerRepository. Outside a project's namespace it has no effect."""
        project = project_of(namespace)
        if project is None:
            return
        parts = self._parts.setdefault(project, _ProjectParts())
        before = parts.repositories.pop(name, None)
        if facts is not None:
            parts.repositories[name] = facts
        if before == facts:
            return
        if before is not None:
            parts.paths[before.path].repositories.pop(name)
            self._changed_paths.add((project, before.path))
        if facts is not None:
            parts.paths.setdefault(facts.path, _Path()).repositories[name] = facts
            self._changed_paths.add((project, facts.path))

    def update_policy(self, namespace: str, name: str, facts: PolicyFacts | None) -> None:
        """Update an AccessPolicy. It has no effect outside the namespace of its project."""
        project = project_of(namespace)
        if project is None:
            return
        parts = self._parts.setdefault(project, _ProjectParts())
        own = facts if facts is not None and facts.project == project else None
        if name == PROJECT_POLICY_NAME:
            own = own if own is not None and own.repository is None else None
            if parts.policy != own:
                parts.policy = own
                self._changed_projects.add(project)
            return
        own = own if own is not None and own.repository is not None else None
        self._replace_repository_policy(project, parts, name, own)

    def _replace_repository_policy(
        self, project: str, parts: _ProjectParts, name: str, facts: PolicyFacts | None
    ) -> None:
        before = parts.policies.pop(name, None)
        if facts is not None:
            parts.policies[name] = facts
        if before == facts:
            return
        if before is not None and before.repository is not None:
            parts.paths[before.repository].policies.pop(name)
            self._changed_paths.add((project, before.repository))
        if facts is not None and facts.repository is not None:
            parts.paths.setdefault(facts.repository, _Path()).policies[name] = facts
            self._changed_paths.add((project, facts.repository))

    def snapshot(self) -> Snapshot:
        """The current policy: the same object until something changes, then a new one of the next generation."""
        if not (self._changed_projects or self._changed_paths or self.people.has_changes):
            return self._snapshot
        people = self.people
        self._snapshot = Snapshot(
            generation=self._snapshot.generation + 1,
            projects=self._new_projects(),
            users=people.users(),
            tokens=people.tokens(),
            teams_of=people.teams_of(),
            aliases=people.aliases(),
            certifications=people.certifications(),
            public_allowed=self._public_allowed,
        )
        return self._snapshot

    def _new_projects(self) -> Mapping[str, ProjectPolicy]:
        if not (self._changed_projects or self._changed_paths):
            return self._snapshot.projects
        with_changed_paths = set()
        for project, path in self._changed_paths:
            _rebuild_path(self._parts[project], path)
            with_changed_paths.add(project)
        projects = dict(self._snapshot.projects)
        for project in self._changed_projects | with_changed_paths:
            policy = self._project_policy(project)
            if policy is None:
                projects.pop(project, None)
            else:
                projects[project] = policy
        self._changed_projects, self._changed_paths = set(), set()
        return projects

    def _project_policy(self, name: str) -> ProjectPolicy | None:
        """The policy of a project; None without its Project or AccessPolicy, so that it is invisible."""
        parts = self._parts[name]
        if parts.project is None or parts.policy is None:
            return None
        limit = parts.project.layer_size_limit
        return ProjectPolicy(
            project_id=name,
            rules=parts.policy.rules,
            state=stricter(parts.project.state, parts.policy.state),
            creation=parts.project.creation,
            layer_size_limit=self._layer_size_limit if limit is None else limit,
            repositories=dict(parts.built),
        )


def project_of(namespace: str) -> str | None:
    """The id of the project of a namespace, by its name; None for any other namespace."""
    return namespace.removeprefix(_NAMESPACE_PREFIX) or None if namespace.startswith(_NAMESPACE_PREFIX) else None


def _rebuild_path(parts: _ProjectParts, path: str) -> None:
    known = parts.paths[path]
    if not known.repositories and not known.policies:
        parts.paths.pop(path)
        parts.built.pop(path, None)
        return
    parts.built[path] = _repository_policy(path, known)


def _repository_policy(path: str, known: _Path) -> RepositoryPolicy:
    """Resolve conflicts: of two objects with one path the older counts, of two policies the first by name."""
    # A policy without its object: the object is being created or deleted, and its restrictions stay in force.
    repository = RepositoryFacts(path=path, created="", local=True)
    if known.repositories:
        repository = min(known.repositories.items(), key=lambda item: claim_rank(path, item[0], item[1].created))[1]
    policy = known.policies[min(known.policies)] if known.policies else None
    rules: tuple[Rule, ...] | None = policy.rules if policy else () if repository.local else None
    return RepositoryPolicy(
        path=path,
        rules=rules if repository.readable else (),
        state=stricter(repository.state, policy.state) if policy else repository.state,
        external=repository.external,
        has_content=repository.has_content,
    )
