"""When the pods of the access service are a reason to look at every project."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from berth.kube.resources import Manifest
from berth.reconcile.watch.access_readiness import UNREADY_GRACE, AccessReadiness, serves


def pod(name: str, ready: bool = True) -> Manifest:
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "status": {"conditions": conditions}}


def going(name: str) -> Manifest:
    found = pod(name)
    found["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    return found


class Watched:
    """Access readiness with counted reconciles of all projects, in time that the test moves."""

    def __init__(self) -> None:
        self.enqueued = 0
        self._waiting: list[Callable[[], None]] = []
        self.readiness = AccessReadiness(self._enqueue, self._later)

    def _enqueue(self) -> None:
        self.enqueued += 1

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        assert seconds == UNREADY_GRACE
        self._waiting.append(call)

    def pass_time(self) -> None:
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()


def test_the_first_ready_pod_enqueues_every_project_at_once_and_more_of_them_nothing() -> None:
    watched = Watched()
    watched.readiness.changed(None, pod("a", ready=False))
    assert watched.enqueued == 0
    watched.readiness.changed(pod("a", ready=False), pod("a"))
    watched.readiness.changed(None, pod("b"))
    assert watched.enqueued == 1


@pytest.mark.parametrize("end", [None, pod("a", ready=False), going("a")], ids=["gone", "not-ready", "going"])
def test_an_outage_enqueues_every_project_after_a_while_and_its_end_at_once(end: Manifest | None) -> None:
    watched = Watched()
    watched.readiness.changed(None, pod("a"))
    watched.readiness.changed(pod("a"), end)
    assert watched.enqueued == 1
    watched.pass_time()
    assert watched.enqueued == 2
    watched.readiness.changed(None, pod("b"))
    assert watched.enqueued == 3


def test_while_another_pod_is_ready_one_that_goes_enqueues_nothing() -> None:
    watched = Watched()
    watched.readiness.changed(None, pod("a"))
    watched.readiness.changed(None, pod("b"))
    watched.readiness.changed(pod("a"), None)
    watched.pass_time()
    assert watched.enqueued == 1


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ([], False),
        ([pod("a", ready=False)], False),
        ([going("a")], False),
        ([{"metadata": {"name": "a", "uid": "u"}}], False),
        ([pod("a", ready=False), pod("b")], True),
    ],
)
def test_access_serves_while_a_pod_that_stays_is_ready(pods: list[Manifest], expected: bool) -> None:
    assert serves(pods) is expected
