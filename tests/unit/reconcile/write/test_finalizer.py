"""When the finalizer is set and removed."""

from __future__ import annotations

from typing import Any

import pytest

from berth.api import names
from berth.kube.errors import ConflictError
from berth.kube.resources import PROJECTS, Manifest
from berth.reconcile.write import finalizer
from tests.kit.operator.memory import Operator, Write, project

OTHER = "example.org/other"
DELETED = {"deletionTimestamp": "2026-11-24T12:00:00Z"}


def put(operator: Operator, finalizers: list[str] | None, **metadata: Any) -> Manifest:
    live = project()
    live["metadata"] |= metadata if finalizers is None else {"finalizers": finalizers, **metadata}
    return operator.put(live)


@pytest.mark.parametrize(
    ("finalizers", "metadata", "after"),
    [
        (None, {}, [names.FINALIZER]),
        ([OTHER], {}, [OTHER, names.FINALIZER]),
        ([names.FINALIZER], {}, None),
        ([OTHER], DELETED, None),
    ],
    ids=["none", "another's", "already there", "being deleted"],
)
async def test_it_is_added_beside_others_and_never_to_an_object_that_is_being_deleted(
    finalizers: list[str] | None, metadata: dict[str, Any], after: list[str] | None
) -> None:
    operator = Operator()
    live = put(operator, finalizers, **metadata)
    held = await finalizer.add(operator.context.client, operator.caches, live)
    if after is None:
        assert (held, operator.api.writes) == (live, [])
    else:
        assert held["metadata"]["finalizers"] == after
        assert operator.caches.live(PROJECTS, ("", "alpha")) == held
        assert operator.api.writes == [Write("merge", "Project", "alpha")]


@pytest.mark.parametrize(("finalizers", "after"), [([OTHER, names.FINALIZER], [OTHER]), ([OTHER], None), (None, None)])
async def test_it_is_removed_alone(finalizers: list[str] | None, after: list[str] | None) -> None:
    operator = Operator()
    live = put(operator, finalizers, **DELETED)
    await finalizer.remove(operator.context.client, operator.caches, live)
    if after is None:
        assert operator.api.writes == []
    else:
        assert operator.api.objects[PROJECTS, ("", "alpha")]["metadata"]["finalizers"] == after


async def test_an_object_that_changed_since_it_was_read_is_a_conflict() -> None:
    operator = Operator()
    live = put(operator, None)
    operator.change(PROJECTS, "alpha", spec={"description": "new"})
    with pytest.raises(ConflictError):
        await finalizer.add(operator.context.client, operator.caches, live)
