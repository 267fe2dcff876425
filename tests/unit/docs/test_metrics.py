"""The page of the metrics lists those of the code, and their names follow one form."""

from __future__ import annotations

import re

import pytest

from tests.kit.docs.metrics_page import registries, renew, rows
from tests.kit.docs.pages import DOCS

PROCESSES = registries()


def test_the_page_is_the_generated_one() -> None:
    page = (DOCS / "metrics.md").read_text()
    assert renew(page) == page, "run make generate"


@pytest.mark.parametrize("process", PROCESSES)
def test_every_metric_has_a_name_of_the_usual_form_and_a_meaning(process: str) -> None:
    found = rows(PROCESSES[process])
    assert found
    for row in found:
        assert re.fullmatch(r"berth_[a-z]+(_[a-z]+)+", row.name), row
        assert row.name.endswith("_total") == (row.type == "counter"), row
        assert row.name.endswith("_seconds") or row.type != "histogram", row
        assert row.meaning.endswith("."), row


def test_no_metric_belongs_to_two_processes() -> None:
    names = [row.name for registry in PROCESSES.values() for row in rows(registry)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("process", PROCESSES)
def test_no_label_is_the_name_of_a_person_a_project_or_a_repository(process: str) -> None:
    labels = {label for row in rows(PROCESSES[process]) for label in row.labels}
    assert labels & {"user", "who", "subject", "project", "repository", "namespace", "name", "address"} == set()
