"""The operator's reconcilers over an API server in memory: no process, no network, no waiting."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

from berth.api import names
from berth.api.base import rfc3339
from berth.desired.installation.manifests import PUBLIC_CA
from berth.kube.apply import Applier
from berth.kube.client import EventType, KubeClient, Manifests, WatchEvent
from berth.kube.errors import ConflictError, InvalidError, KubeError, NotFoundError
from berth.kube.reflector import Reflector
from berth.kube.resources import (
    DEPLOYMENTS,
    EVENTS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    PROJECTS,
    REGISTRY_USERS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    STORAGE_CLASSES,
    Manifest,
    ObjectKey,
    Resource,
    key_of,
    resource_of,
)
from berth.reconcile.context import Context
from berth.reconcile.dispatch import Dispatcher
from berth.reconcile.pull_secrets.service import PullSecrets
from berth.reconcile.watch.caches import LABELLED, Caches
from berth.reconcile.watch.enqueue import Enqueuer
from berth.reconcile.watch.keys import INSTALLATION
from berth.reconcile.workqueue import Key
from berth.reconcile.write.status import StatusWriter
from berth.reconcile.write_probes import Pods, Probes
from berth.status.observed import ObservedProbe, ProbeOutcome
from tests.kit.operator.settings import BERTH, operator_settings

CONSENT = "berth-pull-secret-writer"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
_UNCACHED = (SERVICE_ACCOUNTS, EVENTS)


class Write(NamedTuple):
    """One write to the API server."""

    verb: str
    kind: str
    name: str
    subresource: str = ""


class MemoryApi:
    """What the reconcilers use of `KubeClient`, with the objects in a dictionary.

    An apply merges maps and replaces lists; it never drops a field. `refusals` maps (verb, kind) or (verb, kind, name)
    to the error of such a request.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[Resource, ObjectKey], Manifest] = {}
        self.writes: list[Write] = []
        self.reads: list[Write] = []
        self.refusals: dict[tuple[str, ...], KubeError] = {}
        self.now = NOW
        self._versions = itertools.count(1)

    def store(self, manifest: Manifest) -> Manifest:
        """Put an object there as it is, with the metadata of the API server."""
        place = (resource_of(manifest), key_of(manifest))
        present = self.objects.get(place)
        stored = copy.deepcopy(manifest)
        version = str(next(self._versions))
        metadata = stored["metadata"]
        metadata.setdefault("uid", present["metadata"]["uid"] if present else f"uid-{version}")
        metadata.setdefault("creationTimestamp", rfc3339(self.now))
        generation = present["metadata"]["generation"] if present else 0
        if present is None or present.get("spec") != stored.get("spec"):
            generation += 1
        metadata |= {"resourceVersion": version, "generation": generation}
        self.objects[place] = stored
        return copy.deepcopy(stored)

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Manifest | None:
        self._refuse("get", resource, name)
        self.reads.append(Write("get", resource.kind, name))
        return copy.deepcopy(self.objects.get((resource, (namespace or "", name))))

    async def list(self, resource: Resource, namespace: str | None = None, *, field_selector: str = "") -> Manifests:
        self._refuse("list", resource, "")
        self.reads.append(Write("list", resource.kind, field_selector))
        return [found for (kind, key), found in self.objects.items() if kind == resource and key[0] == namespace]

    async def apply(
        self, resource: Resource, body: Manifest, *, field_manager: str, subresource: str | None = None
    ) -> Manifest:
        assert field_manager == names.FIELD_MANAGER_OPERATOR
        name = body["metadata"]["name"]
        self._refuse("apply", resource, name)
        present = self.objects.get((resource, key_of(body)))
        if "uid" in body["metadata"] and (present is None or present["metadata"]["uid"] != body["metadata"]["uid"]):
            raise ConflictError("another uid", status=409)
        self.writes.append(Write("apply", resource.kind, name, subresource or ""))
        if subresource == "status":
            assert present is not None
            return self.store({**present, "status": body["status"]})
        return self.store(_merged(present or {}, body))

    async def merge(self, resource: Resource, key: ObjectKey, patch: Manifest, *, field_manager: str) -> Manifest:
        assert field_manager == names.FIELD_MANAGER_OPERATOR
        self._refuse("merge", resource, key[1])
        present = self.objects.get((resource, key))
        if present is None:
            raise NotFoundError("gone", status=404)
        if patch["metadata"].get("resourceVersion") != present["metadata"]["resourceVersion"]:
            raise ConflictError("changed meanwhile", status=409)
        self.writes.append(Write("merge", resource.kind, key[1]))
        return self.store(_merged(present, patch))

    async def set_finalizers(self, manifest: Manifest, finalizers: Sequence[str], *, field_manager: str) -> Manifest:
        key, metadata = key_of(manifest), manifest["metadata"]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": [*finalizers]}}
        written = await self.merge(resource_of(manifest), key, patch, field_manager=field_manager)
        if not finalizers and "deletionTimestamp" in metadata:
            del self.objects[resource_of(manifest), key]
        return written

    async def delete(self, resource: Resource, name: str, namespace: str | None = None, uid: str | None = None) -> bool:
        self._refuse("delete", resource, name)
        present = self.objects.get((resource, (namespace or "", name)))
        if present is None:
            return False
        if uid and present["metadata"]["uid"] != uid:
            raise ConflictError("another uid", status=409)
        self.writes.append(Write("delete", resource.kind, name))
        del self.objects[resource, (namespace or "", name)]
        return True

    def _refuse(self, verb: str, resource: Resource, name: str) -> None:
        for refused in ((verb, resource.kind, name), (verb, resource.kind)):
            if refused in self.refusals:
                raise self.refusals[refused]


class MemoryCaches(Caches):
    """Caches that a test fills with events. `follow` says whether the Secrets of a new namespace can be read."""

    follow = True

    def sync(self) -> None:
        """Every watch has listed."""
        for reflector in self._all_reflectors():
            reflector.synced.set()

    def take(self, kind: EventType, manifest: Manifest) -> None:
        """Let every watch whose selection has the object see an event."""
        resource, key = resource_of(manifest), key_of(manifest)
        selecting = self._selecting(resource, manifest)
        cached = self._of(resource, key[0])
        for reflector in selecting:
            reflector._handle(WatchEvent(kind, copy.deepcopy(manifest)))
        if cached is not None and cached not in selecting and key in cached.objects:  # it left the selection
            cached._handle(WatchEvent("DELETED", copy.deepcopy(manifest)))

    def follow_secrets(self, namespace: str) -> asyncio.Event:
        reflector = self._secrets.get(namespace)
        if reflector is None:
            reflector = self._secrets[namespace] = self._project_secrets(namespace)
            self._tasks[namespace] = cast("asyncio.Task[None]", asyncio.get_running_loop().create_future())
            if self.follow:
                reflector.synced.set()
        return reflector.synced

    def _selecting(self, resource: Resource, manifest: Manifest) -> list[Reflector]:
        labels = manifest["metadata"].get("labels") or {}
        found: list[Reflector] = []
        if resource == ROLE_BINDINGS and manifest["metadata"]["name"] == CONSENT:
            found.append(self._consents)
        if resource == PODS and labels.get(names.LABEL_COMPONENT) == "access":
            found.append(self._access)
        cached = self._of(resource, key_of(manifest)[0])
        if cached is not None and (resource not in LABELLED or names.LABEL_PROJECT in labels):
            found.append(cached)
        return found


class StubProbes:
    """Stub of the write probes: the next result, and the requested ones."""

    def __init__(self) -> None:
        self.found: ObservedProbe | None = ObservedProbe(ProbeOutcome.WRITTEN)
        self.due = 600.0
        self.looks: list[tuple[str, Pods, bool, str]] = []
        self.forgotten: list[str] = []

    def latest(self, project_id: str, pods: Pods, *, reported_ready: bool, request: str = "") -> ObservedProbe | None:
        self.looks.append((project_id, pods, reported_ready, request))
        return self.found

    def next_due(self, _project_id: str) -> float:
        return self.due

    def forget(self, project_id: str) -> None:
        self.forgotten.append(project_id)


class Operator:
    """The reconcilers with everything that they use. `seconds` is the monotonic clock."""

    def __init__(self, **settings: Any) -> None:
        self.api = MemoryApi()
        self.seconds = 1000.0
        self.keys: set[Key] = set()
        self.problem = ""  # of a replica of access
        self.probes = StubProbes()
        self._random = itertools.count(1)
        client = cast(KubeClient, self.api)
        chosen = operator_settings(**settings)
        enqueuer = Enqueuer(BERTH, CONSENT, self.keys.add)
        self.caches = MemoryCaches(
            client, BERTH, PUBLIC_CA, CONSENT, "", enqueuer.changed, enqueuer.own_write, lambda _old, _new: None
        )
        self.caches.sync()
        applier = Applier(client, self.caches)
        self.context = Context(
            settings=chosen,
            version="0.1.0",
            client=client,
            caches=self.caches,
            enqueuer=enqueuer,
            applier=applier,
            statuses=StatusWriter(client, self.caches, self._propagation, now=self.now, clock=self.clock),
            probes=cast(Probes, self.probes),
            pull_secrets=PullSecrets(
                client,
                self.caches,
                applier,
                chosen,
                "0.1.0",
                now=self.now,
                clock=self.clock,
                random_bytes=lambda count: next(self._random).to_bytes(count, "big"),
            ),
            now=self.now,
        )

    async def _propagation(self) -> str:
        return self.problem

    def now(self) -> datetime:
        """The time of day, as the API server has it too."""
        return self.api.now

    def clock(self) -> float:
        """The monotonic clock."""
        return self.seconds

    def pass_time(self, seconds: float) -> None:
        """Move both clocks."""
        self.seconds += seconds
        self.api.now += timedelta(seconds=seconds)

    def put(self, manifest: Manifest) -> Manifest:
        """Write an object as another client, with its watch event."""
        place = (resource_of(manifest), key_of(manifest))
        kind: EventType = "MODIFIED" if place in self.api.objects else "ADDED"
        stored = self.api.store(manifest)
        if resource_of(manifest) not in _UNCACHED:
            self.caches.take(kind, stored)
        return stored

    def change(self, resource: Resource, name: str, namespace: str = "", **fields: Any) -> Manifest:
        """Change an object as another client; maps are merged."""
        return self.put(_merged(self.api.objects[resource, (namespace, name)], fields))

    def remove(self, resource: Resource, name: str, namespace: str = "") -> None:
        """Delete an object without a finalizer as another client."""
        gone = self.api.objects.pop((resource, (namespace, name)))
        if resource not in _UNCACHED:
            version = str(int(gone["metadata"]["resourceVersion"]) + 10_000)
            self.caches.take("DELETED", {**gone, "metadata": {**gone["metadata"], "resourceVersion": version}})

    def live(self, resource: Resource, name: str, namespace: str = "") -> Manifest | None:
        """An object as the API server has it."""
        return self.api.objects.get((resource, (namespace, name)))

    def status(self, resource: Resource, name: str, namespace: str = "") -> dict[str, Any]:
        """The status of an object."""
        return dict(self.api.objects[resource, (namespace, name)].get("status") or {})

    def condition(self, resource: Resource, name: str, kind: str, namespace: str = "") -> tuple[str, str]:
        """Status and reason of a condition; empty when it is not there."""
        found = [c for c in self.status(resource, name, namespace).get("conditions", ()) if c["type"] == kind]
        return (found[0]["status"], found[0]["reason"]) if found else ("", "")

    async def reconcile(self, resource: Resource, name: str, namespace: str = "") -> float | None:
        """Reconcile one object once; the seconds until the next time."""
        return await Dispatcher(self.context).work(Key(resource.kind, f"{namespace}/{name}" if namespace else name))

    async def install(self) -> None:
        """Make Berth's own keys; a StorageClass and a ready pod of access are there."""
        await Dispatcher(self.context).work(INSTALLATION)
        self.put(manifest(STORAGE_CLASSES, "fast"))
        labels = {names.LABEL_INSTANCE: "berth", names.LABEL_COMPONENT: "access"}
        pod = manifest(PODS, "access", BERTH, labels=labels)
        self.put({**pod, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})

    def run_registry(self, project: str) -> None:
        """What the controllers and the kubelet do: bind the claim, start the pod, count it."""
        namespace = names.project_namespace(project)
        self.change(
            PERSISTENT_VOLUME_CLAIMS, "registry", namespace, status={"phase": "Bound", "capacity": {"storage": "1Gi"}}
        )
        deployment = self.api.objects[DEPLOYMENTS, (namespace, "registry")]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        pod = manifest(PODS, "registry-0", namespace, labels=labels)
        ready = [{"type": "Ready", "status": "True"}]
        containers = [{"name": "registry", "ready": True, "restartCount": 0}]
        self.put({**pod, "status": {"phase": "Running", "conditions": ready, "containerStatuses": containers}})
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
        status = {"observedGeneration": deployment["metadata"]["generation"], **counts}
        self.change(DEPLOYMENTS, "registry", namespace, status=status)

    async def ready_project(self, name: str = "alpha", **spec: Any) -> float | None:
        """A project that is Ready, and the seconds until its next reconcile."""
        if self.live(SECRETS, "berth-token-ca", BERTH) is None:
            await self.install()
        self.put(project(name, **spec))
        await self.reconcile(PROJECTS, name)
        self.run_registry(name)
        after = await self.reconcile(PROJECTS, name)
        assert self.condition(PROJECTS, name, "Ready")[0] == "True", self.status(PROJECTS, name)
        self.api.writes.clear()
        self.keys.clear()
        return after


def manifest(
    resource: Resource,
    name: str,
    namespace: str = "",
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> Manifest:
    """An object with a spec."""
    metadata: dict[str, Any] = {"name": name, "labels": dict(labels or {}), "annotations": dict(annotations or {})}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}


def project(name: str = "alpha", **spec: Any) -> Manifest:
    """A Project with a claim of 1Gi."""
    storage = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi", "storageClassName": "fast"}}
    return manifest(PROJECTS, name, storage=storage, **spec)


def user(name: str, **spec: Any) -> Manifest:
    """A RegistryUser."""
    return manifest(REGISTRY_USERS, name, **spec)


def namespace_of(name: str, **labels: str) -> Manifest:
    """A namespace."""
    return {"apiVersion": NAMESPACES.api_version, "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def invalid(sentence: str = "no") -> InvalidError:
    """A refusal for good."""
    return InvalidError(sentence, status=422)


def _merged(present: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7396)."""
    merged = dict(copy.deepcopy(dict(present)))
    for field, value in fields.items():
        if value is None:
            merged.pop(field, None)
        elif isinstance(value, Mapping):
            merged[field] = _merged(merged.get(field) or {}, value)
        else:
            merged[field] = copy.deepcopy(value)
    return merged
