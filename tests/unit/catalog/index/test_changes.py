"""Stored annotations of a manifest, and the loss above which a walk corrects nothing."""

from __future__ import annotations

import json

import pytest

from berth.catalog.index.changes import ANNOTATIONS_LIMIT, bounded_annotations
from berth.catalog.sync.walk import Loss


def test_few_annotations_are_kept_as_they_are() -> None:
    assert bounded_annotations({"b": "2", "a": "1"}) == {"a": "1", "b": "2"}


def test_many_annotations_are_cut_below_the_limit() -> None:
    kept = bounded_annotations({f"{n:04}": "x" * 100 for n in range(1000)})
    assert 0 < len(json.dumps(kept)) <= ANNOTATIONS_LIMIT


@pytest.mark.parametrize(
    ("loss", "is_excessive"),
    [
        (Loss(0, 0, 0, 0), False),
        (Loss(1, 1, 1, 1), True),
        (Loss(10, 5, 100, 0), False),
        (Loss(10, 6, 100, 0), True),
        (Loss(10, 0, 10, 10), False),
        (Loss(10, 0, 20, 11), True),
        (Loss(10, 0, 100, 50), False),
        (Loss(10, 0, 100, 51), True),
    ],
)
def test_a_walk_that_misses_most_is_not_believed(loss: Loss, is_excessive: bool) -> None:
    assert loss.is_excessive is is_excessive


def test_annotations_are_kept_up_to_the_last_byte() -> None:
    room = ANNOTATIONS_LIMIT - 2 - len(json.dumps({"a": ""}))
    assert set(bounded_annotations({"a": "x" * room})) == {"a"}
    assert bounded_annotations({"a": "x" * (room + 1), "b": "y"}) == {"b": "y"}
