"""Berth's texts and names are plain technical English: some words do not come back (CONTRIBUTING.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.kit.docs.pages import ROOT
from tests.kit.docs.words import found

AREAS: Final = (
    ".editorconfig",
    ".github",
    "bench",
    "charts",
    "crds",
    "docs",
    "e2e",
    "operator",
    "requirements",
    "tests",
)
# The list itself.
THE_LIST: Final = "tests/kit/docs/words.py"
# Exact lines of other programs, each with its reason.
ALLOWED: Final[dict[str, str]] = {}


def checked() -> Iterator[str]:
    """Each area, and each page and file of settings beside them."""
    yield from AREAS
    for pattern in ("*.md", "*.toml", "*.yaml", "Makefile"):
        yield from (path.name for path in sorted(ROOT.glob(pattern)))


@pytest.mark.parametrize("area", list(checked()))
def test_no_word_of_the_list_is_used(area: str) -> None:
    assert [
        f"{file}:{number}: {line}" for file, number, line in found(area) if line not in ALLOWED and file != THE_LIST
    ] == []


def test_every_allowed_line_exists() -> None:
    lines = {text for area in checked() for _, _, text in found(area)}
    assert set(ALLOWED) - lines == set()
