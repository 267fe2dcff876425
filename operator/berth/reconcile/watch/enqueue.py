"""Which keys a change concerns: the object itself, its owner (by labels), and what depends on it (by index)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from berth.api import names
from berth.desired.installation.manifests import GATEWAY_TLS, SEED, TLS_CA, TOKEN_CA, TOKEN_SIGNING
from berth.desired.sharing.access_policy import repository_label
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
from berth.reconcile.watch.indexes import Index, Naming
from berth.reconcile.workqueue import Key

INSTALLATION: Final = Key("Installation", "")
INSTALLATION_SECRETS: Final = frozenset({TOKEN_CA, TOKEN_SIGNING, TLS_CA, GATEWAY_TLS, SEED})


def project_key(name: str) -> Key:
    """The key of a Project."""
    return Key(PROJECTS.kind, name)


def object_key(manifest: Manifest) -> Key:
    """The key of an object of one of Berth's own kinds."""
    namespace, name = key_of(manifest)
    return Key(manifest["kind"], f"{namespace}/{name}" if namespace else name)


class Enqueuer:
    """Turns changes into keys. Keeps small indices, so that no change costs a look at every object.

    `consent` is the name of the RoleBindings by which namespaces agree to pull secrets.
    """

    def __init__(self, berth_namespace: str, consent: str, add: Callable[[Key], None]) -> None:
        self._berth_namespace = berth_namespace
        self._consent = consent
        self._add = add
        self._naming = Naming()
        self._certifications_of_user = Index()
        self._tokens_of_hash = Index()
        self._users_of_secret = Index()
        self._repositories_in = Index()
        self._repositories_labelled = Index()
        self._claims = Index()
        self._projects = Index()
        self._projects_pulling_in = Index()

    def certifications_of(self, user: str) -> frozenset[str]:
        """Names of the Certifications that name a user."""
        return self._certifications_of_user.get(user)

    def tokens_of(self, sha256: str) -> frozenset[str]:
        """Names of the AccessTokens with one secret."""
        return self._tokens_of_hash.get(sha256)

    def claimants(self, namespace: str, path: str) -> frozenset[str]:
        """Names of the DockerRepositories of a namespace that claim a path."""
        return self._claims.get(f"{namespace}/{path}")

    def installation_changed(self) -> None:
        """Berth's keys, certificates or services are others than before: every project looks whether it concerns it."""
        for name in self._projects.get(""):
            self._add(project_key(name))

    def changed(self, resource: Resource, old: Manifest | None, new: Manifest | None) -> None:
        """Take one change, keep the indices, wake whom it concerns."""
        for key in set(self._concerned(resource, old, new)):
            self._add(key)

    def learned(self, resource: Resource, old: Manifest | None, new: Manifest | None) -> None:
        """Take a change that Berth made itself: the indices follow, and only what is new gets its first look."""
        for _ in self._concerned(resource, old, new):
            pass
        if old is None and new is not None:
            self._add(object_key(new))

    def _concerned(self, resource: Resource, old: Manifest | None, new: Manifest | None) -> Iterator[Key]:
        both = [manifest for manifest in (old, new) if manifest is not None]
        if resource == PROJECTS:
            yield from self._project(old, new, both)
        elif resource == DOCKER_REPOSITORIES:
            yield from self._repository(old, new, both)
        elif resource == REGISTRY_USERS:
            yield from self._user(old, new, both)
        elif resource == REGISTRY_TEAMS:
            yield from self._team(old, new, both)
        elif resource == ACCESS_TOKENS:
            yield from self._token(old, new, both)
        elif resource == CERTIFICATIONS:
            yield from self._certification(old, new, both)
        elif resource == STORAGE_CLASSES:
            yield from (project_key(name) for name in self._projects.get(""))
        elif resource == PERSISTENT_VOLUMES:
            spaces = {(m["spec"].get("claimRef") or {}).get("namespace", "") for m in both}
            yield from (project_key(found) for found in map(_project_of_namespace, spaces) if found)
        elif resource == NAMESPACES:
            yield from self._namespace(both)
        elif resource == CONFIG_MAPS:
            yield INSTALLATION
        elif resource == ROLE_BINDINGS and both[0]["metadata"]["name"] == self._consent:
            pulling = self._projects_pulling_in.get(both[0]["metadata"]["namespace"])
            yield from (project_key(found) for found in pulling)
        elif resource == SECRETS and both[0]["metadata"]["namespace"] == self._berth_namespace:
            yield from self._own_secret(both[0]["metadata"]["name"])
        else:
            yield from self._child(both)

    def _project(self, old: Manifest | None, new: Manifest | None, both: Iterable[Manifest]) -> Iterator[Key]:
        name = next(iter(both))["metadata"]["name"]
        self._naming.changed(project_key(name), old, new)
        self._projects.move(name, {""} if old else set(), {""} if new else set())
        self._projects_pulling_in.move(name, _pulling_in(old), _pulling_in(new))
        yield project_key(name)
        if _state(old) != _state(new):
            yield from self._repositories_of(names.project_namespace(name))

    def _repository(self, old: Manifest | None, new: Manifest | None, both: list[Manifest]) -> Iterator[Key]:
        namespace, name = key_of(both[0])
        before, after = ({namespace} if old else set()), ({namespace} if new else set())
        self._repositories_in.move(name, before, after)
        label = f"{namespace}/{repository_label(name)}"
        self._repositories_labelled.move(name, {label} if old else set(), {label} if new else set())
        yield object_key(both[0])
        self._naming.changed(object_key(both[0]), old, new)
        claimed, claims = _claim(old), _claim(new)
        self._claims.move(name, claimed, claims)
        if before != after or _deleted(old) != _deleted(new):
            for path in claimed | claims:  # another may claim the same
                yield from (Key(DOCKER_REPOSITORIES.kind, f"{namespace}/{rival}") for rival in self._claims.get(path))
            project = _project_of_namespace(namespace)
            if project:
                yield project_key(project)  # it counts its repositories

    def _user(self, old: Manifest | None, new: Manifest | None, both: list[Manifest]) -> Iterator[Key]:
        name = both[0]["metadata"]["name"]
        self._users_of_secret.move(name, _password_secret(old), _password_secret(new))
        yield object_key(both[0])
        if _spec(old) != _spec(new):
            yield from self._naming.concerned_by(both[0])
            yield from (Key(CERTIFICATIONS.kind, found) for found in self._certifications_of_user.get(name))
        if _made(old) != _made(new):
            yield from self._child(both)

    def _team(self, old: Manifest | None, new: Manifest | None, both: list[Manifest]) -> Iterator[Key]:
        self._naming.changed(object_key(both[0]), old, new)
        yield object_key(both[0])
        if _spec(old) != _spec(new):
            yield from self._naming.concerned_by(both[0])

    def _token(self, old: Manifest | None, new: Manifest | None, both: list[Manifest]) -> Iterator[Key]:
        before, after = _secret_hash(old), _secret_hash(new)
        self._naming.changed(object_key(both[0]), old, new)
        self._tokens_of_hash.move(both[0]["metadata"]["name"], before, after)
        yield object_key(both[0])
        if before != after or _deleted(old) != _deleted(new):
            for found in before | after:
                yield from (Key(ACCESS_TOKENS.kind, name) for name in self._tokens_of_hash.get(found))
        if (_made(old), _used(old)) != (_made(new), _used(new)):
            yield from self._child(both)  # the token of a pull secret; those before it go when it is used

    def _certification(self, old: Manifest | None, new: Manifest | None, both: list[Manifest]) -> Iterator[Key]:
        before, after = _certified(old), _certified(new)
        self._certifications_of_user.move(both[0]["metadata"]["name"], before, after)
        yield object_key(both[0])
        yield from (Key(REGISTRY_USERS.kind, user) for user in before | after)

    def _namespace(self, both: list[Manifest]) -> Iterator[Key]:
        name = both[0]["metadata"]["name"]
        project = _project_of_namespace(name)
        if project:
            yield project_key(project)
            yield from self._repositories_of(name)
        yield from (project_key(found) for found in self._projects_pulling_in.get(name))

    def _own_secret(self, name: str) -> Iterator[Key]:
        if name in INSTALLATION_SECRETS:
            yield INSTALLATION
        if name in (TOKEN_CA, SEED):
            yield from (project_key(project) for project in self._projects.get(""))
        yield from (Key(REGISTRY_USERS.kind, user) for user in self._users_of_secret.get(name))

    def _child(self, both: list[Manifest]) -> Iterator[Key]:
        for manifest in both:
            labels = manifest["metadata"].get("labels") or {}
            project = labels.get(names.LABEL_PROJECT)
            repository = labels.get(names.LABEL_REPOSITORY)
            if repository:
                namespace = manifest["metadata"]["namespace"]
                found = self._repositories_labelled.get(f"{namespace}/{repository}")
                yield from (Key(DOCKER_REPOSITORIES.kind, f"{namespace}/{name}") for name in found)
            elif project:
                yield project_key(project)

    def _repositories_of(self, namespace: str) -> Iterator[Key]:
        return (Key(DOCKER_REPOSITORIES.kind, f"{namespace}/{name}") for name in self._repositories_in.get(namespace))


def _project_of_namespace(namespace: str) -> str:
    """The id of the project that a namespace belongs to by its name; empty for a namespace of something else."""
    prefix = names.project_namespace("")
    return namespace[len(prefix) :] if namespace.startswith(prefix) else ""


def _spec(manifest: Manifest | None) -> Any:
    return manifest.get("spec") if manifest else None


def _deleted(manifest: Manifest | None) -> bool:
    return manifest is None or "deletionTimestamp" in manifest["metadata"]


def _state(project: Manifest | None) -> tuple[bool, Any, Any]:
    """What of a project its repositories' statuses tell."""
    spec = _spec(project) or {}
    return _deleted(project), spec.get("trashed"), spec.get("suspend")


def _made(manifest: Manifest | None) -> Any:
    """What of an object the operator makes, if it made it."""
    metadata = manifest["metadata"] if manifest else {}
    return metadata.get("labels"), metadata.get("annotations"), _spec(manifest)


def _used(token: Manifest | None) -> bool:
    return "lastUsed" in ((token or {}).get("status") or {})


def _pulling_in(project: Manifest | None) -> set[str]:
    return {entry["namespace"] for entry in (_spec(project) or {}).get("pullSecrets") or ()}


def _secret_hash(token: Manifest | None) -> set[str]:
    found = (token or {}).get("spec", {}).get("sha256")
    return {found} if found else set()


def _password_secret(user: Manifest | None) -> set[str]:
    reference = (user or {}).get("spec", {}).get("passwordSecretRef")
    return {reference["name"]} if reference else set()


def _claim(repository: Manifest | None) -> set[str]:
    if repository is None:
        return set()
    namespace, name = key_of(repository)
    return {f"{namespace}/{repository.get('spec', {}).get('repository') or name}"}


def _certified(certification: Manifest | None) -> set[str]:
    """The user that a certification names; none when it names a ServiceAccount."""
    subject = (certification or {}).get("spec", {}).get("subject") or {}
    return {subject["name"]} if subject.get("kind") in ("User", "Robot") else set()
