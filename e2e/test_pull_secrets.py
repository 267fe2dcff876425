"""Pods that pull with the Secret that Berth made for their namespace, until it is taken back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from e2e.suite.clients import SEEDER
from e2e.suite.clients.client import Outcome, Reference
from e2e.suite.clients.kubelet import Kubelet, await_verdict
from e2e.suite.clients.refusal import TOKEN_REVOKED, assert_refused
from e2e.suite.clients.stage import TAG, Stage, json_items
from e2e.suite.pods import image_pod, make_namespace, remove_namespace
from e2e.suite.world import Result, eventually

PROJECT = "clients-lent"
SECRET = f"berth-{PROJECT}"
CONSENT = "berth-pull-secret-writer"


@pytest.fixture
def namespace(stage: Stage) -> Iterator[str]:
    """A namespace that has let the operator write its pull secrets."""
    name = make_namespace(stage.cluster, "lab")
    consent = (
        "create",
        "rolebinding",
        CONSENT,
        f"--clusterrole={CONSENT}",
        "--serviceaccount=berth-system:berth-operator",
    )
    stage.cluster.kubectl(*consent, f"--namespace={name}").must()
    yield name
    remove_namespace(stage.cluster, name)


@pytest.fixture
def image(stage: Stage, namespace: str) -> Reference:
    """An image in a project that this namespace may pull from with its pull secret."""
    stage.project(PROJECT, pullSecrets=[{"namespace": namespace, "serviceAccounts": ["default"]}])
    reference = Reference(f"{PROJECT}/tool", TAG)
    eventually(lambda: stage.push(SEEDER, stage.curator, reference).must(), f"{reference} is pushed")
    eventually(lambda: stage.cluster.get("secret", SECRET, namespace), "the namespace has its pull secret")
    return reference


def pulls(stage: Stage, namespace: str, image: Reference) -> Outcome:
    """What the events of a new Pod say; it names no Secret, its ServiceAccount does."""
    name = f"pull-{secrets.token_hex(4)}"
    stage.cluster.apply(image_pod(namespace, name, str(image)))
    message, good = await_verdict(stage.cluster, namespace, name)
    return Outcome(Result(("kubelet", str(image)), 0 if good else 1, message, ""))


def revoke(stage: Stage, namespace: str) -> None:
    """The namespace lets the operator in no more, and then the project serves it no more: the Secret stays behind."""
    stage.cluster.kubectl("delete", "rolebinding", CONSENT, f"--namespace={namespace}").must()
    stage.cluster.patch("project", PROJECT, {"spec": {"pullSecrets": []}}).must()

    def revoked() -> bool:
        chosen = f"--selector=berth.dev/project={PROJECT}"
        return not json_items(stage.cluster.kubectl("get", "accesstokens", chosen, "--output=json").must().out)

    eventually(revoked, "no token of the project's pull secrets is left")


def test_the_event_of_a_pod_whose_pull_secret_was_revoked_names_the_cure(
    stage: Stage, namespace: str, image: Reference
) -> None:
    eventually(lambda: pulls(stage, namespace, image).result.must(), "a Pod pulls")
    revoke(stage, namespace)
    assert stage.cluster.get("secret", SECRET, namespace)
    assert_refused(pulls(stage, namespace, image), Kubelet.refusals.pull, image, TOKEN_REVOKED)
