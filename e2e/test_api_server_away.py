"""The API server is away for longer than the policy may be old: pulls still work, pushes until then, at every client.

One outage for all of it; each test looks at what was done in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from e2e.suite.clients import CLIENTS, PUSHERS
from e2e.suite.clients.client import Client, Outcome, Pusher, Reference
from e2e.suite.clients.crane import Crane
from e2e.suite.clients.helm import Helm
from e2e.suite.clients.oras import Oras
from e2e.suite.clients.refusal import assert_refused
from e2e.suite.clients.stage import Stage, each
from e2e.suite.crowd import Projects
from e2e.suite.http import Session, open_wire
from e2e.suite.outage import Doing, meanwhile, restarts
from e2e.suite.world import ROOT, SYSTEM, Cluster, eventually

AWAY_SECONDS = 60.0
"""For which pulls are watched, at least."""
SHORTEST_AGE = 90
"""The smallest value of access.policyMaxAge, in seconds."""
USUAL_AGE = 900
PULL_SECONDS = 0.2
"""Between two pulls of those that go on all the time."""
SEVERAL = 10
"""Requests in a row, which meet every replica of access."""
AT_A_TIME = 4
PULLERS = tuple(client for client in CLIENTS if client.name != "kubelet")
"""Without an API server the kubelet gets no Pod to pull for."""


def too_old(repository: str) -> str:
    """The sentence."""
    return (
        f"The registry cannot reach its cluster, so its policy may be out of date and {repository} accepts no changes; "
        "pulls still work; try again in a few minutes."
    )


@dataclass(frozen=True)
class Outage:
    """What was done in it: `pulling` all the time; `pushed`, a digest, at its beginning; and what clients did by a
    policy that was too old."""

    project: str
    restarts_before: Mapping[str, int]
    pulling: Doing
    pushed: str
    pushes: Mapping[str, Future[Outcome]]
    pulls: Mapping[str, Future[Outcome]]


@pytest.fixture(scope="module")
def project(projects: Projects, curator: Session) -> str:
    name = projects.make("cut-off")
    curator.push(f"{name}/steady", "v1", b"steady").must(201)
    return name


@pytest.fixture(scope="module")
def short_age(cluster: Cluster) -> Iterator[None]:
    """A policy may not be old for long."""
    set_age(cluster, SHORTEST_AGE)
    yield
    set_age(cluster, USUAL_AGE)


def set_age(cluster: Cluster, seconds: int) -> None:
    """Set the chart's value, and wait until the replicas of access have it and those before them are gone."""
    where, chosen = f"--namespace={SYSTEM}", "--selector=app.kubernetes.io/component=access"
    before = cluster.kubectl("get", "pods", where, chosen, "--output=name").must().out.split()
    value = ("--reuse-values", "--set", f"access.policyMaxAge={seconds}")
    chart = str(ROOT / "charts" / "berth")
    cluster.run("helm", "upgrade", "berth", chart, f"--namespace={SYSTEM}", *value).must()
    cluster.kubectl("rollout", "status", "deployment/berth-access", where, "--timeout=90s").must()
    cluster.kubectl("wait", "--for=delete", where, *before, "--timeout=60s").must()


@pytest.fixture(scope="module")
def shelf(stage: Stage, short_age: None) -> Mapping[str, Reference]:
    """Something to pull for each client, by its name: some of them share what they have pulled.

    Made after the replicas have begun to watch, so that their policy is a little old already when the outage begins.
    """
    fillers: tuple[Pusher, ...] = (Crane(), Helm(), Oras())
    by_kind = {filler.kind: filler for filler in fillers}
    kept = {client.name: stage.reference(f"cut-off-{client.name}") for client in PULLERS}
    for client in PULLERS:
        stage.publish(by_kind[client.kind], kept[client.name])
    return kept


@pytest.fixture(scope="module")
def outage(cluster: Cluster, project: str, curator: Session, stage: Stage, shelf: Mapping[str, Reference]) -> Outage:
    for client in CLIENTS:
        stage.engines.need(client.engine)
    cluster.await_settled()
    before = restarts(cluster)
    with open_wire() as second_wire:
        puller = Session(second_wire, curator.person)
        cluster.component("kill", "kube-apiserver")
        back = time.monotonic() + AWAY_SECONDS
        try:
            with meanwhile(lambda: puller.pull(f"{project}/steady", "v1").must(200), PULL_SECONDS) as pulling:
                pushed = curator.push(f"{project}/offline", "v1", b"offline").must(201)
                eventually(
                    lambda: refused_everywhere(curator, f"{project}/late"), "pushes are refused", SHORTEST_AGE + 30, 1
                )
                pushes, pulls = tried(stage, shelf)
                eventually(lambda: time.monotonic() >= back, "a minute has passed", AWAY_SECONDS + 5, 1)
        finally:
            cluster.bring_back_api_server()
    cluster.await_settled()
    print(f"{pulling.done} pulls while the API server was away for {time.monotonic() - back + AWAY_SECONDS:.0f} s")
    return Outage(project, before, pulling, pushed.header("docker-content-digest"), pushes, pulls)


def refused_everywhere(session: Session, repository: str) -> bool:
    answers = [session.start_upload(repository) for _ in range(SEVERAL)]
    return all(each.status == 403 and each.refusal[2] == too_old(repository) for each in answers)


def tried(
    stage: Stage, shelf: Mapping[str, Reference]
) -> tuple[Mapping[str, Future[Outcome]], Mapping[str, Future[Outcome]]]:
    """The curator pushes with each client, and a downloader pulls; how it ended, by the client's name."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        pushes = {
            client.name: pool.submit(stage.push, client, stage.curator, late_push(stage, client)) for client in PUSHERS
        }
        pulls = {
            client.name: pool.submit(stage.pull, client, stage.downloader, shelf[client.name]) for client in PULLERS
        }
    return pushes, pulls


def late_push(stage: Stage, client: Client) -> Reference:
    return stage.reference(f"late-{client.name}")


def test_pulls_go_on_while_the_api_server_is_away(outage: Outage) -> None:
    assert outage.pulling.failures == []
    assert outage.pulling.done


def test_what_was_pushed_by_a_policy_that_was_recent_is_there_and_recorded(
    cluster: Cluster, outage: Outage, curator: Session
) -> None:
    eventually(lambda: curator.pull(f"{outage.project}/offline", "v1").must(200), "what was pushed meanwhile is there")

    def recorded() -> bool:
        found = cluster.get("dockerrepository", "offline", f"berth-{outage.project}") or {}
        digests = [tag["digest"] for tag in found.get("status", {}).get("tags", [])]
        return digests == [outage.pushed]

    eventually(recorded, "the push shows in the cluster once the API server is back")


@each(PUSHERS)
def test_a_push_by_a_policy_that_is_too_old_is_refused_with_the_sentence(
    stage: Stage, outage: Outage, client: Pusher
) -> None:
    reference = late_push(stage, client)
    assert_refused(outage.pushes[client.name].result(), client.refusals.push, reference, too_old(reference.path))


@each(PULLERS)
def test_a_pull_by_a_policy_that_is_too_old_is_served(outage: Outage, client: Client) -> None:
    outage.pulls[client.name].result().must()


def test_nothing_was_started_anew_and_pushes_are_taken_again_as_far_as_they_are_allowed_now(
    cluster: Cluster, outage: Outage, curator: Session
) -> None:
    repository = f"{outage.project}/steady"
    eventually(lambda: curator.push(repository, "v2", b"again").must(201), "a push is taken again", 90)
    assert restarts(cluster) == outage.restarts_before
    sharing = [{"kind": "AuthenticatedUsers", "level": "Download"}]
    cluster.patch("project", outage.project, {"spec": {"sharing": sharing}}).must()
    eventually(
        lambda: curator.push(repository, "v3", b"not allowed any more").must(403), "a right that is taken away then"
    )
