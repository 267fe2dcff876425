"""Keys of the work queue for objects of the API server, and back."""

from __future__ import annotations

from typing import Final

from berth.kube.resources import PROJECTS, Manifest, ObjectKey, Resource, key_of
from berth.reconcile.workqueue import Key

INSTALLATION: Final = Key("Installation", "")
"""Berth's own keys and certificates; there is no object of that kind."""


def key_for(resource: Resource, object_key: ObjectKey) -> Key:
    """The key of an object of one of Berth's own kinds."""
    namespace, name = object_key
    return Key(resource.kind, f"{namespace}/{name}" if namespace else name)


def key_of_manifest(manifest: Manifest) -> Key:
    """The key of a manifest of one of Berth's own kinds."""
    namespace, name = key_of(manifest)
    return Key(manifest["kind"], f"{namespace}/{name}" if namespace else name)


def project_key(name: str) -> Key:
    """The key of a Project."""
    return Key(PROJECTS.kind, name)


def object_key(key: Key) -> ObjectKey:
    """Namespace (empty for a cluster-scoped kind) and name of the object of a key."""
    namespace, _, name = key.name.rpartition("/")
    return namespace, name
