"""From changes in the cluster to keys in the work queue."""

from __future__ import annotations

from collections.abc import Callable

from berth.kube.resources import Manifest, Resource
from berth.reconcile.watch.indexes import Indexes
from berth.reconcile.watch.keys import key_of_manifest, object_key
from berth.reconcile.watch.mappings import Mappings
from berth.reconcile.workqueue import Key


class Enqueuer:
    """Keeps the indexes and enqueues the keys that a change concerns.

    `consent` is the name of the RoleBindings with which namespaces agree to pull secrets.
    """

    def __init__(self, berth_namespace: str, consent: str, add: Callable[[Key], None]) -> None:
        self._add = add
        self._indexes = Indexes()
        self._mappings = Mappings(self._indexes, berth_namespace, consent)

    def certifications_of(self, user: str) -> frozenset[str]:
        """Names of the Certifications that name a user."""
        return frozenset(key.name for key in self._indexes.certifications_by_user.get(user))

    def tokens_of(self, sha256: str) -> frozenset[str]:
        """Names of the AccessTokens with one secret."""
        return frozenset(key.name for key in self._indexes.tokens_by_hash.get(sha256))

    def claimants(self, namespace: str, path: str) -> frozenset[str]:
        """Names of the DockerRepositories of a namespace that claim a path."""
        return frozenset(object_key(key)[1] for key in self._indexes.repositories_by_path.get(f"{namespace}/{path}"))

    def all_projects(self) -> None:
        """Enqueue every project, because Berth's keys, certificates or services changed."""
        for key in self._indexes.projects.get(""):
            self._add(key)

    def changed(self, resource: Resource, old: Manifest | None, new: Manifest | None) -> None:
        """Take a change by anybody else."""
        self._indexes.update(resource, old, new)
        for key in self._mappings.keys_for(resource, old, new):
            self._add(key)

    def own_write(self, resource: Resource, old: Manifest | None, new: Manifest | None) -> None:
        """Take a change that Berth made itself: only a new object is enqueued, for its first status."""
        self._indexes.update(resource, old, new)
        if old is None and new is not None:
            self._add(key_of_manifest(new))
