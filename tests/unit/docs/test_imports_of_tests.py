"""Tests share parts through tests/kit (and e2e/suite) alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.docs.pages import ROOT


def imported(source: str) -> Iterator[str]:
    """Every module that the source may import, in full."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of_tests(source: str) -> list[str]:
    """The test modules and conftest files among the imports."""
    return [
        module
        for module in dict.fromkeys(imported(source))
        if module.split(".")[0] in ("tests", "e2e") and module.split(".")[-1].startswith(("test_", "conftest"))
    ]


def sources() -> list[Path]:
    folders = ("tests", "e2e", "bench", "operator")
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def test_no_module_imports_a_test_module() -> None:
    assert {str(file.relative_to(ROOT)): found for file in sources() if (found := of_tests(file.read_text()))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "from tests.unit.status.test_invariants import random_observed",
        "from tests.unit.status import test_invariants",
        "import tests.component.conftest",
        "def late():\n    from e2e.test_demo import scene",
    ],
)
def test_each_way_to_import_one_is_found(source: str) -> None:
    assert of_tests(source)


def test_the_kit_may_be_imported() -> None:
    assert of_tests("from tests.kit.chart import CHART\nfrom e2e.suite.world import World") == []
