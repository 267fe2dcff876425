"""The state of the cluster in memory, maintained by watches; reconcilers read nothing else.

Which watch covers what:

- Berth's own kinds, Namespaces and StorageClasses: all of them.
- What Berth makes, and the registries' pods: everywhere, by the label `berth.dev/project`.
- Secrets: in Berth's own namespace (not Helm's release records), and one watch for each project's namespace, because
  the operator has no right to Secrets of the whole cluster (docs/adr/0002-watching-secrets.md).
- PersistentVolumes: all, because they carry no label of Berth's.
- RoleBindings with which namespaces agree to pull secrets: everywhere, by the name that the manual gives them.
- The pods of the access service, in Berth's own namespace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from berth.api import names
from berth.kube.client import KubeClient
from berth.kube.reflector import Reflector
from berth.kube.resources import (
    ACCESS_POLICIES,
    ACCESS_TOKENS,
    CERTIFICATIONS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    DOCKER_REPOSITORIES,
    NAMESPACES,
    NETWORK_POLICIES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    PROJECTS,
    REGISTRY_TEAMS,
    REGISTRY_USERS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICES,
    STORAGE_CLASSES,
    Manifest,
    ObjectKey,
    Resource,
    key_of,
    resource_of,
)
from berth.kube.trim import without_tags

Change: TypeAlias = Callable[[Resource, Manifest | None, Manifest | None], None]
"""Called with (resource, old, new) for a change of one object."""

WHOLE: Final = (
    PROJECTS,
    DOCKER_REPOSITORIES,
    REGISTRY_USERS,
    REGISTRY_TEAMS,
    ACCESS_TOKENS,
    CERTIFICATIONS,
    NAMESPACES,
    STORAGE_CLASSES,
    PERSISTENT_VOLUMES,
)
LABELLED: Final = (
    PERSISTENT_VOLUME_CLAIMS,
    DEPLOYMENTS,
    SERVICES,
    NETWORK_POLICIES,
    ROLES,
    ROLE_BINDINGS,
    ACCESS_POLICIES,
    PODS,
)
POLICY: Final = (
    PROJECTS,
    DOCKER_REPOSITORIES,
    ACCESS_POLICIES,
    REGISTRY_USERS,
    REGISTRY_TEAMS,
    ACCESS_TOKENS,
    CERTIFICATIONS,
    SECRETS,
)
"""The kinds that decisions of the access service depend on (Secrets: those of Berth's own namespace)."""
OF_PROJECTS: Final = (REGISTRY_USERS, ACCESS_TOKENS)
"""Cluster-scoped kinds that the operator also creates for projects (pull secrets), grouped by their label."""
NOT_HELM: Final = "type!=helm.sh/release.v1"


class Caches:
    """All reflectors behind one interface. `run` it as a task; reconcile nothing before it is `synced`.

    `consent` is the name of the RoleBindings with which namespaces agree to pull secrets, `access` the label selector
    of the access service's pods. `on_change` is called for changes by others, `on_write` for own writes to
    `OF_PROJECTS`, `on_access` for changes of those pods.
    """

    def __init__(  # noqa: PLR0917 (called once, in services/operator)
        self,
        client: KubeClient,
        namespace: str,
        public_ca: str,
        consent: str,
        access: str,
        on_change: Change,
        on_write: Change,
        on_access: Callable[[Manifest | None, Manifest | None], None],
    ) -> None:
        self._client = client
        self._on_write = on_write
        self._namespace = namespace
        self._on_change = on_change
        self._cluster = {resource: self._reflector(resource) for resource in WHOLE}
        self._cluster |= {resource: self._reflector(resource, labels=names.LABEL_PROJECT) for resource in LABELLED}
        own_maps = self._reflector(CONFIG_MAPS, namespace=namespace, fields=f"metadata.name={public_ca}")
        self._cluster[CONFIG_MAPS] = own_maps
        self._consents = self._reflector(ROLE_BINDINGS, fields=f"metadata.name={consent}")
        self._access = Reflector(client, PODS, namespace, access, on_change=on_access)
        self._secrets = {namespace: self._reflector(SECRETS, namespace=namespace, fields=NOT_HELM)}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def _reflector(
        self, resource: Resource, *, namespace: str | None = None, labels: str | None = None, fields: str | None = None
    ) -> Reflector:
        def changed(old: Manifest | None, new: Manifest | None) -> None:
            self._on_change(resource, old, new)

        group = _project_of if resource in OF_PROJECTS else None
        keep = without_tags if resource == DOCKER_REPOSITORIES else None
        return Reflector(self._client, resource, namespace, labels, fields, changed, index=group, transform=keep)

    def _project_secrets(self, namespace: str) -> Reflector:
        """A reflector that reports changes only after its first list, because its user waits for that list."""

        def changed(old: Manifest | None, new: Manifest | None) -> None:
            if reflector.synced.is_set():
                self._on_change(SECRETS, old, new)

        reflector = Reflector(self._client, SECRETS, namespace, names.LABEL_PROJECT, on_change=changed)
        return reflector

    async def run(self) -> None:
        """Watch forever. Ends by cancellation, or with the error of a broken watch."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for reflector in self._needed():
                group.create_task(reflector.run(), name=f"watch {reflector.selection.resource.plural}")

    async def wait_synced(self) -> None:
        """Return when every watch but those of the projects' Secrets has listed once."""
        for reflector in self._needed():
            await reflector.synced.wait()

    @property
    def synced(self) -> bool:
        """Whether reconciling may begin."""
        return all(reflector.synced.is_set() for reflector in self._needed())

    def failing(self) -> Mapping[str, str]:
        """Watches that fail now, and their errors."""
        return {
            f"{r.selection.resource.plural} {r.selection.namespace or ''}".strip(): r.last_error
            for r in self._all_reflectors()
            if r.last_error
        }

    def follow_secrets(self, namespace: str) -> asyncio.Event:
        """Watch the Secrets of a project's namespace from now on; the event is set after the first list."""
        reflector = self._secrets.get(namespace)
        if reflector is None:
            if self._group is None:
                raise RuntimeError("the caches are not running")
            reflector = self._project_secrets(namespace)
            self._secrets[namespace] = reflector
            self._tasks[namespace] = self._group.create_task(reflector.run(), name=f"watch secrets in {namespace}")
        return reflector.synced

    def unfollow_secrets(self, namespace: str) -> None:
        """Stop watching the Secrets of a namespace that is gone."""
        task = self._tasks.pop(namespace, None)
        if task is not None:
            task.cancel()
            del self._secrets[namespace]

    def objects(self, resource: Resource) -> Mapping[ObjectKey, Manifest]:
        """All cached objects of a resource (Secrets: of Berth's own namespace)."""
        return (self._secrets[self._namespace] if resource == SECRETS else self._cluster[resource]).objects

    def access_pods(self) -> Iterable[Manifest]:
        """The pods of the access service."""
        return self._access.objects.values()

    def policy_versions(self) -> Mapping[str, int] | None:
        """By plural of `POLICY`: the resource version that another watch must have reached to have all changes.

        None while the version of an own deletion is not known; see `deletions_confirmed`.
        """
        versions: dict[str, int] = {}
        for resource in POLICY:
            newest = self._policy(resource).latest_version
            if newest is None:
                return None
            versions[resource.plural] = newest
        return versions

    async def deletions_confirmed(self) -> None:
        """Wait for the events of all own deletions in `POLICY`; usually a moment."""
        for resource in POLICY:
            await self._policy(resource).deletions_confirmed()

    def _policy(self, resource: Resource) -> Reflector:
        return self._secrets[self._namespace] if resource == SECRETS else self._cluster[resource]

    def in_namespace(self, resource: Resource, namespace: str) -> Mapping[ObjectKey, Manifest]:
        """The cached objects of a resource in one namespace."""
        reflector = self._of(resource, namespace)
        return reflector.by_index(namespace) if reflector else {}

    def of_project(self, resource: Resource, project_id: str) -> Mapping[ObjectKey, Manifest]:
        """The cached objects of one of `OF_PROJECTS` with the label of a project."""
        return self._cluster[resource].by_index(project_id)

    def consent(self, namespace: str) -> Manifest | None:
        """The RoleBinding with which a namespace agrees to its pull secret, if it has the documented name."""
        return next(iter(self._consents.by_index(namespace).values()), None)

    def live(self, resource: Resource, key: ObjectKey) -> Manifest | None:
        """The cached object, or None."""
        reflector = self._of(resource, key[0])
        return reflector.objects.get(key) if reflector else None

    def observe(self, written: Manifest) -> None:
        """Take the response to an own write."""
        resource, key = resource_of(written), key_of(written)
        reflector = self._of(resource, key[0])
        if reflector is not None:
            before = reflector.objects.get(key)
            reflector.observe(written)
            if resource in OF_PROJECTS:
                self._on_write(resource, before, reflector.objects[key])

    def forget(self, resource: Resource, key: ObjectKey, uid: str) -> None:
        """Take an own deletion."""
        reflector = self._of(resource, key[0])
        if reflector is not None:
            before = reflector.objects.get(key)
            reflector.forget(key, uid)
            if resource in OF_PROJECTS and before is not None and key not in reflector.objects:
                self._on_write(resource, before, None)

    def _of(self, resource: Resource, namespace: str) -> Reflector | None:
        return self._secrets.get(namespace) if resource == SECRETS else self._cluster.get(resource)

    def _needed(self) -> tuple[Reflector, ...]:
        """The reflectors that must list before the first reconcile."""
        return (*self._cluster.values(), self._consents, self._access, self._secrets[self._namespace])

    def _all_reflectors(self) -> Iterator[Reflector]:
        yield from (*self._cluster.values(), self._consents, self._access)
        yield from self._secrets.values()


def _project_of(item: Manifest) -> str:
    return str((item["metadata"].get("labels") or {}).get(names.LABEL_PROJECT, ""))
