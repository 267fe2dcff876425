"""Berth's texts and names are plain technical English: some words do not come back (CONTRIBUTING.md)."""

from __future__ import annotations

from typing import Final

import pytest

from tests.kit.docs.words import found

CLEAN: Final = (
    ".editorconfig",
    ".github",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "bench",
    "crds",
    "docs/README.md",
    "docs/access.md",
    "docs/addresses.md",
    "docs/adr",
    "docs/api-versioning.md",
    "docs/architecture.md",
    "docs/audit-log.md",
    "docs/benchmarks.md",
    "docs/clients.md",
    "docs/examples",
    "docs/install.md",
    "docs/keys.md",
    "docs/metrics.md",
    "docs/pull-secrets.md",
    "docs/reference",
    "docs/releasing.md",
    "operator/berth/api",
    "operator/berth/catalog/db",
    "operator/berth/services/access",
    "operator/berth/services/catalog",
    "operator/berth/snapshot",
    "pyproject.toml",
    "skaffold.yaml",
    "tests/kit/docs/pages.py",
    "tests/unit/docs/test_pages.py",
)
# Exact lines, each with its reason.
ALLOWED: Final = {
    '| `asked` | `{"p/r": ["pull","push"]}`: what was requested and is not granted |': "a claim of registry tokens",
}


@pytest.mark.parametrize("area", CLEAN)
def test_no_word_of_the_list_is_used(area: str) -> None:
    assert [f"{file}:{number}: {line}" for file, number, line in found(area) if line not in ALLOWED] == []
