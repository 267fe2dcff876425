"""The page of the metrics, generated from the collectors of the processes.

`python -m tests.kit.docs.metrics_page < docs/metrics.md` prints the page with the part between its markers
regenerated; a test compares the result with the page.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from berth.reconcile.workqueue import KeyedQueue
from berth.services.access.metrics import AccessMetrics
from berth.services.catalog.metrics import CatalogMetrics
from berth.services.operator.metrics import OperatorMetrics

BEGIN: Final = "<!-- generated: begin (python -m tests.kit.docs.metrics_page) -->"
END: Final = "<!-- generated: end -->"


@dataclass(frozen=True, order=True)
class Row:
    """One metric, as Prometheus stores it."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str


def registries() -> Mapping[str, CollectorRegistry]:
    """The collectors of each process, by its name."""
    return {
        "operator": OperatorMetrics(KeyedQueue(), dict).registry,
        "access": AccessMetrics().registry,
        "catalog": CatalogMetrics().registry,
    }


def rows(registry: CollectorRegistry) -> list[Row]:
    """The metrics of one process, by name."""
    collectors = {collector for collector in registry._collector_to_names if isinstance(collector, MetricWrapperBase)}
    return sorted(_row(collector) for collector in collectors)


def renew(page: str) -> str:
    """Regenerate the part of `page` between its markers. Raises `ValueError` when a marker is missing."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page lacks a marker; it needs the lines {BEGIN} and {END}.")
    sections = "\n".join(_section(process, rows(registry)) for process, registry in registries().items())
    return f"{head}{BEGIN}\n\n{sections}\n{END}{tail}"


def _row(collector: MetricWrapperBase) -> Row:
    kind = str(collector._type)
    suffix = "_total" if kind == "counter" else ""
    return Row(collector._name + suffix, kind, tuple(collector._labelnames), collector._documentation)


def _section(process: str, found: list[Row]) -> str:
    lines = [f"| `{row.name}` | {row.type} | {_labels(row.labels)} | {row.meaning} |" for row in found]
    head = "| name | type | labels | meaning |\n| --- | --- | --- | --- |\n"
    return f"## {process}\n\n{head}" + "\n".join(lines) + "\n"


def _labels(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


if __name__ == "__main__":
    sys.stdout.write(renew(sys.stdin.read()))
