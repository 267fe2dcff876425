"""A cache of the cluster's DockerRepository objects, indexed by repository."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from berth.api.names import claim_rank
from berth.catalog.model import RepositoryKey
from berth.catalog.publish.manifests import key_of_object
from berth.kube.client import KubeClient
from berth.kube.reflector import Reflector
from berth.kube.resources import DOCKER_REPOSITORIES, Manifest, ObjectKey, key_of
from berth.kube.trim import with_tags_checksum


class RepositoryCache:
    """All DockerRepository objects, with a checksum instead of their tags.

    `enqueue` is called with the repository of each object that is added, changed or deleted.
    """

    def __init__(self, client: KubeClient, enqueue: Callable[[RepositoryKey], None]) -> None:
        self.reflector = Reflector(client, DOCKER_REPOSITORIES, on_change=self._on_change, transform=with_tags_checksum)
        self._enqueue = enqueue
        self._by_repository: dict[RepositoryKey, set[ObjectKey]] = {}

    def find(self, key: RepositoryKey) -> Manifest | None:
        """The object of a repository, whatever its name; the one that claims the path when there are several."""
        objects = self.reflector.objects
        found = [objects[name] for name in self._by_repository.get(key, ()) if name in objects]
        return min(found, key=partial(_rank, key), default=None)

    def get(self, namespace: str, name: str) -> Manifest | None:
        """The object with this name."""
        return self.reflector.objects.get((namespace, name))

    def observe(self, written: Manifest) -> None:
        """Add the result of an own write without waiting for its watch event."""
        self.reflector.observe(written)
        self._index(written)

    def _on_change(self, old: Manifest | None, new: Manifest | None) -> None:
        present = new or old
        assert present is not None, "a change has an object before or after"
        key = key_of_object(present)
        if key is None:
            return
        if new is not None:
            self._index(new)
        else:
            names = self._by_repository.get(key, set())
            names.discard(key_of(present))
            if not names:
                self._by_repository.pop(key, None)
        self._enqueue(key)

    def _index(self, manifest: Manifest) -> None:
        key = key_of_object(manifest)
        if key is not None:
            self._by_repository.setdefault(key, set()).add(key_of(manifest))


def _rank(key: RepositoryKey, manifest: Manifest) -> tuple[str, bool, str]:
    metadata = manifest["metadata"]
    return claim_rank(key.path, str(metadata["name"]), str(metadata.get("creationTimestamp") or ""))
