"""Sizes and compute resources in the API server's canonical form, so that equal ones compare equal.

Source: k8s.io/apimachinery/pkg/api/resource, `Quantity.CanonicalizeBytes`.
"""

from __future__ import annotations

from decimal import ROUND_CEILING
from typing import Final

from berth.api.project import ComputeResources, Resources
from berth.api.quantities import exact_quantity, format_quantity

DEFAULT_REQUESTS: Final = {"cpu": "20m", "memory": "64Mi"}
DEFAULT_LIMITS: Final = {"memory": "512Mi"}
"""No CPU limit: it would slow down pushes without any benefit."""

_DECIMAL = ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k"), (0, ""), (-3, "m"), (-6, "u"), (-9, "n"))


def canonical_quantity(text: str) -> str:
    """`1024Mi` -> `1Gi`, `0.5` -> `500m`, `1e3` -> `1k`. Raises ValueError for an invalid quantity."""
    value = exact_quantity(text)
    if text.endswith("i"):
        return format_quantity(int(value.to_integral_value(rounding=ROUND_CEILING)))
    for power, suffix in _DECIMAL:
        mantissa = value.scaleb(-power)
        if mantissa and mantissa == mantissa.to_integral_value():
            return f"{int(mantissa)}{suffix}"
    nanos = value.scaleb(9).to_integral_value(rounding=ROUND_CEILING)
    return canonical_quantity(f"{int(nanos)}n") if nanos else "0"


def larger(first: str, second: str) -> str:
    """The larger of two quantities, canonical. An empty second one is ignored."""
    if not second or exact_quantity(first) >= exact_quantity(second):
        return canonical_quantity(first)
    return canonical_quantity(second)


def container_resources(resources: Resources | None) -> dict[str, dict[str, str]]:
    """Requests and limits of the registry container.

    Defaults fill what the spec omits, adjusted so that no request exceeds its limit: the API server refuses such a pod.
    """
    requests = _specified(resources.requests if resources else None)
    limits = _specified(resources.limits if resources else None)
    for name, default in DEFAULT_LIMITS.items():
        limits.setdefault(name, larger(default, requests.get(name, "")))
    for name, default in DEFAULT_REQUESTS.items():
        requests.setdefault(name, _at_most(default, limits.get(name)))
    return {"requests": requests, "limits": limits}


def _at_most(default: str, limit: str | None) -> str:
    if limit is not None and exact_quantity(limit) < exact_quantity(default):
        return limit
    return default


def _specified(amounts: ComputeResources | None) -> dict[str, str]:
    if amounts is None:
        return {}
    pairs = (("cpu", amounts.cpu), ("memory", amounts.memory))
    return {name: canonical_quantity(value) for name, value in pairs if value is not None}
