"""From a change of an object to the keys that it concerns (controller-runtime: map functions).

An object concerns itself, its owner (by labels), and what depends on it (by index).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from berth.api import names
from berth.desired.installation.manifests import GATEWAY_TLS, SEED, TLS_CA, TOKEN_CA, TOKEN_SIGNING
from berth.kube.resources import (
    ACCESS_TOKENS,
    CERTIFICATIONS,
    CONFIG_MAPS,
    DOCKER_REPOSITORIES,
    NAMESPACES,
    PERSISTENT_VOLUMES,
    PROJECTS,
    REGISTRY_TEAMS,
    REGISTRY_USERS,
    ROLE_BINDINGS,
    SECRETS,
    STORAGE_CLASSES,
    Manifest,
    Resource,
    key_of,
)
from berth.reconcile.watch.indexes import Indexes, IndexFunction, certified_users, claimed_paths, token_hashes
from berth.reconcile.watch.keys import INSTALLATION, key_of_manifest, project_key
from berth.reconcile.workqueue import Key

INSTALLATION_SECRETS: Final = frozenset({TOKEN_CA, TOKEN_SIGNING, TLS_CA, GATEWAY_TLS, SEED})

MapFunction: TypeAlias = Callable[[Manifest | None, Manifest | None], Iterable[Key]]
"""Called with (old, new) after the indexes took the change; one of the two may be None."""


class Mappings:
    """One map function for each kind; children of projects and repositories share one.

    `consent` is the name of the RoleBindings with which namespaces agree to pull secrets.
    """

    def __init__(self, indexes: Indexes, berth_namespace: str, consent: str) -> None:
        self._indexes = indexes
        self._berth_namespace = berth_namespace
        self._consent = consent
        self._by_resource: Mapping[Resource, MapFunction] = {
            PROJECTS: self._project,
            DOCKER_REPOSITORIES: self._repository,
            REGISTRY_USERS: self._user,
            REGISTRY_TEAMS: self._team,
            ACCESS_TOKENS: self._token,
            CERTIFICATIONS: self._certification,
            STORAGE_CLASSES: lambda _old, _new: indexes.projects.get(""),
            PERSISTENT_VOLUMES: _volume,
            NAMESPACES: self._namespace,
            CONFIG_MAPS: lambda _old, _new: (INSTALLATION,),
            ROLE_BINDINGS: self._role_binding,
            SECRETS: self._secret,
        }

    def keys_for(self, resource: Resource, old: Manifest | None, new: Manifest | None) -> frozenset[Key]:
        """The keys that a change concerns."""
        return frozenset(self._by_resource.get(resource, self._child)(old, new))

    def _project(self, old: Manifest | None, new: Manifest | None) -> Iterator[Key]:
        key = _key(old, new)
        yield key
        if _state(old) != _state(new):
            yield from self._indexes.repositories_by_namespace.get(names.project_namespace(key.name))

    def _repository(self, old: Manifest | None, new: Manifest | None) -> Iterator[Key]:
        yield _key(old, new)
        if (old is None) == (new is None) and _deleted(old) == _deleted(new):
            return
        for path in _values(claimed_paths, old, new):  # another repository may claim the same path
            yield from self._indexes.repositories_by_path.get(path)
        project = _project_of_namespace(_either(old, new)["metadata"]["namespace"])
        if project:
            yield project_key(project)  # its status has the number of its repositories

    def _user(self, old: Manifest | None, new: Manifest | None) -> Iterator[Key]:
        key = _key(old, new)
        yield key
        if _spec(old) != _spec(new):
            yield from self._indexes.referrers(_either(old, new))
            yield from self._indexes.certifications_by_user.get(key.name)
        if _made(old) != _made(new):
            yield from self._child(old, new)

    def _team(self, old: Manifest | None, new: Manifest | None) -> Iterator[Key]:
        yield _key(old, new)
        if _spec(old) != _spec(new):
            yield from self._indexes.referrers(_either(old, new))

    def _token(self, old: Manifest | None, new: Manifest | None) -> Iterator[Key]:
        yield _key(old, new)
        if _values(token_hashes, old) != _values(token_hashes, new) or _deleted(old) != _deleted(new):
            for sha256 in _values(token_hashes, old, new):
                yield from self._indexes.tokens_by_hash.get(sha256)
        if (_made(old), _used(old)) != (_made(new), _used(new)):
            yield from self._child(old, new)  # a token of a pull secret; its first use lets earlier ones go

    def _certification(self, old: Manifest | None, new: Manifest | None) -> Iterator[Key]:
        yield _key(old, new)
        yield from (Key(REGISTRY_USERS.kind, user) for user in _values(certified_users, old, new))

    def _namespace(self, old: Manifest | None, new: Manifest | None) -> Iterator[Key]:
        name = _either(old, new)["metadata"]["name"]
        project = _project_of_namespace(name)
        if project:
            yield project_key(project)
            yield from self._indexes.repositories_by_namespace.get(name)
        yield from self._indexes.projects_by_pull_namespace.get(name)

    def _role_binding(self, old: Manifest | None, new: Manifest | None) -> Iterable[Key]:
        namespace, name = key_of(_either(old, new))
        if name == self._consent:
            return self._indexes.projects_by_pull_namespace.get(namespace)
        return self._child(old, new)

    def _secret(self, old: Manifest | None, new: Manifest | None) -> Iterator[Key]:
        namespace, name = key_of(_either(old, new))
        if namespace != self._berth_namespace:
            yield from self._child(old, new)
            return
        if name in INSTALLATION_SECRETS:
            yield INSTALLATION
        if name in (TOKEN_CA, SEED):
            yield from self._indexes.projects.get("")
        yield from self._indexes.users_by_password_secret.get(name)

    def _child(self, old: Manifest | None, new: Manifest | None) -> Iterator[Key]:
        """The owner by the labels of before and after, so that a removed label is noticed."""
        for manifest in filter(None, (old, new)):
            labels = manifest["metadata"].get("labels") or {}
            project, repository = labels.get(names.LABEL_PROJECT), labels.get(names.LABEL_REPOSITORY)
            if repository:
                namespace = manifest["metadata"]["namespace"]
                yield from self._indexes.repositories_by_label.get(f"{namespace}/{repository}")
            elif project:
                yield project_key(project)


def _volume(old: Manifest | None, new: Manifest | None) -> Iterator[Key]:
    for manifest in filter(None, (old, new)):
        project = _project_of_namespace((manifest["spec"].get("claimRef") or {}).get("namespace", ""))
        if project:
            yield project_key(project)


def _either(old: Manifest | None, new: Manifest | None) -> Manifest:
    """One of both, for what no change of an object can change."""
    return old or new or {}


def _key(old: Manifest | None, new: Manifest | None) -> Key:
    return key_of_manifest(_either(old, new))


def _values(function: IndexFunction, *manifests: Manifest | None) -> set[str]:
    return {value for manifest in manifests if manifest for value in function(manifest)}


def _project_of_namespace(namespace: str) -> str:
    """The id of the project that a namespace belongs to by its name; empty for any other namespace."""
    prefix = names.project_namespace("")
    return namespace[len(prefix) :] if namespace.startswith(prefix) else ""


def _spec(manifest: Manifest | None) -> Any:
    return manifest.get("spec") if manifest else None


def _deleted(manifest: Manifest | None) -> bool:
    return manifest is None or "deletionTimestamp" in manifest["metadata"]


def _state(project: Manifest | None) -> tuple[bool, Any, Any]:
    """The part of a project on which the statuses of its repositories depend."""
    spec = _spec(project) or {}
    return _deleted(project), spec.get("trashed"), spec.get("suspend")


def _made(manifest: Manifest | None) -> Any:
    """The part of an object that the operator writes, if it created the object."""
    metadata = manifest["metadata"] if manifest else {}
    return metadata.get("labels"), metadata.get("annotations"), _spec(manifest)


def _used(token: Manifest | None) -> bool:
    return "lastUsed" in ((token or {}).get("status") or {})
