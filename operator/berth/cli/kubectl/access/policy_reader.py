"""The policy of one project, read from the cluster with the rights of the user."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from berth.api.names import PROJECT_ID_PATTERN, project_namespace
from berth.authz.model import Snapshot
from berth.authz.policy import facts
from berth.authz.policy.builder import PolicyBuilder
from berth.kube.client import KubeClient
from berth.kube.errors import ForbiddenError, KubeError, NotFoundError
from berth.kube.resources import (
    ACCESS_POLICIES,
    ACCESS_TOKENS,
    CERTIFICATIONS,
    DOCKER_REPOSITORIES,
    PROJECTS,
    REGISTRY_TEAMS,
    REGISTRY_USERS,
    Manifest,
    Resource,
)

_PROJECT: Final = re.compile(PROJECT_ID_PATTERN)


@dataclass(frozen=True, slots=True)
class World:
    """The policy, and the resources that could not be read."""

    snapshot: Snapshot
    host: str = ""  # of the registry, from the project's status; empty: unknown
    unread: tuple[str, ...] = ()  # plural names of the resources that the user may not read, sorted


async def read_world(client: KubeClient, project: str, *, tokens: bool = False) -> World:
    """Read every object that affects decisions about one project; AccessTokens only with `tokens`.

    Resources that the user may not read are left out and listed. Raises KubeError for any other error, and if Berth's
    kinds do not exist.
    """
    reader = _Reader(client)
    cluster_wide = [REGISTRY_USERS, REGISTRY_TEAMS, CERTIFICATIONS, *([ACCESS_TOKENS] if tokens else [])]
    # An invalid project id must not become part of a path; `decide` reports it.
    inside = [DOCKER_REPOSITORIES, ACCESS_POLICIES] if _PROJECT.fullmatch(project) else []
    namespace = project_namespace(project)
    found, *lists = await asyncio.gather(
        reader.one(PROJECTS, project if inside else ""),
        *(reader.all(resource) for resource in cluster_wide),
        *(reader.all(resource, namespace) for resource in inside),
    )
    by_resource = dict(zip((*cluster_wide, *inside), lists, strict=True))
    # No AccessPolicy contains Public rules that the installation does not allow.
    state = PolicyBuilder(layer_size_limit=None, public_allowed=True)
    for manifest in found:
        state.update_project(project, facts.project_facts(manifest))
    _update(state, by_resource)
    host = str((found[0].get("status") or {}).get("address") or "").partition("/")[0] if found else ""
    return World(state.snapshot(), host, tuple(sorted(reader.unread)))


def _update(state: PolicyBuilder, manifests: dict[Resource, list[Manifest]]) -> None:
    people = state.people
    for resource, each in _pairs(manifests):
        metadata = each["metadata"]
        name, namespace = metadata["name"], metadata.get("namespace", "")
        if resource is REGISTRY_USERS:
            people.update_user(name, facts.user_facts(each))
        elif resource is REGISTRY_TEAMS:
            people.update_team(name, facts.team_facts(each))
        elif resource is CERTIFICATIONS:
            people.update_certification(name, facts.certification_facts(each))
        elif resource is ACCESS_TOKENS:
            people.update_token(name, facts.token_facts(each))
        elif resource is DOCKER_REPOSITORIES:
            state.update_repository(namespace, name, facts.repository_facts(each))
        else:
            state.update_policy(namespace, name, facts.policy_facts(each))


def _pairs(manifests: dict[Resource, list[Manifest]]) -> Iterable[tuple[Resource, Manifest]]:
    return ((resource, each) for resource, listed in manifests.items() for each in listed)


class _Reader:
    """Reads objects and records the resources that the user may not read."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self.unread: set[str] = set()

    async def one(self, resource: Resource, name: str) -> list[Manifest]:
        if not name:
            return []
        try:
            found = await self._client.get(resource, name)
        except ForbiddenError as forbidden:
            self._refused(resource, forbidden)
            return []
        return [found] if found is not None else []

    async def all(self, resource: Resource, namespace: str | None = None) -> list[Manifest]:
        try:
            return await self._client.list(resource, namespace)
        except ForbiddenError as forbidden:
            self._refused(resource, forbidden)
            return []
        except NotFoundError as absent:
            raise KubeError(
                f"This cluster has no {resource.kind} objects, so Berth is not installed in it; choose another with "
                "--context.",
                status=absent.status,
            ) from absent

    def _refused(self, resource: Resource, forbidden: ForbiddenError) -> None:
        if forbidden.status == 401:
            raise forbidden
        self.unread.add(resource.plural)
