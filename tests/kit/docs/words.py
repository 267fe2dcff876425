"""Words that Berth's texts do not use, and the places where a file has one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.kit.docs.pages import ROOT

# What to write instead is in CONTRIBUTING.md: the words of Kubernetes and of the OCI distribution specification.
WORDS: Final = (
    "told",
    "tells",
    "asked",
    "wish",
    "somebody",
    "nobody",
    "whoever",
    "whom",
    "stands",
    "hears",
    "heard",
    "knows of",
    "door",
    "is content",
    "by hand of",
    "what is remembered",
    "hangs on",
    "can not",
    "for ever",
)
_ANY: Final = re.compile(
    rf"(?<![a-z])(?:{'|'.join(word.replace(' ', '[ _]') for word in WORDS)})(?![a-z])", re.IGNORECASE
)
_BUILT: Final = {"__pycache__", "node_modules", ".venv"}
_LOCKS: Final = {".sum", ".pyc"}


def files(area: str) -> Iterator[Path]:
    """Every text file of an area: a file, or a folder with all below it."""
    start = ROOT / area
    for path in [start] if start.is_file() else sorted(start.rglob("*")):
        if path.is_file() and not _BUILT & set(path.parts) and path.suffix not in _LOCKS:
            yield path


def found(area: str) -> Iterator[tuple[str, int, str]]:
    """File, number and text of each line that has one of the words, also within a name of Python."""
    for path in files(area):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:  # an image, an archive
            continue
        for number, line in enumerate(lines, 1):
            if _ANY.search(line):
                yield str(path.relative_to(ROOT)), number, line.strip()
