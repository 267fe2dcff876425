"""Applies a set of desired objects and prunes what is no longer desired.

An object is written when its hash annotation differs from the manifest's hash, or when it drifted from the manifest.
Otherwise nothing is sent, because an apply without changes costs the API server as much as one with changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

import structlog

from berth.api import names
from berth.api.project import InventoryEntry
from berth.kube.client import KubeClient
from berth.kube.drift import Drift, desired_hash, find_drift, removal_patch
from berth.kube.errors import ConflictError, ForbiddenError, InvalidError, KubeError, NotFoundError
from berth.kube.resources import (
    ACCESS_POLICIES,
    DEPLOYMENTS,
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SERVICES,
    Manifest,
    ObjectKey,
    Resource,
    key_of,
    resource_of,
)

PRUNABLE: Final = (DEPLOYMENTS, SERVICES, NETWORK_POLICIES, ROLE_BINDINGS, ROLES, ACCESS_POLICIES)
"""Kinds that are pruned when no longer desired. Namespaces, claims and Secrets hold data and are never pruned."""

# Immutable fields: an object that differs in one is replaced.
_IMMUTABLE: Final = {"RoleBinding": "roleRef", "Deployment": "spec.selector"}

_log = structlog.get_logger(__name__)


class Change(StrEnum):
    """The change of one object."""

    CREATED = "created"
    UPDATED = "updated"  # the manifest changed
    REPAIRED = "repaired"  # another client changed the object
    REPLACED = "replaced"  # an immutable field differed
    UNCHANGED = "unchanged"
    PRUNED = "pruned"


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """Resource, namespace and name of an object."""

    resource: Resource = field(compare=False)
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest) -> Reference:
        """The reference of a manifest."""
        resource = resource_of(manifest)
        namespace, name = key_of(manifest)
        return cls(resource, resource.kind, namespace, name)

    def describe(self) -> str:
        """Kind and name, for messages."""
        return self.resource.describe(self.name, self.namespace or None)

    @classmethod
    def from_entry(cls, entry: InventoryEntry) -> Reference | None:
        """The reference of an entry of `status.inventory`; None for an unknown kind."""
        api_version = f"{entry.group}/{entry.version}" if entry.group else entry.version
        try:
            resource = resource_of({"apiVersion": api_version, "kind": entry.kind})
        except ValueError:
            return None
        return cls(resource, entry.kind, entry.namespace or "", entry.name)

    def entry(self) -> InventoryEntry:
        """The object as an entry of `status.inventory`."""
        return InventoryEntry(
            group=self.resource.group,
            version=self.resource.version,
            kind=self.kind,
            namespace=self.namespace or None,
            name=self.name,
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that the API server refused, and the error."""

    reference: Reference
    error: KubeError


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """The changes and refusals of one reconcile."""

    changes: tuple[tuple[Reference, Change], ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def writes(self) -> int:
        """Number of objects that were changed."""
        return sum(1 for _, change in self.changes if change is not Change.UNCHANGED)


class LiveObjects(Protocol):
    """The cached live objects, which own writes update."""

    def live(self, resource: Resource, key: ObjectKey) -> Manifest | None:
        """The object, or None when it does not exist."""
        ...

    def observe(self, written: Manifest) -> None:
        """Put the response to a write into the cache."""
        ...

    def forget(self, resource: Resource, key: ObjectKey, uid: str) -> None:
        """Remove a deleted object from the cache."""
        ...


class Applier:
    """Applies manifests as one field manager."""

    def __init__(
        self, client: KubeClient, objects: LiveObjects, *, field_manager: str = names.FIELD_MANAGER_OPERATOR
    ) -> None:
        self._client = client
        self._objects = objects
        self._manager = field_manager

    async def apply_all(self, desired: Sequence[Manifest]) -> ChangeSet:
        """Apply manifests in order. A refused object does not stop the others.

        The first ForbiddenError does: the rights are missing or the namespace is being deleted, so the rest would be
        refused too. Raises UnavailableError when the API server does not respond.
        """
        changes: list[tuple[Reference, Change]] = []
        refusals: list[Refusal] = []
        for manifest in desired:
            reference = Reference.of(manifest)
            try:
                changes.append((reference, await self.apply(manifest)))
            except (InvalidError, ConflictError, NotFoundError) as error:
                refusals.append(Refusal(reference, error))
            except ForbiddenError as error:
                refusals.append(Refusal(reference, error))
                break
        return ChangeSet(tuple(changes), tuple(refusals))

    async def apply(self, desired: Manifest) -> Change:
        """Apply one object, unless the live object is as desired."""
        resource, key = resource_of(desired), key_of(desired)
        digest = desired_hash(desired)
        live = self._objects.live(resource, key)
        if live is None:
            await self._write(resource, desired, digest)
            return Change.CREATED
        known = (live["metadata"].get("annotations") or {}).get(names.ANNOTATION_DESIRED_HASH)
        drift = find_drift(desired, live)
        if known == digest and not drift:
            return Change.UNCHANGED
        if self._immutable_differs(desired, drift):
            return await self._replace(resource, desired, digest, live)
        if known != digest or drift.changed:
            live = await self._overwrite(resource, desired, digest, live)
            drift = find_drift(desired, live)
        if drift.extra:
            live = await self._remove_extra(resource, desired, live)
            drift = find_drift(desired, live)
        if drift:
            _log.warning(
                "object differs from the manifest after the write: another controller or a webhook changes it",
                object=resource.describe(key[1], key[0] or None),
                fields=[*drift.changed, *drift.extra],
            )
        return Change.REPAIRED if known == digest else Change.UPDATED

    async def prune(self, candidates: Iterable[Reference], desired: Iterable[Manifest]) -> ChangeSet:
        """Delete the candidates that are not desired. The uid is a precondition, which protects a successor."""
        wanted = {Reference.of(manifest) for manifest in desired}
        changes: list[tuple[Reference, Change]] = []
        refusals: list[Refusal] = []
        for reference in sorted(set(candidates) - wanted):
            if reference.resource not in PRUNABLE:
                continue
            try:
                if await self._prune(reference):
                    changes.append((reference, Change.PRUNED))
            except (ConflictError, ForbiddenError, InvalidError) as error:
                refusals.append(Refusal(reference, error))
        return ChangeSet(tuple(changes), tuple(refusals))

    async def _prune(self, reference: Reference) -> bool:
        key = (reference.namespace, reference.name)
        live = self._objects.live(reference.resource, key)
        if live is None:  # without its labels it is not in the caches
            live = await self._client.get(reference.resource, reference.name, reference.namespace or None)
        if live is None or "deletionTimestamp" in live["metadata"] or not _made_by_berth(live):
            return False
        await self._delete(reference.resource, key, live)
        return True

    async def _write(self, resource: Resource, desired: Manifest, digest: str) -> Manifest:
        metadata = desired["metadata"]
        annotations = {**(metadata.get("annotations") or {}), names.ANNOTATION_DESIRED_HASH: digest}
        body = {**desired, "metadata": {**metadata, "annotations": annotations}}
        written = await self._client.apply(resource, body, field_manager=self._manager)
        self._objects.observe(written)
        return written

    async def _overwrite(self, resource: Resource, desired: Manifest, digest: str, live: Manifest) -> Manifest:
        """Apply over a live object, after a merge patch if the API server refuses it.

        Server-side apply keeps list items of other field managers. They can conflict with Berth's (two ports of one
        name), so that the API server refuses the result. A merge patch replaces whole lists.
        """
        try:
            return await self._write(resource, desired, digest)
        except InvalidError:
            if resource not in PRUNABLE:
                raise
        metadata = {**desired["metadata"], **{key: live["metadata"][key] for key in ("uid", "resourceVersion")}}
        patch = {**desired, "metadata": metadata}
        await self._client.merge(resource, key_of(desired), patch, field_manager=self._manager)
        return await self._write(resource, desired, digest)

    async def _remove_extra(self, resource: Resource, desired: Manifest, live: Manifest) -> Manifest:
        patch = removal_patch(desired, live)
        patch["metadata"] = {key: live["metadata"][key] for key in ("uid", "resourceVersion")}
        written = await self._client.merge(resource, key_of(desired), patch, field_manager=self._manager)
        self._objects.observe(written)
        return written

    async def _replace(self, resource: Resource, desired: Manifest, digest: str, live: Manifest) -> Change:
        await self._delete(resource, key_of(desired), live)
        await self._write(resource, desired, digest)
        return Change.REPLACED

    async def _delete(self, resource: Resource, key: ObjectKey, live: Manifest) -> None:
        uid = live["metadata"]["uid"]
        await self._client.delete(resource, key[1], key[0] or None, uid=uid)
        self._objects.forget(resource, key, uid)

    @staticmethod
    def _immutable_differs(desired: Manifest, drift: Drift) -> bool:
        field_path = _IMMUTABLE.get(desired["kind"])
        return field_path is not None and any(path.startswith(field_path) for path in (*drift.changed, *drift.extra))


def _made_by_berth(live: Manifest) -> bool:
    return names.ANNOTATION_DESIRED_HASH in (live["metadata"].get("annotations") or {})
