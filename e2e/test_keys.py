"""Keys are rotated during pulls and pushes, and no granted request is refused (docs/keys.md)."""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from e2e.suite.clients.stage import json_items
from e2e.suite.crowd import Projects
from e2e.suite.http import NoAnswer, Session
from e2e.suite.world import ROOT, SYSTEM, Cluster, await_ready, eventually

LEAVES = 20
OVERLAP_SECONDS = 10
PAUSE_SECONDS = 0.05
MANY = 200  # requests
ACCESS = "--selector=app.kubernetes.io/component=access"


@pytest.fixture(scope="module")
def project(projects: Projects, curator: Session) -> str:
    name = projects.make("keys")
    curator.push(f"{name}/steady", "v1", b"steady").must(201)
    return name


@dataclass
class Traffic:
    """Pulls and pushes beside what a test does: with tokens just issued, and with every tenth kept from then on."""

    session: Session
    project: str
    issued: int = 0
    kept: list[Session] = field(default_factory=list)
    seen: list[tuple[float, str, int]] = field(default_factory=list)  # when, what, status

    def pull_fresh(self) -> None:
        """With a token of its own; some are kept for later."""
        held = self.session.hold(f"{self.project}/steady", "pull,push")
        if self.issued % 10 == 0:
            self.kept.append(held)
        self.issued += 1
        self._note("fresh pull", held.pull(f"{self.project}/steady", "v1").status)

    def pull_kept(self) -> None:
        """With the oldest, the newest and one between of the tokens that were kept."""
        for held in {id(s): s for s in (self.kept[0], self.kept[len(self.kept) // 2], self.kept[-1])}.values():
            self._note("kept pull", held.pull(f"{self.project}/steady", "v1").status)
            self._note("kept upload", held.start_upload(f"{self.project}/steady").status)

    def push(self) -> None:
        """A whole image with a token just issued."""
        self._note("push", self.session.push(f"{self.project}/pushed", secrets.token_hex(4), b"layer").status)

    def _note(self, what: str, status: int) -> None:
        self.seen.append((time.monotonic(), what, status))

    @property
    def failed(self) -> list[tuple[float, str, int]]:
        """What did not go as it should."""
        return [entry for entry in self.seen if entry[2] not in (200, 201, 202)]

    def __str__(self) -> str:
        return str(dict(Counter((what, status) for _, what, status in self.seen)))


@contextmanager
def traffic(session: Session, project: str) -> Iterator[Traffic]:
    """Send it from three threads, until the block ends."""
    made, stop = Traffic(session, project), threading.Event()
    made.pull_fresh()

    def again_and_again(act: Callable[[], None]) -> None:
        while not stop.wait(PAUSE_SECONDS):
            try:
                act()
            except NoAnswer:
                made.seen.append((time.monotonic(), act.__name__, 0))
            except AssertionError:  # no token was given
                made.seen.append((time.monotonic(), f"token for {act.__name__}", 0))

    threads = [
        threading.Thread(target=again_and_again, args=(act,)) for act in (made.pull_fresh, made.pull_kept, made.push)
    ]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def rotate(cluster: Cluster, secret: str, annotation: str, seconds: float = 60) -> None:
    """Request a rotation, and wait until it is reported as done."""
    value = secrets.token_hex(4)
    words = ("annotate", "secret", secret, f"--namespace={SYSTEM}", "--overwrite", f"berth.dev/{annotation}={value}")
    cluster.kubectl(*words).must()

    def done() -> bool:
        found = (cluster.get("secret", secret, SYSTEM) or {})["metadata"]["annotations"]
        return bool(found.get(f"berth.dev/{annotation}-done") == value)

    eventually(done, f"{annotation} of {secret} is done", seconds, every=0.05)


def deliver(cluster: Cluster) -> None:
    """Make the kubelet synchronize the pods of access at once, which renews mounted Secrets."""
    mark = f"e2e.berth.dev/look={secrets.token_hex(4)}"
    cluster.kubectl("annotate", "pods", f"--namespace={SYSTEM}", ACCESS, "--overwrite", mark).must()


def leaf_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["x5c"][0])


def signs_now(cluster: Cluster, session: Session) -> bool:
    """Whether a new token is signed by the leaf that the Secret holds."""
    pem = base64.b64decode((cluster.get("secret", "berth-token-signing", SYSTEM) or {})["data"]["tls.crt"])
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    return leaf_of(session.token()) == base64.b64encode(der).decode()


def registry_pods(cluster: Cluster, project: str) -> set[tuple[str, int]]:
    """Each pod of the project's registry, with its restarts."""
    found = cluster.kubectl("get", "pods", f"--namespace=berth-{project}", "--output=json").must()
    return {
        (pod["metadata"]["uid"], container["restartCount"])
        for pod in json_items(found.out)
        for container in pod["status"].get("containerStatuses", [])
    }


def test_the_signing_key_is_rotated_many_times_under_traffic_and_nothing_is_refused(
    cluster: Cluster, project: str, curator: Session
) -> None:
    before = registry_pods(cluster, project)
    with traffic(curator, project) as going:
        leaves = {leaf_of(going.kept[0].bearer)}
        for _ in range(LEAVES):
            rotate(cluster, "berth-token-signing", "rotate-signing-key")
            deliver(cluster)
            eventually(lambda: signs_now(cluster, curator), "the new leaf signs", every=0.05)
            leaves.add(leaf_of(curator.token()))
        oldest = len(going.seen)
        eventually(lambda: len(going.seen) > oldest + 20, "everything was tried once more")
    print(f"{LEAVES} leaves: {going}")
    assert len(leaves) > LEAVES / 2
    assert going.failed == []
    assert registry_pods(cluster, project) == before


@pytest.fixture(scope="module")
def short_overlap(cluster: Cluster) -> Iterator[None]:
    """A short overlap between an authority and its successor."""
    overlap(cluster, OVERLAP_SECONDS)
    yield
    overlap(cluster, 300)


@contextmanager
def new_authority(cluster: Cluster, session: Session, project: str) -> Iterator[Traffic]:
    """Traffic while a new authority is requested, and until every request was tried with tokens of that authority."""
    authority = signing_authority(cluster)
    with traffic(session, project) as going:
        eventually(lambda: len(going.seen) > MANY, "everything was tried with tokens of the former")
        rotate(cluster, "berth-token-ca", "rotate-authority", seconds=120)
        assert signing_authority(cluster) != authority
        deliver(cluster)
        eventually(lambda: signs_now(cluster, session), "the new authority's leaf signs", every=0.05)
        oldest, leaf = len(going.seen), leaf_of(session.token())
        eventually(lambda: leaf_of(going.kept[-1].bearer) == leaf, "a token of the new authority was kept")
        eventually(lambda: len(going.seen) > oldest + MANY, "everything was tried with tokens of both")
        yield going


@pytest.mark.usefixtures("short_overlap")
def test_the_authority_is_rotated_under_traffic_and_every_request_is_answered_and_no_registry_restarts(
    cluster: Cluster, project: str, curator: Session
) -> None:
    before = registry_pods(cluster, project)
    with new_authority(cluster, curator, project) as going:
        pass
    print(f"authority: {going}")
    assert going.failed == []
    assert registry_pods(cluster, project) == before
    assert len({leaf_of(held.bearer) for held in going.kept}) == 2


@pytest.mark.usefixtures("short_overlap")
def test_a_second_authority_in_a_row_costs_one_restart_of_each_registry_and_no_refusal(
    cluster: Cluster, project: str, curator: Session
) -> None:
    before, started = registry_pods(cluster, project), time.monotonic()
    with new_authority(cluster, curator, project) as going:
        pass
    failed = going.failed
    times = [at - started for at, _, _ in failed]
    print(f"authority again: {going}; failed from {min(times, default=0):.2f} s to {max(times, default=0):.2f} s")
    # The registry of a claim for one node is away while it restarts: that is said, and no right is denied.
    assert {status for _, _, status in failed} <= {502, 503, 504}
    assert registry_pods(cluster, project).isdisjoint(before)
    await_ready(cluster, project)
    curator.push(f"{project}/pushed", "after", b"layer").must(201)


def signing_authority(cluster: Cluster) -> str:
    """The first certificate of the bundle: the authority that signs now."""
    bundle = base64.b64decode((cluster.get("secret", "berth-token-ca", SYSTEM) or {})["data"]["ca.crt"])
    return str(x509.load_pem_x509_certificates(bundle)[0].serial_number)


def overlap(cluster: Cluster, seconds: int) -> None:
    """Set the chart's value, and wait for the operator that has it."""
    value: tuple[Any, ...] = ("--reuse-values", "--set-string", f"operator.authorityOverlap={seconds}")
    chart = str(ROOT / "charts" / "berth")
    cluster.run("helm", "upgrade", "berth", chart, f"--namespace={SYSTEM}", *value).must()
    where = f"--namespace={SYSTEM}"
    cluster.kubectl("rollout", "status", "deployment/berth-operator", where, "--timeout=60s").must()
