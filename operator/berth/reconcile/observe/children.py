"""From live objects to observations: what manifests and statuses depend on.

Reads the caches alone, with one exception: `warning_event`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Final

from berth.api import names
from berth.api.policy import PolicyState
from berth.api.project import Project
from berth.api.repository import DockerRepository
from berth.api.user import RegistryUser
from berth.authz.policy.facts import HASH_PREFIXES
from berth.desired.labels import registry_selector
from berth.kube.apply import ChangeSet
from berth.kube.client import KubeClient
from berth.kube.errors import ForbiddenError, InvalidError
from berth.kube.resources import (
    ACCESS_POLICIES,
    DEPLOYMENTS,
    EVENTS,
    NAMESPACES,
    PODS,
    SECRETS,
    STORAGE_CLASSES,
    Manifest,
)
from berth.reconcile.watch.access_readiness import is_ready
from berth.reconcile.watch.caches import Caches
from berth.status.observed import (
    ApplyFailure,
    ObservedClaim,
    ObservedContainer,
    ObservedDeployment,
    ObservedNamespace,
    ObservedPassword,
    ObservedPod,
    ObservedStorageClass,
)

_NO_CONTAINER: Final[tuple[Mapping[str, Any], ...]] = ({},)
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
_RESIZE_CONDITIONS: Final = (
    "ControllerResizeError",
    "NodeResizeError",
    "FileSystemResizePending",
    "Resizing",
    "ModifyVolumeError",
)


def observe_namespace(caches: Caches, name: str) -> ObservedNamespace | None:
    """A namespace, by name."""
    live = caches.live(NAMESPACES, ("", name))
    if live is None:
        return None
    metadata = live["metadata"]
    project = (metadata.get("labels") or {}).get(names.LABEL_PROJECT, "")
    return ObservedNamespace(name, terminating="deletionTimestamp" in metadata, project=project)


def observe_claim(live: Manifest | None, event: str = "") -> ObservedClaim | None:
    """The project's claim; `event` is the message of its newest warning."""
    if live is None:
        return None
    spec, status = live["spec"], live.get("status") or {}
    resize = _true_condition(status, _RESIZE_CONDITIONS)
    return ObservedClaim(
        name=live["metadata"]["name"],
        phase=status.get("phase", "Pending"),
        requested=(spec.get("resources", {}).get("requests") or {}).get("storage", ""),
        capacity=(status.get("capacity") or {}).get("storage", ""),
        storage_class=spec.get("storageClassName") or "",
        access_modes=tuple(spec.get("accessModes") or ()),
        resize=resize.get("type", ""),
        resize_message=resize.get("message", ""),
        event=event,
        terminating="deletionTimestamp" in live["metadata"],
    )


def observe_storage_class(caches: Caches, wanted: str | None) -> ObservedStorageClass | None:
    """The class of that name, or the cluster's default one (the newest, as the API server chooses)."""
    classes = caches.objects(STORAGE_CLASSES)
    if wanted:
        live = classes.get(("", wanted))
    else:
        defaults = [found for found in classes.values() if _annotation(found, _DEFAULT_CLASS) == "true"]
        live = max(defaults, key=lambda found: found["metadata"]["creationTimestamp"], default=None)
    if live is None:
        return None
    return ObservedStorageClass(
        name=live["metadata"]["name"],
        allows_expansion=bool(live.get("allowVolumeExpansion")),
        waits_for_consumer=live.get("volumeBindingMode") == "WaitForFirstConsumer",
    )


def observe_deployment(caches: Caches, namespace: str) -> ObservedDeployment | None:
    """The registry's Deployment."""
    live = caches.live(DEPLOYMENTS, (namespace, names.REGISTRY_NAME))
    if live is None:
        return None
    status = live.get("status") or {}
    return ObservedDeployment(
        generation=live["metadata"].get("generation", 1),
        observed_generation=status.get("observedGeneration", 0),
        replicas=live["spec"].get("replicas", 1),
        updated=status.get("updatedReplicas", 0),
        available=status.get("availableReplicas", 0),
        current=status.get("replicas", 0),
        failure=_true_condition(status, ("ReplicaFailure",)).get("message", ""),
    )


def registry_pods(caches: Caches, project_id: str) -> list[Manifest]:
    """The registry's pods, sorted by name."""
    wanted = registry_selector(project_id).items()
    pods = caches.in_namespace(PODS, names.project_namespace(project_id)).values()
    found = [pod for pod in pods if wanted <= (pod["metadata"].get("labels") or {}).items()]
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def observe_pod(live: Manifest, event: str = "") -> ObservedPod:
    """One pod; `event` is the message of its newest warning."""
    status = live.get("status") or {}
    conditions = {found["type"]: found for found in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled", {})
    return ObservedPod(
        name=live["metadata"]["name"],
        phase=status.get("phase", "Pending"),
        ready=is_ready(live),
        unschedulable=scheduled.get("message", "") if scheduled.get("status") == "False" else "",
        event=event,
        containers=tuple(_observe_container(found) for found in status.get("containerStatuses") or ()),
        terminating="deletionTimestamp" in live["metadata"],
    )


def ready_pods(pods: Iterable[Manifest]) -> frozenset[str]:
    """Identity of the ready pods and of the runs of their containers."""
    return frozenset(
        f"{pod['metadata']['uid']}/{container.get('restartCount', 0)}"
        for pod in pods
        if observe_pod(pod).ready and "deletionTimestamp" not in pod["metadata"]
        for container in pod["status"].get("containerStatuses") or _NO_CONTAINER
    )


async def warning_event(client: KubeClient, about: Manifest) -> str:
    """The message of the newest Warning event about an object, or empty.

    One request, so call it only for objects that are not healthy. Events are hints: a missing right is no error.
    """
    metadata = about["metadata"]
    fields = f"involvedObject.uid={metadata['uid']},type=Warning"
    try:
        events = await client.list(EVENTS, metadata["namespace"], field_selector=fields)
    except ForbiddenError:
        return ""
    newest = max(events, key=_event_time, default={})
    return str(newest.get("message") or "")


def policy_state(caches: Caches, namespace: str, name: str) -> PolicyState | None:
    """The state of an AccessPolicy; None when it does not exist."""
    live = caches.live(ACCESS_POLICIES, (namespace, name))
    return PolicyState(live["spec"]["state"]) if live else None


def project_state(project: Manifest | None) -> PolicyState:
    """The state of a project by its own spec; one that does not exist counts as trashed."""
    if project is None or "deletionTimestamp" in project["metadata"] or project["spec"].get("trashed"):
        return PolicyState.TRASHED
    return PolicyState.SUSPENDED if project["spec"].get("suspend") else PolicyState.ACTIVE


def older_claimant(repository: DockerRepository, others: Iterable[Manifest]) -> str:
    """Name of the oldest other DockerRepository that claims the same path and is older; empty when there is none."""
    rivals = [
        names.claim_rank(
            repository.path, str(other["metadata"]["name"]), str(other["metadata"].get("creationTimestamp") or "")
        )
        for other in others
        if (other["spec"].get("repository") or other["metadata"]["name"]) == repository.path
    ]
    oldest = min(rivals, default=("", False, ""))[2]
    return "" if oldest == repository.metadata.name else oldest


def observe_password(user: RegistryUser, caches: Caches, namespace: str) -> ObservedPassword:
    """What the user's password reference points to; the hash itself is not returned."""
    reference = user.spec.password_secret_ref
    if reference is None:
        return ObservedPassword.NOT_REFERENCED
    secret = caches.live(SECRETS, (namespace, reference.name))
    if secret is None:
        return ObservedPassword.SECRET_MISSING
    encoded = (secret.get("data") or {}).get(reference.key)
    if encoded is None:
        return ObservedPassword.KEY_MISSING
    return _scheme_of(encoded)


def _scheme_of(encoded: str) -> ObservedPassword:
    text = base64.b64decode(encoded).decode(errors="replace").strip()
    if not text:
        return ObservedPassword.EMPTY
    return ObservedPassword.USABLE if text.startswith(HASH_PREFIXES) else ObservedPassword.UNKNOWN_SCHEME


def _observe_container(status: Mapping[str, Any]) -> ObservedContainer:
    waiting = (status.get("state") or {}).get("waiting") or {}
    ended = (status.get("lastState") or {}).get("terminated") or (status.get("state") or {}).get("terminated") or {}
    return ObservedContainer(
        name=status.get("name", ""),
        image=status.get("image", ""),
        ready=bool(status.get("ready")),
        restarts=status.get("restartCount", 0),
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        last_exit_code=ended.get("exitCode"),
        last_reason=ended.get("reason", ""),
        last_message=ended.get("message", ""),
    )


def _true_condition(status: Mapping[str, Any], kinds: Iterable[str]) -> Mapping[str, Any]:
    conditions = {found["type"]: found for found in status.get("conditions") or () if found.get("status") == "True"}
    return next((conditions[kind] for kind in kinds if kind in conditions), {})


def _annotation(live: Manifest, name: str) -> str:
    return str((live["metadata"].get("annotations") or {}).get(name, ""))


def _event_time(event: Mapping[str, Any]) -> str:
    """The time of an event, whichever of the two event APIs wrote it (RFC 3339 sorts as text)."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((str(time) for time in times if time), "")


def observe_project_namespace(caches: Caches, project: Project) -> ObservedNamespace | None:
    """The project's namespace. One that Berth created stays the project's when its label is removed."""
    name = names.project_namespace(project.project_id)
    observed = observe_namespace(caches, name)
    if observed is None or observed.project:
        return observed
    found = caches.live(NAMESPACES, ("", name)) or {"metadata": {}}
    made_here = names.ANNOTATION_DESIRED_HASH in (found["metadata"].get("annotations") or {})
    recorded = any(entry.kind == NAMESPACES.kind and entry.name == name for entry in project.status.inventory)
    return ObservedNamespace(name, observed.terminating, project.project_id) if made_here and recorded else observed


def first_failure(changes: ChangeSet) -> ApplyFailure | None:
    """The first object that the API server refused. Only a change of the object helps when it is invalid."""
    if not changes.refusals:
        return None
    refusal = changes.refusals[0]
    kind, name = refusal.reference.kind, refusal.reference.name
    return ApplyFailure(kind, name, refusal.error.sentence, is_permanent=isinstance(refusal.error, InvalidError))
