"""Pull secrets on a cluster: a namespace agrees, and its Pods pull with no more set-up; rotated, and taken back."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.suite import pods
from e2e.suite.clients.client import Outcome, Reference, Seat
from e2e.suite.clients.crane import Crane
from e2e.suite.clients.kubelet import Kubelet, await_verdict
from e2e.suite.clients.refusal import TOKEN_REVOKED, assert_refused
from e2e.suite.content import Kind, make
from e2e.suite.crowd import Crowd, Projects
from e2e.suite.http import Session, Wire
from e2e.suite.world import HOST, SYSTEM, Cluster, Person, Result, eventually, with_page

CONSENT = "berth-pull-secret-writer"
ROTATE = "berth.dev/rotate-pull-secrets"
TAG = "v1"


@dataclass(frozen=True)
class Shop:
    """A project with an image, and what its status says of the namespaces that pull from it."""

    cluster: Cluster
    wire: Wire
    project: str

    @property
    def repository(self) -> str:
        return f"{self.project}/app"

    @property
    def image(self) -> Reference:
        return Reference(self.repository, TAG)

    @property
    def secret(self) -> str:
        return f"berth-{self.project}"

    def serve(self, *entries: dict[str, Any]) -> None:
        """Name these namespaces and no others."""
        self.cluster.patch("project", self.project, {"spec": {"pullSecrets": list(entries)}}).must()

    def reported(self, namespace: str) -> dict[str, Any]:
        """What the status says of a namespace."""
        found = (self.cluster.get("project", self.project) or {}).get("status", {}).get("pullSecrets", [])
        return next((dict(entry) for entry in found if entry["namespace"] == namespace), {})

    def until(self, namespace: str, reason: str) -> dict[str, Any]:
        """Wait until the status gives this reason for a namespace."""
        eventually(lambda: self.reported(namespace).get("reason") == reason, f"namespace {namespace} is {reason}")
        return self.reported(namespace)

    def login(self, namespace: str) -> Session:
        """A client with the Secret of that namespace."""
        found = self.cluster.get("secret", self.secret, namespace)
        assert found is not None, f"Secret {self.secret} in namespace {namespace} is not there"
        login = json.loads(base64.b64decode(found["data"][".dockerconfigjson"]))["auths"][HOST]
        return Session(self.wire, Person(login["username"], login["password"], self.cluster.state))

    def runs(self, namespace: str, pod: str, account: str = "default", **spec: Any) -> None:
        """A new Pod there gets the image and runs it."""
        self.start(namespace, pod, account, **spec)
        pods.await_running(self.cluster, namespace, pod)

    def start(self, namespace: str, pod: str, account: str = "default", **spec: Any) -> None:
        self.cluster.apply(pods.image_pod(namespace, pod, str(self.image), account, **spec))

    def refused(self, namespace: str, pod: str, account: str, sentence: str) -> None:
        """A new Pod there is refused the image, and its event says why."""
        self.start(namespace, pod, account)
        message, good = await_verdict(self.cluster, namespace, pod)
        outcome = Outcome(Result(("kubelet", str(self.image)), 0 if good else 1, message, ""))
        assert_refused(outcome, Kubelet.refusals.pull, self.image, sentence)


@pytest.fixture(scope="module")
def shop(
    cluster: Cluster, crowd: Crowd, wire: Wire, projects: Projects, tmp_path_factory: pytest.TempPathFactory
) -> Shop:
    made = Shop(cluster, wire, projects.make("shop"))
    folder: Path = tmp_path_factory.mktemp("shop")
    Crane().push(Seat(cluster, crowd.curator, folder), make(Kind.IMAGE, folder / "app", "app", TAG), made.image).must()
    return made


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A user's namespace with a ServiceAccount `worker`."""
    name = pods.make_namespace(cluster, "analysis")
    cluster.apply(pods.service_account(name, "worker"))
    eventually(lambda: cluster.get("serviceaccount", "default", name), "the namespace is in order")
    yield name
    pods.remove_namespace(cluster, name)


def agree(cluster: Cluster, namespace: str) -> None:
    """Run the command that the manual gives to the namespace's administrator."""
    made = ("create", "rolebinding", CONSENT, f"--clusterrole={CONSENT}", f"--serviceaccount={SYSTEM}:berth-operator")
    cluster.kubectl(f"--namespace={namespace}", *made).must()


def test_a_namespace_that_agrees_runs_the_projects_image_under_the_named_account_with_no_more_set_up(
    cluster: Cluster, shop: Shop, namespace: str
) -> None:
    shop.serve({"namespace": namespace, "serviceAccounts": ["worker"]})
    message = shop.until(namespace, "ConsentMissing")["message"]
    assert message.startswith(f"Namespace {namespace} does not let Berth write its pull secret; ")
    assert cluster.get("secret", shop.secret, namespace) is None
    command = message.partition("kubectl ")[2].split()
    cluster.kubectl(*command).must()
    entry = shop.until(namespace, "Served")
    assert (entry["served"], entry["secretName"]) == (True, shop.secret)
    shop.runs(namespace, "by-account", "worker")
    shop.runs(namespace, "by-name", imagePullSecrets=[{"name": shop.secret}])
    anonymous = f"You are not logged in, and {shop.repository} is not public; log in (docker login) and try again."
    shop.refused(namespace, "without", "default", anonymous)


def test_a_pull_secret_pulls_from_its_project_and_does_nothing_else(
    cluster: Cluster, shop: Shop, namespace: str, projects: Projects, curator: Session
) -> None:
    agree(cluster, namespace)
    shop.serve({"namespace": namespace})
    shop.until(namespace, "Served")
    login = shop.login(namespace)
    eventually(lambda: login.pull(shop.repository, TAG).must(200), "the Secret pulls")
    robot = f"{shop.project}.pull.{namespace}"
    refused = login.start_upload(shop.repository).must(403).refusal[2]
    sentence = f"{robot} has Download on {shop.repository}, and push needs Edit; "
    sentence += f"ask someone with Administer on project {shop.project} for Edit."
    assert refused == with_page(sentence, "push", shop.repository)
    other = login.pull("nobodys/app", TAG).must(403).refusal[2]
    assert other.startswith(f"nobodys/app does not exist or is not shared with {robot};")


def test_a_rotation_on_demand_leaves_the_old_login_until_a_pod_has_used_the_new_one(
    cluster: Cluster, shop: Shop, namespace: str
) -> None:
    agree(cluster, namespace)
    shop.serve({"namespace": namespace, "serviceAccounts": ["worker"]})
    shop.until(namespace, "Served")
    old = shop.login(namespace)
    eventually(lambda: old.pull(shop.repository, TAG).must(200), "the first Secret pulls")
    note = f"{ROTATE}={namespace}"
    cluster.kubectl("annotate", "project", shop.project, "--overwrite", note).must()
    eventually(lambda: shop.login(namespace).person != old.person, "the Secret has another login")
    old.pull(shop.repository, TAG).must(200)
    shop.runs(namespace, "after-rotation", "worker")
    eventually(lambda: old.pull(shop.repository, TAG).must(403), "the old login is refused")
    assert old.pull(shop.repository, TAG).refusal == (403, "DENIED", TOKEN_REVOKED)
    shop.login(namespace).pull(shop.repository, TAG).must(200)


def test_a_namespace_that_does_not_exist_is_in_the_status_with_the_sentence(cluster: Cluster, shop: Shop) -> None:
    shop.serve({"namespace": "nowhere-at-all"})
    entry = shop.until("nowhere-at-all", "NamespaceNotFound")
    assert entry == {
        "namespace": "nowhere-at-all",
        "served": False,
        "reason": "NamespaceNotFound",
        "message": "Namespace nowhere-at-all does not exist: create it, or remove it from spec.pullSecrets.",
    }
    served = cluster.condition("project", shop.project, "PullSecretsServed")
    assert (served["status"], served["message"]) == (
        "False",
        "Without a pull secret: nowhere-at-all; status.pullSecrets says why and what to do.",
    )
    assert cluster.condition("project", shop.project, "Ready")["status"] == "True"


def test_consent_that_is_taken_back_revokes_the_login_at_once_and_both_status_and_pods_name_the_cure(
    cluster: Cluster, shop: Shop, namespace: str
) -> None:
    agree(cluster, namespace)
    shop.serve({"namespace": namespace, "serviceAccounts": ["worker"]})
    shop.until(namespace, "Served")
    shop.runs(namespace, "before", "worker")
    held = shop.login(namespace).hold(shop.repository, "pull")
    held.pull(shop.repository, TAG).must(200)
    cluster.kubectl("delete", "rolebinding", CONSENT, f"--namespace={namespace}").must()
    eventually(lambda: held.pull(shop.repository, TAG).must(403), "the login is refused")
    assert held.pull(shop.repository, TAG).refusal == (403, "DENIED", TOKEN_REVOKED)
    message = shop.until(namespace, "ConsentMissing")["message"]
    assert f"the token in Secret {shop.secret} there is revoked" in message
    shop.refused(namespace, "afterwards", "worker", TOKEN_REVOKED)
    cluster.kubectl(*message.partition("(kubectl ")[2].partition(")")[0].split()).must()
    assert cluster.get("secret", shop.secret, namespace) is None


def test_an_entry_that_goes_takes_secret_login_and_the_accounts_mention_with_it(
    cluster: Cluster, shop: Shop, namespace: str
) -> None:
    agree(cluster, namespace)
    shop.serve({"namespace": namespace, "serviceAccounts": ["worker"]})
    shop.until(namespace, "Served")
    held = shop.login(namespace)
    eventually(lambda: held.pull(shop.repository, TAG).must(200), "the Secret pulls")
    account = cluster.get("serviceaccount", "worker", namespace) or {}
    assert account["imagePullSecrets"] == [{"name": shop.secret}]
    shop.serve()
    eventually(lambda: cluster.get("secret", shop.secret, namespace) is None, "the Secret is gone")
    eventually(lambda: held.pull(shop.repository, TAG).must(403), "the login is refused")
    eventually(
        lambda: not (cluster.get("serviceaccount", "worker", namespace) or {}).get("imagePullSecrets"),
        "the ServiceAccount mentions it no more",
    )
