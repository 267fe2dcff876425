"""Indexes over Berth's own kinds, so that no change costs a look at every object (client-go: Indexer)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from berth.desired.sharing.access_policy import repository_label
from berth.kube.resources import (
    ACCESS_TOKENS,
    CERTIFICATIONS,
    DOCKER_REPOSITORIES,
    PROJECTS,
    REGISTRY_TEAMS,
    REGISTRY_USERS,
    Manifest,
    Resource,
    key_of,
)
from berth.reconcile.watch.keys import key_of_manifest
from berth.reconcile.workqueue import Key

IndexFunction: TypeAlias = Callable[[Manifest], Iterable[str]]
"""The values under which an object is found."""

_SUBJECT_KINDS: Final = {
    "User": REGISTRY_USERS.kind,
    "Robot": REGISTRY_USERS.kind,
    "Team": REGISTRY_TEAMS.kind,
}


class Index:
    """Keys of objects by the values of an index function."""

    def __init__(self, values: IndexFunction) -> None:
        self._values = values
        self._keys: dict[str, set[Key]] = {}

    def get(self, value: str) -> frozenset[Key]:
        """The keys of the objects with a value."""
        return frozenset(self._keys.get(value, ()))

    def update(self, old: Manifest | None, new: Manifest | None) -> None:
        """Take a change of one object: it appeared (no `old`), changed, or is gone (no `new`)."""
        before = set(self._values(old)) if old else set()
        after = set(self._values(new)) if new else set()
        key = key_of_manifest(new or old or {})
        for value in before - after:
            keys = self._keys.get(value, set())
            keys.discard(key)
            if not keys:
                self._keys.pop(value, None)
        for value in after:
            self._keys.setdefault(value, set()).add(key)


class Indexes:
    """Every index of the operator."""

    def __init__(self) -> None:
        self.projects = Index(lambda _: ("",))  # all under the empty value
        self.projects_by_pull_namespace = Index(_pull_namespaces)
        self.repositories_by_namespace = Index(lambda repository: (key_of(repository)[0],))
        self.repositories_by_label = Index(_labels)
        self.repositories_by_path = Index(claimed_paths)
        self.users_by_password_secret = Index(_password_secrets)
        self.tokens_by_hash = Index(token_hashes)
        self.certifications_by_user = Index(certified_users)
        self.by_subject = Index(_subjects)  # what names a user or team, by its kind and name
        self._of_resource: Mapping[Resource, tuple[Index, ...]] = {
            PROJECTS: (self.projects, self.projects_by_pull_namespace, self.by_subject),
            DOCKER_REPOSITORIES: (
                self.repositories_by_namespace,
                self.repositories_by_label,
                self.repositories_by_path,
                self.by_subject,
            ),
            REGISTRY_USERS: (self.users_by_password_secret,),
            REGISTRY_TEAMS: (self.by_subject,),
            ACCESS_TOKENS: (self.tokens_by_hash, self.by_subject),
            CERTIFICATIONS: (self.certifications_by_user,),
        }

    def update(self, resource: Resource, old: Manifest | None, new: Manifest | None) -> None:
        """Take a change of one object."""
        for index in self._of_resource.get(resource, ()):
            index.update(old, new)

    def referrers(self, subject: Manifest) -> Iterator[Key]:
        """The keys of what names a RegistryUser or RegistryTeam, directly or through a team."""
        for key in self.by_subject.get(f"{subject['kind']} {subject['metadata']['name']}"):
            yield key
            if key.kind == REGISTRY_TEAMS.kind:
                yield from self.by_subject.get(f"{key.kind} {key.name}")


def claimed_paths(repository: Manifest) -> Iterable[str]:
    """The path that a DockerRepository claims, after its namespace."""
    namespace, name = key_of(repository)
    return (f"{namespace}/{repository.get('spec', {}).get('repository') or name}",)


def token_hashes(token: Manifest) -> Iterable[str]:
    """The SHA-256 of an AccessToken's secret."""
    found = token.get("spec", {}).get("sha256")
    return (found,) if found else ()


def certified_users(certification: Manifest) -> Iterable[str]:
    """The user that a Certification names; none when it names a ServiceAccount."""
    subject = certification.get("spec", {}).get("subject") or {}
    return (subject["name"],) if subject.get("kind") in ("User", "Robot") else ()


def _pull_namespaces(project: Manifest) -> Iterable[str]:
    return (entry["namespace"] for entry in (project.get("spec") or {}).get("pullSecrets") or ())


def _labels(repository: Manifest) -> Iterable[str]:
    namespace, name = key_of(repository)
    return (f"{namespace}/{repository_label(name)}",)


def _password_secrets(user: Manifest) -> Iterable[str]:
    reference = user.get("spec", {}).get("passwordSecretRef")
    return (reference["name"],) if reference else ()


def _subjects(manifest: Manifest) -> Iterator[str]:
    """Each user and team that an object names, as `RegistryUser curator`."""
    spec = manifest.get("spec") or {}
    owner = (spec["owner"],) if spec.get("owner") else ()
    for subjects in (spec.get("sharing"), spec.get("localSharing"), spec.get("members"), owner):
        for subject in subjects or ():
            kind = _SUBJECT_KINDS.get(subject.get("kind", ""))
            if kind is not None and subject.get("name"):
                yield f"{kind} {subject['name']}"
