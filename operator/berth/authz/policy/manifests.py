"""The policy snapshot of manifests in Git. Pure.

Facts and snapshot come from the same code as in the access service. In place of the generated `AccessPolicy` of a
cluster, the rules come from the sharing in the manifests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from berth.api.accesstest import AccessTest
from berth.api.base import Resource
from berth.api.certification import Certification
from berth.api.names import API_VERSION, PROJECT_POLICY_NAME, project_namespace, pull_robot_name
from berth.api.project import Project
from berth.api.repository import DockerRepository
from berth.api.team import RegistryTeam
from berth.api.token import AccessToken
from berth.api.user import RegistryUser
from berth.authz.model import Snapshot
from berth.authz.policy import facts
from berth.authz.policy.builder import PolicyBuilder, project_of
from berth.authz.policy.facts import Manifest

_Update: TypeAlias = Callable[[str, str, Manifest], None]

MODELS: Final[Mapping[str, type[Resource]]] = {
    "Project": Project,
    "DockerRepository": DockerRepository,
    "RegistryUser": RegistryUser,
    "RegistryTeam": RegistryTeam,
    "Certification": Certification,
    "AccessToken": AccessToken,
}
"""Kinds that a policy consists of; manifests of other kinds are ignored."""


@dataclass(frozen=True, slots=True)
class Source:
    """One parsed manifest and its place, for messages: a path, or a path and a document."""

    place: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Problem:
    """The reason why a manifest is not read, in one sentence with the object and the field."""

    place: str
    sentence: str


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """The content of all manifests: the policy, the tests among them, and the problems."""

    snapshot: Snapshot
    tests: tuple[AccessTest, ...]
    problems: tuple[Problem, ...]


def read_policy(
    sources: Iterable[Source], *, layer_size_limit: int | None = None, public_allowed: bool = False
) -> PolicyFiles:
    """The policy of a set of manifests, in any order. An invalid manifest is a `Problem` and never raises.

    `layer_size_limit` (bytes) and `public_allowed` are the installation's values.
    """
    state = PolicyBuilder(layer_size_limit=layer_size_limit, public_allowed=public_allowed)
    updaters = _updaters(state, public_allowed=public_allowed)
    problems: list[Problem] = []
    tests: list[AccessTest] = []
    seen: dict[tuple[str, str, str], str] = {}
    robots: set[str] = set()
    for source in sources:
        manifest = source.manifest
        if not _of_berth(manifest):
            continue
        kind, (namespace, name) = str(manifest["kind"]), _key(manifest)
        fault = _fault(kind, namespace, manifest)
        first = seen.setdefault((kind, namespace, name), source.place)
        if not fault and first is not source.place and kind != "AccessTest":
            fault = f"is also in {first}: keep one of the two"
        if fault:
            problems.append(Problem(source.place, f"{kind} {name or 'without a name'} {fault}."))
        elif kind == "AccessTest":
            tests.append(AccessTest.model_validate(manifest))
        else:
            updaters[kind](namespace, name, manifest)
            robots |= _pull_robots(kind, manifest)
    for robot in robots:
        if ("RegistryUser", "", robot) not in seen:
            state.people.update_user(robot, facts.UserFacts(robot=True))
    return PolicyFiles(state.snapshot(), tuple(tests), tuple(problems))


def _updaters(state: PolicyBuilder, *, public_allowed: bool) -> Mapping[str, _Update]:
    people = state.people

    def update_project(_namespace: str, name: str, manifest: Manifest) -> None:
        state.update_project(name, facts.project_facts(manifest))
        sharing = facts.sharing_facts(manifest, allow_public=public_allowed)
        state.update_policy(project_namespace(name), PROJECT_POLICY_NAME, sharing)

    def update_repository(namespace: str, name: str, manifest: Manifest) -> None:
        state.update_repository(namespace, name, facts.repository_facts(manifest))
        project = project_of(namespace) or ""
        local = facts.local_sharing_facts(manifest, project, allow_public=public_allowed)
        state.update_policy(
            namespace, f"{name}/", local
        )  # no object has such a name, so it differs from the project's own

    return {
        "Project": update_project,
        "DockerRepository": update_repository,
        "RegistryUser": lambda _, name, manifest: people.update_user(name, facts.user_facts(manifest)),
        "RegistryTeam": lambda _, name, manifest: people.update_team(name, facts.team_facts(manifest)),
        "Certification": lambda _, name, manifest: people.update_certification(
            name, facts.certification_facts(manifest)
        ),
        "AccessToken": lambda _, name, manifest: people.update_token(name, facts.token_facts(manifest)),
    }


def _pull_robots(kind: str, manifest: Manifest) -> set[str]:
    """The robots that the operator will create for the pull secrets of a Project."""
    if kind != "Project":
        return set()
    project = Project.model_validate(manifest)
    return {pull_robot_name(project.project_id, entry.namespace) for entry in project.spec.pull_secrets}


def _of_berth(manifest: Manifest) -> bool:
    known = manifest.get("kind") in MODELS or manifest.get("kind") == "AccessTest"
    return known and manifest.get("apiVersion") == API_VERSION


def _key(manifest: Manifest) -> tuple[str, str]:
    metadata: Any = manifest.get("metadata")
    if not isinstance(metadata, Mapping):
        return "", ""
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def _fault(kind: str, namespace: str, manifest: Manifest) -> str:
    """The reason why an object is not used; empty when it is."""
    model = AccessTest if kind == "AccessTest" else MODELS[kind]
    try:
        model.model_validate(manifest)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the object"
        return f"cannot be read: {place}: {first['msg']}"
    if kind == "DockerRepository" and not project_of(namespace):
        return "is not in a project's namespace: set metadata.namespace to berth-<project>"
    return ""
