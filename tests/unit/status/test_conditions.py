"""Limits of messages, and of the contract of a status."""

from __future__ import annotations

from typing import Any

import pytest

from berth.api.conditions import MESSAGE_MAX_LENGTH
from berth.status.conditions import NAMES_MAX, QUOTE_MAX_LENGTH, check_invariants, name_some, parenthesize, quote
from tests.kit.desired.samples import project
from tests.kit.status.samples import HEALTHY, status_of


def test_a_quote_is_cut_above_its_limit() -> None:
    assert quote("x" * QUOTE_MAX_LENGTH) == "x" * QUOTE_MAX_LENGTH
    assert quote("x" * (QUOTE_MAX_LENGTH + 1)) == "x" * (QUOTE_MAX_LENGTH - 1) + "…"


def test_an_empty_message_has_no_parentheses() -> None:
    assert parenthesize("") == ""
    assert parenthesize("timed out.") == " (timed out)"


def test_a_list_of_names_is_cut_above_its_limit() -> None:
    names = [f"n{number}" for number in range(NAMES_MAX + 1)]
    assert name_some(names[:-1]) == ", ".join(names[:-1])
    assert name_some(names) == f"{', '.join(names[:-1])} and 1 more"


@pytest.mark.parametrize(("length", "valid"), [(MESSAGE_MAX_LENGTH, True), (MESSAGE_MAX_LENGTH + 1, False)])
def test_the_longest_message_of_a_condition(length: int, valid: bool) -> None:
    status = status_of(project(), HEALTHY)
    status["conditions"][0]["message"] = "x" * length
    assert is_valid(status) is valid


@pytest.mark.parametrize(("generation", "valid"), [(-1, True), (-2, False), ("1", False)])
def test_the_lowest_observed_generation_is_the_default_of_the_crd(generation: Any, valid: bool) -> None:
    assert is_valid({"observedGeneration": generation}) is valid


def is_valid(status: dict[str, Any]) -> bool:
    try:
        check_invariants(status)
    except AssertionError:
        return False
    return True
