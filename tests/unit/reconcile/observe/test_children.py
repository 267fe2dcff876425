"""What statuses depend on, out of live objects."""

from __future__ import annotations

from typing import Any

import pytest

from berth.api import names
from berth.api.policy import PolicyState
from berth.api.repository import DockerRepository
from berth.kube.apply import ChangeSet, Reference, Refusal
from berth.kube.errors import ForbiddenError, UnavailableError
from berth.kube.resources import (
    ACCESS_POLICIES,
    DEPLOYMENTS,
    DOCKER_REPOSITORIES,
    EVENTS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    PROJECTS,
    ROLES,
    STORAGE_CLASSES,
    Manifest,
)
from berth.reconcile.observe.children import (
    first_failure,
    observe_claim,
    observe_deployment,
    observe_namespace,
    observe_pod,
    observe_storage_class,
    older_claimant,
    policy_state,
    project_state,
    ready_pods,
    registry_pods,
    warning_event,
)
from berth.status.observed import ApplyFailure, ObservedClaim, ObservedContainer, ObservedDeployment, ObservedPod
from tests.kit.operator.memory import Operator, invalid, manifest, namespace_of

SPACE = "berth-alpha"
DELETED = {"deletionTimestamp": "2026-11-24T12:00:00Z"}
DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}


def with_metadata(live: Manifest, **metadata: Any) -> Manifest:
    return {**live, "metadata": {**live["metadata"], **metadata}}


def test_a_namespace() -> None:
    operator = Operator()
    assert observe_namespace(operator.caches, SPACE) is None
    operator.put(namespace_of(SPACE))
    seen = observe_namespace(operator.caches, SPACE)
    assert seen is not None
    assert (seen.name, seen.terminating, seen.project) == (SPACE, False, "")
    operator.change(NAMESPACES, SPACE, metadata={"labels": {names.LABEL_PROJECT: "alpha"}, **DELETED})
    seen = observe_namespace(operator.caches, SPACE)
    assert seen is not None
    assert (seen.terminating, seen.project) == (True, "alpha")


def test_a_claim_without_and_with_everything() -> None:
    assert observe_claim(None) is None
    assert observe_claim(manifest(PERSISTENT_VOLUME_CLAIMS, "registry", SPACE)) == ObservedClaim(
        "registry", access_modes=()
    )
    live = manifest(
        PERSISTENT_VOLUME_CLAIMS,
        "registry",
        SPACE,
        resources={"requests": {"storage": "2Gi"}},
        storageClassName="fast",
        accessModes=["ReadWriteMany"],
    )
    conditions = [
        {"type": "Resizing", "status": "False", "message": "no"},
        {"type": "FileSystemResizePending", "status": "True", "message": "wait"},
    ]
    status = {"phase": "Bound", "capacity": {"storage": "1Gi"}, "conditions": conditions}
    assert observe_claim(with_metadata({**live, "status": status}, **DELETED), "full") == ObservedClaim(
        "registry",
        phase="Bound",
        requested="2Gi",
        capacity="1Gi",
        storage_class="fast",
        access_modes=("ReadWriteMany",),
        resize="FileSystemResizePending",
        resize_message="wait",
        event="full",
        terminating=True,
    )


def test_an_error_of_a_resize_comes_before_its_progress() -> None:
    conditions = [{"type": kind, "status": "True", "message": kind} for kind in ("Resizing", "ControllerResizeError")]
    live = {**manifest(PERSISTENT_VOLUME_CLAIMS, "registry", SPACE), "status": {"conditions": conditions}}
    seen = observe_claim(live)
    assert seen is not None
    assert seen.resize == "ControllerResizeError"


def test_a_storage_class_by_name_or_the_newest_default() -> None:
    operator = Operator()
    assert observe_storage_class(operator.caches, "fast") is None
    assert observe_storage_class(operator.caches, None) is None
    operator.put(manifest(STORAGE_CLASSES, "plain"))
    assert observe_storage_class(operator.caches, None) is None
    operator.put({**manifest(STORAGE_CLASSES, "fast"), "allowVolumeExpansion": True})
    operator.put(manifest(STORAGE_CLASSES, "old", annotations=DEFAULT))
    operator.pass_time(5)
    late = manifest(STORAGE_CLASSES, "new", annotations=DEFAULT)
    operator.put({**late, "volumeBindingMode": "WaitForFirstConsumer"})
    default, fast = observe_storage_class(operator.caches, ""), observe_storage_class(operator.caches, "fast")
    assert default is not None
    assert (default.name, default.allows_expansion, default.waits_for_consumer) == ("new", False, True)
    assert fast is not None
    assert (fast.name, fast.allows_expansion, fast.waits_for_consumer) == ("fast", True, False)


def test_a_deployment() -> None:
    operator = Operator()
    assert observe_deployment(operator.caches, SPACE) is None
    labels = {names.LABEL_PROJECT: "alpha"}
    operator.put(manifest(DEPLOYMENTS, "registry", SPACE, labels=labels, replicas=3))
    assert observe_deployment(operator.caches, SPACE) == ObservedDeployment(1, 0, 3)
    counts = {"observedGeneration": 1, "updatedReplicas": 2, "availableReplicas": 1, "replicas": 4}
    failure = [{"type": "ReplicaFailure", "status": "True", "message": "quota"}]
    operator.change(DEPLOYMENTS, "registry", SPACE, status={**counts, "conditions": failure})
    assert observe_deployment(operator.caches, SPACE) == ObservedDeployment(1, 1, 3, 2, 1, 4, "quota")


def test_the_pods_of_a_registry_are_found_by_every_label() -> None:
    operator = Operator()
    labels = {names.LABEL_PROJECT: "alpha", names.LABEL_COMPONENT: "registry"}
    for name in ("b", "a"):
        operator.put(manifest(PODS, name, SPACE, labels={**labels, "extra": "x"}))
    operator.put(manifest(PODS, "job", SPACE, labels={**labels, names.LABEL_COMPONENT: "job"}))
    operator.put(manifest(PODS, "c", "elsewhere", labels=labels))
    assert [pod["metadata"]["name"] for pod in registry_pods(operator.caches, "alpha")] == ["a", "b"]


def test_a_pod_without_and_with_everything() -> None:
    assert observe_pod(manifest(PODS, "p", SPACE)) == ObservedPod("p")
    terminated = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "m"}}
    container = {
        "name": "registry",
        "image": "i",
        "ready": True,
        "restartCount": 2,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
        "lastState": terminated,
    }
    conditions = [
        {"type": "PodScheduled", "status": "False", "message": "no node"},
        {"type": "Ready", "status": "True"},
    ]
    status = {"phase": "Running", "conditions": conditions, "containerStatuses": [container]}
    seen = observe_pod(with_metadata({**manifest(PODS, "p", SPACE), "status": status}, **DELETED), "mount")
    assert seen == ObservedPod(
        "p",
        "Running",
        ready=True,
        unschedulable="no node",
        event="mount",
        containers=(
            ObservedContainer("registry", "i", True, 2, "CrashLoopBackOff", "back-off", 137, "OOMKilled", "m"),
        ),
        terminating=True,
    )


def test_a_scheduled_pod_is_not_unschedulable_and_a_present_end_counts_when_there_is_no_earlier_one() -> None:
    conditions = [
        {"type": "PodScheduled", "status": "True", "message": "x"},
        {"type": "Ready", "status": "False"},
    ]
    container = {"name": "registry", "state": {"terminated": {"exitCode": 1}}}
    status = {"conditions": conditions, "containerStatuses": [container]}
    seen = observe_pod({**manifest(PODS, "p", SPACE), "status": status})
    assert (seen.ready, seen.unschedulable) == (False, "")
    assert seen.containers[0].last_exit_code == 1


def test_ready_pods_are_identified_with_their_restarts() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    one = with_metadata({**manifest(PODS, "a", SPACE), "status": ready}, uid="a")
    two = with_metadata(
        {**manifest(PODS, "b", SPACE), "status": {**ready, "containerStatuses": [{"restartCount": 2}]}}, uid="b"
    )
    going = with_metadata(two, uid="c", **DELETED)
    unready = with_metadata({**manifest(PODS, "d", SPACE), "status": {}}, uid="d")
    assert ready_pods([one, two, going, unready]) == {"a/0", "b/2"}


async def test_the_newest_warning_counts_whichever_api_wrote_it() -> None:
    operator = Operator()
    about = with_metadata(manifest(PODS, "p", SPACE), uid="u")
    client = operator.context.client
    assert await warning_event(client, about) == ""
    events: list[dict[str, Any]] = [
        {"message": "third", "lastTimestamp": "2026-11-24T12:00:03Z"},
        {"message": "none"},
        {
            "message": "last",
            "series": {"lastObservedTime": "2026-11-24T12:00:05Z"},
            "eventTime": "2026-11-24T11:00:00Z",
        },
        {"message": "fourth", "eventTime": "2026-11-24T12:00:04Z"},
    ]
    for number, event in enumerate(events):
        operator.put({**manifest(EVENTS, str(number), SPACE), **event})
    assert await warning_event(client, about) == "last"
    operator.api.refusals["list", "Event"] = ForbiddenError("may not")
    assert await warning_event(client, about) == ""
    operator.api.refusals["list", "Event"] = UnavailableError("away")
    with pytest.raises(UnavailableError):
        await warning_event(client, about)


def test_the_state_of_a_policy() -> None:
    operator = Operator()
    assert policy_state(operator.caches, SPACE, "project") is None
    operator.put(manifest(ACCESS_POLICIES, "project", SPACE, labels={names.LABEL_PROJECT: "alpha"}, state="Suspended"))
    assert policy_state(operator.caches, SPACE, "project") is PolicyState.SUSPENDED


@pytest.mark.parametrize(
    ("live", "state"),
    [
        (None, PolicyState.TRASHED),
        (with_metadata(manifest(PROJECTS, "a"), **DELETED), PolicyState.TRASHED),
        (manifest(PROJECTS, "a", trashed=True, suspend=True), PolicyState.TRASHED),
        (manifest(PROJECTS, "a", suspend=True), PolicyState.SUSPENDED),
        (manifest(PROJECTS, "a", suspend=False, trashed=False), PolicyState.ACTIVE),
    ],
)
def test_the_state_of_a_project(live: Manifest | None, state: PolicyState) -> None:
    assert project_state(live) is state


def test_of_several_claims_of_a_path_the_oldest_counts() -> None:
    def claim(name: str, minute: int, path: str = "x") -> Manifest:
        live = manifest(DOCKER_REPOSITORIES, name, SPACE, repository=path)
        return with_metadata(live, creationTimestamp=f"2026-11-24T12:{minute:02}:00Z")

    own = DockerRepository.model_validate(claim("own", 5))
    assert older_claimant(own, []) == ""
    assert older_claimant(own, [claim("own", 5)]) == ""
    assert older_claimant(own, [claim("own", 5), claim("late", 6)]) == ""
    assert older_claimant(own, [claim("own", 5), claim("late", 6), claim("early", 4)]) == "early"
    assert older_claimant(own, [claim("own", 5), claim("early", 4, "y")]) == ""


def test_the_first_refusal_is_the_failure() -> None:
    role = Reference.of(manifest(ROLES, "r", SPACE))
    other = Reference.of(manifest(ROLES, "other", SPACE))
    assert first_failure(ChangeSet()) is None
    forbidden = Refusal(role, ForbiddenError("may not"))
    assert first_failure(ChangeSet(refusals=(forbidden, Refusal(other, invalid())))) == ApplyFailure(
        "Role", "r", "may not", is_permanent=False
    )
    failure = first_failure(ChangeSet(refusals=(Refusal(other, invalid()),)))
    assert failure == ApplyFailure("Role", "other", "no", is_permanent=True)
