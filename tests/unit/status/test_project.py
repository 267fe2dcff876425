"""A project's status in each situation that users meet."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from berth.api.policy import PolicyState
from berth.api.project import PullSecretStatus
from berth.status.observed import (
    ApplyFailure,
    ObservedAccess,
    ObservedClaim,
    ObservedDeployment,
    ObservedNamespace,
    ObservedProbe,
    ObservedStorageClass,
    ProbeOutcome,
    ProjectObservation,
)
from tests.kit.desired.samples import project
from tests.kit.status.samples import (
    CLAIM,
    HEALTHY,
    NOW,
    POD,
    STOPPED,
    condition,
    condition_state,
    status_of,
    waiting_pod,
)

DEPLOYMENT = HEALTHY.deployment or ObservedDeployment()
DELETED = {"deletionTimestamp": "2026-11-24T11:00:00Z", "finalizers": ["berth.dev/trash"]}


def pending(**changed: Any) -> ProjectObservation:
    claim = ObservedClaim("registry", "Pending", requested="10Gi", storage_class="fast")
    return replace(waiting_pod(), claim=replace(claim, **changed))


def probed(outcome: ProbeOutcome, message: str = "") -> ProjectObservation:
    return replace(HEALTHY, probe=ObservedProbe(outcome, message))


def test_a_project_that_was_written_to_is_ready() -> None:
    status = status_of(project(), HEALTHY)
    assert condition_state(status, "Ready") == ("True", "Ready")
    assert condition_state(status, "StorageReady") == ("True", "VolumeWritable")
    assert condition_state(status, "RegistryAvailable") == ("True", "RegistryAvailable")
    assert condition_state(status, "AccessReady") == ("True", "PolicyApplied")
    assert condition_state(status, "Trashed") == ("False", "NotTrashed")
    assert status["address"] == "images.example.org/genomics"
    assert status["namespace"] == "berth-genomics"
    assert status["registryVersion"] == "3.1.2"
    assert status["storage"] == {"capacity": "10Gi"}
    assert status["repositories"] == 3
    assert status["inventory"] == [{"group": "", "version": "v1", "kind": "Namespace", "name": "berth-genomics"}]
    assert status["observedGeneration"] == 1


def test_a_registry_that_answers_and_was_not_written_to_is_not_ready() -> None:
    status = status_of(project(), replace(HEALTHY, probe=None))
    assert condition_state(status, "RegistryAvailable")[0] == "True"
    assert condition_state(status, "StorageReady") == ("Unknown", "ClaimBound")
    assert condition_state(status, "Ready") == ("False", "ClaimBound")
    assert condition_state(status, "Reconciling")[0] == "True"


def test_a_project_of_which_nothing_exists_is_on_its_way() -> None:
    status = status_of(project(), ProjectObservation("images.example.org", "3.1.2"))
    assert condition_state(status, "Ready")[0] == "False"
    assert condition_state(status, "Reconciling")[0] == "True"
    assert "namespace" not in status
    assert "registryVersion" not in status


ACTIVE = ObservedAccess(PolicyState.ACTIVE)
UNSCHEDULABLE = replace(
    waiting_pod(), pods=(replace(POD, ready=False, containers=(), unschedulable="0/1 nodes: too little memory"),)
)
UNMOUNTED = replace(waiting_pod(), pods=(replace(POD, ready=False, containers=(), event="FailedMount: no such disk"),))
CRASHING = {"restarts": 4, "last_exit_code": 1, "last_reason": "Error", "waiting_reason": "CrashLoopBackOff"}

STALLED: dict[str, tuple[ProjectObservation, str, list[str]]] = {
    "a missing storage class": (
        replace(pending(), storage_class=None),
        "StorageClassNotFound",
        ["StorageClass fast", "claim registry in namespace berth-genomics", "create it"],
    ),
    "no default storage class": (
        replace(pending(storage_class=""), storage_class=None),
        "StorageClassNotFound",
        ["Claim registry", "no default", "is-default-class"],
    ),
    "a claim that lost its volume": (
        replace(HEALTHY, claim=replace(CLAIM, phase="Lost")),
        "ClaimLost",
        ["Claim registry in namespace berth-genomics", "backup"],
    ),
    "a claim that is being deleted": (replace(HEALTHY, claim=replace(CLAIM, terminating=True)), "ClaimLost", ["save"]),
    "a claim that is larger than requested": (
        replace(HEALTHY, claim=replace(CLAIM, requested="20Gi", capacity="20Gi")),
        "ClaimShrinkRefused",
        ["20Gi or more", "spec.storage.persistentVolumeClaim.size", "10Gi"],
    ),
    "a class that does not grow": (
        replace(
            HEALTHY, claim=replace(CLAIM, requested="5Gi", capacity="5Gi"), storage_class=ObservedStorageClass("fast")
        ),
        "ClaimNotExpandable",
        ["StorageClass fast", "5Gi", "10Gi", "allowVolumeExpansion"],
    ),
    "a volume that refuses writes": (
        probed(ProbeOutcome.NOT_WRITABLE, "500: permission denied"),
        "VolumeNotWritable",
        ["claim registry in namespace berth-genomics", "500: permission denied", "65532"],
    ),
    "a crash-looping registry": (
        waiting_pod(**CRASHING, last_message='{"level":"info","msg":"x"}\n{"level":"fatal","msg":"no such CA"}\n'),
        "RegistryCrashLooping",
        ["container registry of pod registry-1 in namespace berth-genomics", "exit code 1", "no such CA", "logs"],
    ),
    "a registry without memory": (
        waiting_pod(restarts=3, last_exit_code=137, last_reason="OOMKilled"),
        "RegistryCrashLooping",
        ["pod registry-1", "spec.registry.resources.limits.memory"],
    ),
    "an image that cannot be pulled": (
        waiting_pod(waiting_reason="ImagePullBackOff", waiting_message="Back-off pulling image"),
        "ImagePullFailed",
        ["registry.example.org/distribution:3.1.2", "registry-1", "Back-off pulling image", "correct"],
    ),
    "a refused pod": (
        replace(HEALTHY, deployment=replace(DEPLOYMENT, available=0, current=0, failure="exceeded quota: q"), pods=()),
        "RegistryPodRefused",
        ["namespace berth-genomics", "exceeded quota: q"],
    ),
    "a namespace that is not Berth's": (
        replace(HEALTHY, namespace=ObservedNamespace("berth-genomics", project="")),
        "NamespaceTaken",
        ["Namespace berth-genomics", "kubectl label namespace berth-genomics berth.dev/project=genomics"],
    ),
    "a child that the API server refuses": (
        replace(HEALTHY, failure=ApplyFailure("Service", "registry", "denied by policy x.", is_permanent=True)),
        "ApplyRefused",
        ["Service registry", "denied by policy x"],
    ),
}


@pytest.mark.parametrize("situation", list(STALLED))
def test_what_only_a_person_can_mend_is_stalled_with_object_and_next_step(situation: str) -> None:
    observed, reason, words = STALLED[situation]
    status = status_of(project(), observed)
    assert condition_state(status, "Ready") == ("False", reason)
    assert condition_state(status, "Stalled") == ("True", reason)
    message = condition(status, "Stalled")["message"]
    assert [word for word in words if word not in message] == []
    assert message == condition(status, "Ready")["message"]


PROGRESSING: dict[str, tuple[ProjectObservation, str, list[str]]] = {
    "an unbound claim": (
        pending(event="waiting for a volume to be created"),
        "ClaimPending",
        ["Claim registry in namespace berth-genomics", "waiting for a volume to be created"],
    ),
    "a claim that is not made": (replace(waiting_pod(), claim=None), "ClaimPending", ["berth-genomics"]),
    "a growing claim": (
        replace(
            HEALTHY,
            claim=replace(CLAIM, capacity="5Gi", resize="FileSystemResizePending", resize_message="waiting for user"),
        ),
        "ClaimResizing",
        ["5Gi", "10Gi", "FileSystemResizePending: waiting for user"],
    ),
    "no node for the pod": (UNSCHEDULABLE, "RegistryUnschedulable", ["registry-1", "too little memory"]),
    "a volume that does not mount": (UNMOUNTED, "RegistryStarting", ["registry-1", "no such disk"]),
    "a first crash": (waiting_pod(restarts=1, last_exit_code=1), "RegistryStarting", ["0 of 1"]),
    "no deployment yet": (replace(HEALTHY, deployment=None, pods=(), probe=None), "RegistryStarting", ["Deployment"]),
    "a deployment that the cluster has not seen": (
        replace(HEALTHY, deployment=replace(DEPLOYMENT, observed_generation=1)),
        "RegistryStarting",
        ["registry pods"],
    ),
    "a registry that Berth cannot reach": (
        probed(ProbeOutcome.UNREACHABLE, "timed out"),
        "RegistryUnreachable",
        ["timed out", "NetworkPolicy"],
    ),
    "a registry that refuses Berth's tokens": (probed(ProbeOutcome.REFUSED, "401"), "Progressing", ["401", "CA"]),
    "a policy that is not written": (
        replace(HEALTHY, access=ObservedAccess()),
        "PolicyPending",
        ["genomics", "Active"],
    ),
    "a policy of before": (replace(HEALTHY, access=ObservedAccess(PolicyState.TRASHED)), "PolicyPending", ["Active"]),
    "no keys": (replace(HEALTHY, access=replace(ACTIVE, signing_keys_ready=False)), "InstallationNotReady", ["keys"]),
    "no access service": (
        replace(HEALTHY, access=replace(ACTIVE, is_serving=False)),
        "InstallationNotReady",
        ["No Pod"],
    ),
    "a namespace that goes": (
        replace(HEALTHY, namespace=ObservedNamespace("berth-genomics", terminating=True, project="genomics")),
        "NamespaceTerminating",
        ["Namespace berth-genomics"],
    ),
    "an API server that is busy": (
        replace(HEALTHY, failure=ApplyFailure("Service", "registry", "too many requests")),
        "ApplyRefused",
        ["Service registry"],
    ),
}


@pytest.mark.parametrize("situation", list(PROGRESSING))
def test_a_progressing_situation_is_reconciling_with_its_cause(situation: str) -> None:
    observed, reason, words = PROGRESSING[situation]
    status = status_of(project(), observed)
    assert condition_state(status, "Ready") == ("False", reason)
    assert condition_state(status, "Reconciling") == ("True", reason)
    assert condition_state(status, "Stalled")[0] == "absent"
    message = condition(status, "Ready")["message"]
    assert [word for word in words if word not in message] == []


def test_a_claim_that_waits_for_its_pod_lets_the_pod_explain() -> None:
    late = ObservedStorageClass("fast", waits_for_consumer=True)
    status = status_of(project(), replace(UNSCHEDULABLE, claim=pending().claim, storage_class=late))
    assert condition_state(status, "StorageReady") == ("False", "ClaimPending")
    assert condition_state(status, "Ready") == ("False", "RegistryUnschedulable")


def test_a_stalled_finding_precedes_a_progressing_one() -> None:
    status = status_of(project(), replace(waiting_pod(**CRASHING), claim=replace(CLAIM, capacity="5Gi")))
    assert condition_state(status, "StorageReady") == ("False", "ClaimResizing")
    assert condition_state(status, "Ready") == ("False", "RegistryCrashLooping")


def test_a_panic_is_quoted_and_not_its_stack() -> None:
    status = status_of(project(), waiting_pod(**CRASHING, last_message="panic: no CA\ngoroutine 1:\n\tmain.go:1"))
    assert condition_state(status, "StorageReady") == ("Unknown", "ClaimBound")
    assert condition_state(status, "Stalled") == ("True", "RegistryCrashLooping")
    assert "panic: no CA" in condition(status, "Stalled")["message"]


def test_a_refused_claim_is_explained_by_its_class_and_size() -> None:
    small = replace(CLAIM, requested="5Gi", capacity="5Gi")
    refused = ApplyFailure("PersistentVolumeClaim", "registry", "forbidden", is_permanent=True)
    observed = replace(HEALTHY, claim=small, storage_class=ObservedStorageClass("fast"), failure=refused)
    assert condition_state(status_of(project(), observed), "Stalled") == ("True", "ClaimNotExpandable")


def test_one_of_several_pods_keeps_the_registry_available() -> None:
    shared = project(claim={"accessMode": "ReadWriteMany"}, registry={"replicas": 2})
    deployment = replace(DEPLOYMENT, replicas=2, updated=2, available=1, current=2)
    status = status_of(shared, replace(HEALTHY, deployment=deployment))
    assert condition_state(status, "RegistryAvailable") == ("True", "RegistryStarting")
    assert condition_state(status, "Ready") == ("False", "RegistryStarting")


def test_a_pod_that_ends_does_not_count_against_its_successor() -> None:
    old = replace(POD, name="registry-0", ready=False, terminating=True, event="Unhealthy: gone")
    assert condition_state(status_of(project(), replace(HEALTHY, pods=(old, POD))), "Ready")[0] == "True"


def test_a_suspended_project_has_reached_its_state_when_no_pod_is_left() -> None:
    going = replace(STOPPED, deployment=ObservedDeployment(replicas=0, current=1))
    assert condition_state(status_of(project(suspend=True), going), "Ready") == ("False", "RegistryStopped")
    status = status_of(project(suspend=True), STOPPED)
    assert condition_state(status, "Ready") == ("True", "Suspended")
    assert condition_state(status, "Suspended") == ("True", "Suspended")
    assert condition_state(status, "RegistryAvailable") == ("False", "RegistryStopped")
    assert condition_state(status, "StorageReady") == ("Unknown", "ClaimBound")
    assert "spec.suspend" in condition(status, "RegistryAvailable")["message"]


def test_a_project_that_goes_on_is_not_suspended_any_more() -> None:
    assert condition_state(status_of(project(), HEALTHY), "Suspended") == ("absent", "")


def test_trash_is_reported_with_the_way_to_restore() -> None:
    observed = replace(HEALTHY, access=ObservedAccess(PolicyState.TRASHED))
    status = status_of(project(trashed=True), observed)
    assert condition_state(status, "Trashed") == ("True", "ProjectTrashed")
    assert condition_state(status, "Ready") == ("True", "ProjectTrashed")
    assert "spec.trashed to false" in condition(status, "Trashed")["message"]


def test_trash_is_not_in_force_before_the_policy_says_so() -> None:
    status = status_of(project(trashed=True), HEALTHY)
    assert condition_state(status, "Ready") == ("False", "PolicyPending")


def test_a_deleted_project_says_that_its_data_is_kept() -> None:
    observed = replace(STOPPED, access=ObservedAccess(PolicyState.TRASHED))
    status = status_of(project(metadata=DELETED), observed)
    assert condition_state(status, "Trashed") == ("True", "ProjectDeleted")
    assert condition_state(status, "RegistryAvailable") == ("False", "RegistryStopped")
    assert condition_state(status, "Ready") == ("False", "ProjectDeleted")
    assert "namespace berth-genomics is kept" in condition(status, "Ready")["message"]


def test_time_alone_changes_no_byte() -> None:
    first = status_of(project(), HEALTHY)
    given = project().model_copy(update={"status": type(project().status).model_validate(first)})
    assert status_of(given, HEALTHY, NOW + timedelta(days=400)) == first


def test_a_transition_time_moves_with_the_status_alone() -> None:
    first = status_of(project(), replace(HEALTHY, probe=None))
    given = project().model_copy(update={"status": type(project().status).model_validate(first)})
    later = NOW + timedelta(minutes=1)
    second = status_of(given, HEALTHY, later)
    assert condition(second, "Ready")["lastTransitionTime"] == "2026-11-24T12:01:00Z"
    assert condition(second, "RegistryAvailable")["lastTransitionTime"] == "2026-11-24T12:00:00Z"
    unreachable = status_of(given, probed(ProbeOutcome.UNREACHABLE), later)
    assert condition(unreachable, "Ready")["lastTransitionTime"] == "2026-11-24T12:00:00Z"
    assert condition(unreachable, "Ready")["reason"] == "RegistryUnreachable"


def test_a_refused_claim_that_waits_for_storage_is_explained_by_the_api_server() -> None:
    refused = ApplyFailure("PersistentVolumeClaim", "registry", "forbidden", is_permanent=False)
    observed = replace(pending(event="no volume yet"), failure=refused)
    assert condition_state(status_of(project(), observed), "Ready") == ("False", "ApplyRefused")


def test_another_refused_child_is_explained_before_a_stalled_claim() -> None:
    refused = ApplyFailure("Service", "registry", "forbidden", is_permanent=True)
    observed = replace(HEALTHY, claim=replace(CLAIM, phase="Lost"), failure=refused)
    assert condition_state(status_of(project(), observed), "Stalled") == ("True", "ApplyRefused")


def test_pull_secrets_have_a_condition_only_where_the_spec_has_some() -> None:
    assert condition_state(status_of(project(), HEALTHY), "PullSecretsServed")[0] == "absent"
    served = PullSecretStatus(namespace="web", served=True, reason="Served")
    status = status_of(project(), replace(HEALTHY, pull_secrets=(served,)))
    assert condition_state(status, "PullSecretsServed") == ("True", "Served")
    assert condition(status, "PullSecretsServed")["message"] == "1 of 1 namespaces served."


def test_namespaces_without_a_pull_secret_are_named_and_the_project_is_ready() -> None:
    served = PullSecretStatus(namespace="web", served=True, reason="Served")
    refused = PullSecretStatus(namespace="analysis", served=False, reason="ConsentMissing", message="No consent.")
    status = status_of(project(), replace(HEALTHY, pull_secrets=(served, refused)))
    assert condition_state(status, "PullSecretsServed") == ("False", "NotServed")
    assert "Without a pull secret: analysis;" in condition(status, "PullSecretsServed")["message"]
    assert condition_state(status, "Ready")[0] == "True"


def test_a_failure_of_a_complete_replica_set_is_no_problem() -> None:
    deployment = replace(DEPLOYMENT, failure="exceeded quota: q")
    assert condition_state(status_of(project(), replace(HEALTHY, deployment=deployment)), "Ready")[0] == "True"
    lacking = replace(DEPLOYMENT, available=0, current=0)
    status = status_of(project(), replace(HEALTHY, deployment=lacking, pods=()))
    assert condition_state(status, "RegistryAvailable") == ("False", "RegistryStarting")


@pytest.mark.parametrize(
    ("last", "quoted"),
    [
        ({"last_message": '{"level":"fatal","msg":"no such CA"}'}, "berth-genomics: no such CA; kubectl logs"),
        ({"last_message": '["no such CA"]'}, 'berth-genomics: ["no such CA"]; kubectl logs'),
        ({"last_message": '{"msg":""}'}, 'berth-genomics: {"msg":""}; kubectl logs'),
        ({"last_message": '{"msg":3}'}, 'berth-genomics: {"msg":3}; kubectl logs'),
        ({}, "berth-genomics: Error; kubectl logs"),
        ({"last_reason": ""}, "berth-genomics: no message; kubectl logs"),
    ],
)
def test_the_message_of_a_crashed_registry_is_quoted(last: dict[str, str], quoted: str) -> None:
    status = status_of(project(), waiting_pod(**{**CRASHING, **last}))
    assert quoted in condition(status, "Stalled")["message"]


@pytest.mark.parametrize(
    ("late", "event", "words"),
    [
        (True, "", "as soon as the registry's pod has a node"),
        (True, "no capacity", "not bound yet: no capacity;"),
        (False, "", "not bound yet by StorageClass fast;"),
    ],
)
def test_an_unbound_claim_says_what_it_waits_for(late: bool, event: str, words: str) -> None:
    storage_class = ObservedStorageClass("fast", waits_for_consumer=late)
    status = status_of(project(), replace(pending(event=event), storage_class=storage_class))
    assert words in condition(status, "StorageReady")["message"]


@pytest.mark.parametrize(("capacity", "size"), [("10Gi", " (10Gi)"), ("", "")])
def test_the_size_of_a_bound_claim_is_shown_where_it_is_known(capacity: str, size: str) -> None:
    status = status_of(project(), replace(HEALTHY, claim=replace(CLAIM, capacity=capacity)))
    expected = f"Claim registry in namespace berth-genomics is bound{size} and writable."
    assert condition(status, "StorageReady")["message"] == expected
