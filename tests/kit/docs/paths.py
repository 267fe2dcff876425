"""The files, folders and modules that a page names in its code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.kit.docs.pages import ROOT, code

_BASES: Final = (ROOT, ROOT / "operator", ROOT / "operator/berth")
_PATH = re.compile(r"(?<![\w./-])(?:[\w.{},*-]+/)+[\w.{},*-]*")
_MODULE = re.compile(r"python -m ((?:berth|bench|e2e)(?:\.\w+)*)")


def named_paths(page: Path) -> Iterator[str]:
    """Each path that begins with a folder of this repository."""
    bases = (*_BASES, page.parent)
    for path in _PATH.findall(code(page)):
        first = path.split("/", 1)[0]
        if not first.startswith(".") and any((base / first).is_dir() for base in bases):
            yield path.rstrip(".,")


def is_path(page: Path, path: str) -> bool:
    """Whether the path exists, in one of the folders from which pages name files."""
    return all(any(any(base.glob(each.rstrip("/"))) for base in (*_BASES, page.parent)) for each in _expanded(path))


def named_modules(page: Path) -> list[str]:
    return _MODULE.findall(code(page))


def is_module(name: str) -> bool:
    path = name.replace(".", "/")
    return any(
        (base / f"{path}.py").is_file() or (base / path / "__init__.py").is_file() or (base / path).is_dir()
        for base in _BASES
    )


def _expanded(path: str) -> list[str]:
    """`a/{b,c}.py` as `a/b.py` and `a/c.py`; a capital NAME in it is any."""
    path = re.sub(r"(?<=/)[A-Z]+(?=/|$)", "*", path)
    braces = re.search(r"\{([^{}]*)\}", path)
    if braces is None:
        return [path]
    return [each for choice in braces[1].split(",") for each in _expanded(path.replace(braces[0], choice, 1))]
