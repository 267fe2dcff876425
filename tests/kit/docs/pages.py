"""The parts of the documentation pages: links, anchors, code, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_GENERATED = re.compile(r"^<!-- [^\n]*\bbegin\b[^\n]*-->$.*?^<!-- [^\n]*\bend\b[^\n]*-->$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_ANCHOR = re.compile(r'<a id="([^"]+)">')


def pages() -> list[Path]:
    """Every page of the documentation."""
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "e2e/README.md"])


def links(page: Path) -> list[str]:
    """The links of the page within the repository, as written."""
    prose = _FENCE.sub("", page.read_text())
    return [link for link in _LINK.findall(prose) if "://" not in link]


def target(page: Path, link: str) -> tuple[Path, str]:
    """The file or folder of a link, and the anchor in it."""
    path, _, anchor = link.partition("#")
    return (page.parent / path).resolve() if path else page, anchor


def anchors(page: Path) -> set[str]:
    """The anchors of the page, as the usual renderers make them from headings."""
    text = _FENCE.sub("", page.read_text())
    slugs = (re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in _HEADING.findall(text))
    return {*slugs, *_ANCHOR.findall(text)}


def code(page: Path) -> str:
    """All code of the page: its blocks, and code spans."""
    text = page.read_text()
    return "\n".join([*_FENCE.findall(text), *_CODE.findall(_FENCE.sub("", text))])


def long_lines(page: Path, columns: int) -> list[str]:
    """Lines of prose that are longer. Tables, code blocks and generated parts have none."""
    prose = _GENERATED.sub("", _FENCE.sub("", page.read_text()))
    return [line for line in prose.splitlines() if len(line) > columns and not line.lstrip().startswith("|")]


def manifests(page: Path) -> Iterator[Mapping[str, Any]]:
    """Each whole object in a block of the page."""
    for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE):
        for document in yaml.safe_load_all(block):
            if isinstance(document, Mapping) and "apiVersion" in document:
                yield document


def plugin_commands(page: Path) -> Iterator[list[str]]:
    """The words after `kubectl berth` of each command in a block of the page."""
    blocks = "\n".join(_FENCE.findall(page.read_text())).replace("\\\n", " ")
    for command in re.findall(r"^(?:\$ )?kubectl[ -]berth (.+)$", blocks, re.MULTILINE):
        words = shlex.split(command, comments=True)
        ends = (number for number, word in enumerate(words) if word in {"|", "||", "&&", ">"})
        yield words[: next(ends, len(words))]
