"""What every kind has in common: gone, unreadable, an error in Berth, and what follows from an outcome."""

from __future__ import annotations

from typing import Any

import pytest

from berth.kube.errors import ConflictError, ForbiddenError, UnavailableError
from berth.kube.resources import ACCESS_TOKENS, DOCKER_REPOSITORIES, PROJECTS, REGISTRY_USERS, Resource
from berth.reconcile import dispatch
from berth.reconcile.dispatch import CONFLICT_RETRY_SECONDS, RECONCILERS, Dispatcher, Reconciler, RequeueError
from berth.reconcile.outcome import STALLED_RESYNC_SECONDS, Done, Outcome, Retrying, Stalled, Waiting
from berth.reconcile.watch.caches import WHOLE
from berth.reconcile.watch.keys import INSTALLATION
from tests.kit.operator.memory import Operator, manifest, project, user

READY = {"type": "Ready", "status": "True", "reason": "Ready", "message": "Good.", "observedGeneration": 1}
STATUS = {
    "observedGeneration": 1,
    "members": 7,
    "conditions": [{**READY, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
}


def answer(monkeypatch: pytest.MonkeyPatch, result: Outcome | Exception) -> None:
    """Replace the reconciler of users."""

    async def reconcile(*_: object) -> Outcome:
        if isinstance(result, Exception):
            raise result
        return result

    row: Reconciler[Any] = RECONCILERS["RegistryUser"]
    changed = {**RECONCILERS, "RegistryUser": Reconciler(row.resource, row.model, reconcile)}
    monkeypatch.setattr(dispatch, "RECONCILERS", changed)


@pytest.mark.parametrize(
    ("outcome", "after"),
    [
        (Done(), None),
        (Done(7.0), 7.0),
        (Waiting("a claim", 10.0), 10.0),
        (Stalled("a quota"), STALLED_RESYNC_SECONDS),
        (Stalled("a quota", 3.0), 3.0),
    ],
)
async def test_an_outcome_decides_the_next_reconcile(
    outcome: Outcome, after: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = Operator()
    operator.put(user("ann"))
    answer(monkeypatch, outcome)
    assert await operator.reconcile(REGISTRY_USERS, "ann") == after


async def test_a_refused_write_is_requeued_with_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = Operator()
    operator.put(user("ann"))
    answer(monkeypatch, Retrying("a right is missing"))
    with pytest.raises(RequeueError, match="a right is missing"):
        await operator.reconcile(REGISTRY_USERS, "ann")


async def test_a_conflict_is_tried_again_soon_and_another_error_of_the_api_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operator = Operator()
    operator.put(user("ann"))
    answer(monkeypatch, ConflictError("changed"))
    assert await operator.reconcile(REGISTRY_USERS, "ann") == CONFLICT_RETRY_SECONDS
    answer(monkeypatch, UnavailableError("away"))
    with pytest.raises(UnavailableError):
        await operator.reconcile(REGISTRY_USERS, "ann")
    assert operator.api.writes == []


async def test_an_error_in_berth_makes_ready_unknown_and_keeps_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = Operator()
    operator.put({**user("ann"), "status": STATUS})
    answer(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await operator.reconcile(REGISTRY_USERS, "ann")
    assert operator.condition(REGISTRY_USERS, "ann", "Ready") == ("Unknown", "InternalError")
    assert operator.condition(REGISTRY_USERS, "ann", "Reconciling") == ("True", "InternalError")
    assert operator.status(REGISTRY_USERS, "ann")["members"] == 7


async def test_an_error_that_cannot_be_written_is_raised_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = Operator()
    operator.put(user("ann"))
    operator.api.refusals["apply", "RegistryUser"] = ForbiddenError("may not")
    answer(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await operator.reconcile(REGISTRY_USERS, "ann")


async def test_an_error_in_the_installation_has_no_status(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = Operator()

    async def reconcile(_: object) -> Outcome:
        raise ZeroDivisionError

    monkeypatch.setattr(dispatch, "reconcile_installation", reconcile)
    with pytest.raises(ZeroDivisionError):
        await Dispatcher(operator.context).work(INSTALLATION)
    assert operator.api.writes == []


@pytest.mark.parametrize("resource", [PROJECTS, REGISTRY_USERS, ACCESS_TOKENS], ids=lambda found: found.kind)
async def test_an_unreadable_object_is_stalled_and_names_the_field(resource: Resource) -> None:
    operator = Operator()
    broken = manifest(resource, "x", type="Dragon", storage="none", sha256=7)
    operator.put(broken)
    assert await operator.reconcile(resource, "x") == STALLED_RESYNC_SECONDS
    assert operator.condition(resource, "x", "Stalled") == ("True", "InvalidSpec")
    (ready,) = [c for c in operator.status(resource, "x")["conditions"] if c["type"] == "Ready"]
    assert ready["message"].startswith("spec.")
    assert "cannot be read by this version of Berth" in ready["message"]
    assert await operator.reconcile(resource, "x") == STALLED_RESYNC_SECONDS
    assert len(operator.api.writes) == 1


async def test_an_unreadable_object_waits_for_access_like_any_other() -> None:
    operator = Operator()
    operator.problem = "Pod access-0 of the access service does not answer."
    operator.put(manifest(REGISTRY_USERS, "x", type="Dragon"))
    assert await operator.reconcile(REGISTRY_USERS, "x") == 1.0


@pytest.mark.parametrize("resource", [DOCKER_REPOSITORIES, REGISTRY_USERS], ids=lambda found: found.kind)
async def test_an_object_that_is_gone_costs_nothing(resource: Resource) -> None:
    operator = Operator()
    namespace = "berth-alpha" if resource.namespaced else ""
    assert await operator.reconcile(resource, "x", namespace) is None
    assert operator.api.writes == []


async def test_an_object_of_the_name_of_one_that_is_gone_gets_its_status_at_once() -> None:
    operator = Operator()
    operator.put(project())
    await operator.reconcile(PROJECTS, "alpha")
    operator.remove(PROJECTS, "alpha")
    await operator.reconcile(PROJECTS, "alpha")
    operator.put(project(description="another"))
    operator.api.writes.clear()
    await operator.reconcile(PROJECTS, "alpha")
    assert [write.subresource for write in operator.api.writes if write.kind == "Project"] == ["", "status"]


def test_every_kind_of_berth_with_a_status_of_the_operator_has_a_reconciler() -> None:
    own = {resource.kind for resource in WHOLE if resource.group == "berth.dev"}
    assert set(RECONCILERS) == own
    assert all(row.resource.kind == kind for kind, row in RECONCILERS.items())
