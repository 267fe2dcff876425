"""Quantities mean what Kubernetes means by them."""

from __future__ import annotations

import random

import pytest

from berth.api.quantities import exact_quantity, format_quantity, format_size, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1", 1),
        ("50Gi", 50 * 2**30),
        ("100G", 100 * 10**9),
        ("1.5Gi", 3 * 2**29),
        (".5Ki", 512),
        ("5.", 5),
        ("1k", 1000),
        ("2Ei", 2 * 2**60),
        ("1E", 10**18),
        ("1e3", 1000),
        ("1E3", 1000),
        ("12e-1", 2),
        ("100m", 1),
        ("1001m", 2),
        ("1n", 1),
        ("+3Mi", 3 * 2**20),
        ("-1.5", -1),
    ],
)
def test_a_quantity_is_read_and_rounded_up(text: str, value: int) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize("text", ["", "Gi", "50gi", "50GiB", "50 Gi", "1K", "1.2.3", "ten", "1e", "0x10", "1Gi\n", "٣"])
def test_what_kubernetes_does_not_accept_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a quantity: write a number and a unit, for example 50Gi"):
        parse_quantity(text)


def test_fractions_of_a_core_are_kept() -> None:
    assert exact_quantity("250m") * 4 == 1


def test_an_exact_quantity_reads_back_as_the_same_number() -> None:
    numbers = random.Random(7)
    for _ in range(500):
        value = numbers.randrange(2 ** numbers.randrange(1, 62))
        assert parse_quantity(format_quantity(value)) == value


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (1000, "1000"), (1024, "1Ki"), (50 * 2**30, "50Gi"), (2**30 + 1, "1073741825")]
)
def test_an_exact_quantity_is_short(value: int, text: str) -> None:
    assert format_quantity(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (9999, "9999"), (10_000, "10Ki"), (641_728_635, "613Mi")])
def test_a_size_for_people_is_rounded_up_to_four_digits(value: int, text: str) -> None:
    assert format_size(value) == text


def test_a_size_for_people_is_never_less_than_the_size_and_at_most_a_tenth_more() -> None:
    numbers = random.Random(11)
    for _ in range(500):
        value = numbers.randrange(2 ** numbers.randrange(1, 62))
        assert value <= parse_quantity(format_size(value)) <= value * 1.11 + 1
