"""Every library is pinned, and what is installed is what `pyproject.toml` names (docs/adr/0005-libraries.md)."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.kit.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NEEDED: list[str] = PROJECT["project"]["dependencies"]
DEVELOPING: list[str] = PROJECT["project"]["optional-dependencies"]["dev"]
BUILDING: list[str] = PROJECT["build-system"]["requires"]


def locked(file: str) -> dict[str, str]:
    """Version by name. Raises AssertionError for a line of the lock that is not pinned by hash."""
    found = {}
    for entry in re.findall(r"^[a-z].*(?:\n    .*)*", (ROOT / file).read_text(), re.MULTILINE):
        name, version = re.match(r"([\w.-]+)(?:\[[\w,]+\])?==(\S+)", entry).groups()  # type: ignore[union-attr]
        assert "--hash=sha256:" in entry, name
        found[name] = version
    return found


def pinned(requirements: list[str]) -> dict[str, str]:
    """Version by name, of what names exactly one."""
    exact = (re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", each) for each in requirements)
    return dict(found.groups() for found in exact if found)  # type: ignore[misc]


@pytest.mark.parametrize("requirements", [NEEDED, DEVELOPING, BUILDING], ids=["needed", "developing", "building"])
def test_every_library_is_pinned_to_one_version(requirements: list[str]) -> None:
    assert [each for each in requirements if each.count("==") != 1] == []
    assert len(pinned(requirements)) == len(requirements)


def test_the_locks_hold_the_versions_that_are_named() -> None:
    image, developing = locked("requirements/server.txt"), locked("requirements/dev.txt")
    assert pinned(NEEDED).items() <= image.items()
    assert (pinned(NEEDED) | pinned(DEVELOPING) | pinned(BUILDING)).items() <= developing.items()


def test_what_is_tested_is_what_the_image_holds() -> None:
    assert locked("requirements/server.txt").items() <= locked("requirements/dev.txt").items()
