"""Manifests in files: every document of every YAML and JSON file below some folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from berth.api.names import API_VERSION, GROUP
from berth.authz.policy.manifests import MODELS, Source

_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
_GENERATED: Final = frozenset({"AccessPolicy", "TrashEntry"})
_KINDS: Final = frozenset({*MODELS, "AccessTest", *_GENERATED})
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnreadableFileError(ValueError):
    """A file that cannot be read. `sentence` names file, document and line."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def sources(paths: Iterable[Path]) -> Iterator[Source]:
    """Every manifest, with its file and the number of its document (from 1) as place; files sorted by name.

    Raises UnreadableFileError for a document that is not a YAML object, and for an unknown kind of Berth's group.
    """
    for path in paths:
        found = False
        for file in _files(path):
            found = True
            yield from _manifests(file)
        if not found:
            raise UnreadableFileError(
                f"{path} contains no .yaml, .yml or .json file; name the folder of the manifests."
            )


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    inside = (file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
    return sorted(file for file in inside if not _hidden(file.relative_to(path)))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _manifests(file: Path) -> Iterator[Source]:
    for number, document in _documents(file):
        place = f"{file}, document {number}"
        items = document.get("items") if isinstance(document, Mapping) and document.get("kind") == "List" else None
        for each in items if isinstance(items, list) else [document]:
            if not isinstance(each, Mapping):
                raise UnreadableFileError(f"{place} is not an object: write apiVersion, kind, metadata and spec.")
            _check_kind(place, each)
            yield Source(place, each)


def _documents(file: Path) -> Iterator[tuple[int, Any]]:
    number = 0
    try:
        with file.open(encoding="utf-8") as stream:
            for number, document in enumerate(yaml.load_all(stream, Loader=_LOADER), start=1):
                if document is not None:  # nothing but comments
                    yield number, document
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        raise UnreadableFileError(f"{file}, document {number + 1}{line} is not YAML: {error.problem}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"{file}, document {number + 1} is not YAML: it is not text in UTF-8.") from error
    except OSError as error:
        raise UnreadableFileError(f"{file} cannot be read: {error.strerror}.") from error


def _check_kind(place: str, manifest: Mapping[str, Any]) -> None:
    """Refuse a misspelt kind or version, which would otherwise be ignored and change the policy."""
    version, kind = str(manifest.get("apiVersion") or ""), str(manifest.get("kind") or "")
    if version.partition("/")[0] != GROUP:
        return
    if version != API_VERSION:
        raise UnreadableFileError(
            f"{place} has the apiVersion {version}, which Berth does not have: write {API_VERSION}."
        )
    if kind not in _KINDS:
        raise UnreadableFileError(
            f"{place} has the kind {kind or '(none)'}, which Berth does not have: write one of "
            f"{', '.join(sorted(_KINDS - _GENERATED))}."
        )
