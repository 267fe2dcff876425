"""Kubernetes quantities: `50Gi`, `100G`, `250m`; and durations: `720h`, `1h30m`. Pure.

Source: k8s.io/apimachinery/pkg/api/resource (`<signedNumber><suffix>`; binary SI, decimal SI, decimal exponent).
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Final

_FORM = re.compile(r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?P<suffix>[KMGTPE]i|[numkMGTPE]?|[eE][+-]?\d+)", re.ASCII)
_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_FACTORS: Final = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
} | {suffix: Decimal(1024**power) for power, suffix in enumerate(_BINARY)}


def exact_quantity(text: str) -> Decimal:
    """The value of a quantity in its unit (bytes, cores). Raises ValueError for text that Kubernetes refuses."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a quantity: write a number and a unit, for example 50Gi")
    number, suffix = Decimal(found["number"]), found["suffix"]
    if suffix in _FACTORS:
        return number * _FACTORS[suffix]
    return number.scaleb(int(suffix[1:]))


def parse_quantity(text: str) -> int:
    """The value of a quantity as a whole number of its unit, rounded up as Kubernetes' `Value()` does.

    Raises ValueError for text that Kubernetes refuses.
    """
    return int(exact_quantity(text).to_integral_value(rounding=ROUND_CEILING))


def format_quantity(value: int) -> str:
    """The exact, shortest quantity of `value` bytes with a binary suffix: 1073741824 -> `1Gi`, 1000 -> `1000`."""
    power = 0
    while value and value % 1024 == 0 and power < len(_BINARY) - 1:
        value, power = value // 1024, power + 1
    return f"{value}{_BINARY[power]}"


def format_size(value: int) -> str:
    """`value` bytes for people, rounded up to four digits at most (641728635: `613Mi`); for status, not for limits."""
    power = 0
    while value >= 10_000 and power < len(_BINARY) - 1:
        value, power = -(-value // 1024), power + 1
    return f"{value}{_BINARY[power]}"


_DURATION: Final = re.compile(r"(?:(\d{1,7})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Parse hours, minutes and seconds. Raises ValueError, with one sentence, for anything else."""
    found = _DURATION.fullmatch(text) if text else None
    if found is None:
        raise ValueError(f"{text!r} is not a duration: write hours, minutes and seconds, for example 720h or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)
