"""Objects of the cluster as the watch gives them, and a policy state that takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from berth.api.sharing import SubjectKind
from berth.authz.model import Subject
from berth.authz.policy import facts
from berth.authz.policy.builder import PolicyBuilder

Object: TypeAlias = dict[str, Any]

DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
DEFAULT_LIMIT = 100
SIZE = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}


def project(name: str = "genomics", meta: Object | None = None, **spec: Any) -> Object:
    return {
        "kind": "Project",
        "metadata": {"name": name, **(meta or {})},
        "spec": {"displayName": name, "storage": SIZE, **spec},
    }


def repository(name: str, meta: Object | None = None, digests: int = 0, **spec: Any) -> Object:
    metadata = {
        "name": name,
        "namespace": "berth-genomics",
        "creationTimestamp": "2026-01-02T00:00:00Z",
        **(meta or {}),
    }
    return {
        "kind": "DockerRepository",
        "metadata": metadata,
        "spec": spec,
        "status": {"observedGeneration": 1, "digestCount": digests},
    }


def policy(name: str = "project", repository: str | None = None, state: str = "Active", **levels: str) -> Object:
    rules = [
        {"kind": "User", "name": user, "level": level, "actions": [], "source": "Sharing"}
        for user, level in levels.items()
    ]
    spec: Object = {"project": "genomics", "state": state, "rules": rules}
    if repository:
        spec["repository"] = repository
    return {"kind": "AccessPolicy", "metadata": {"name": name, "namespace": "berth-genomics"}, "spec": spec}


class Cluster:
    """Takes objects as the watch gives them."""

    def __init__(self) -> None:
        self.state = PolicyBuilder(layer_size_limit=DEFAULT_LIMIT)

    def put(self, manifest: Object, *, gone: bool = False) -> None:
        name, namespace = manifest["metadata"]["name"], manifest["metadata"].get("namespace", "")
        people = self.state.people
        named: dict[str, tuple[Callable[..., Any], Callable[..., None]]] = {
            "Project": (facts.project_facts, self.state.update_project),
            "RegistryUser": (facts.user_facts, people.update_user),
            "Certification": (facts.certification_facts, people.update_certification),
            "Secret": (facts.secret_facts, people.update_secret),
            "RegistryTeam": (facts.team_facts, people.update_team),
            "AccessToken": (facts.token_facts, people.update_token),
        }
        namespaced: dict[str, tuple[Callable[..., Any], Callable[..., None]]] = {
            "DockerRepository": (facts.repository_facts, self.state.update_repository),
            "AccessPolicy": (facts.policy_facts, self.state.update_policy),
        }
        kind = manifest["kind"]
        if kind in named:
            read, take = named[kind]
            take(name, None if gone else read(manifest))
        else:
            read, take = namespaced[kind]
            take(namespace, name, None if gone else read(manifest))

    @property
    def genomics(self) -> Any:
        return self.state.snapshot().projects["genomics"]

    def user(self, name: str = "ann") -> Any:
        return self.state.snapshot().users[name]

    def certified(self, name: str = "ann") -> Any:
        """The end of the certification; "no" without one."""
        return self.state.snapshot().certifications.get(Subject(SubjectKind.USER, name), "no")
