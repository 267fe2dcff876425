"""Processes and tools have pinned libraries, the plugin has ranges (docs/adr/0005 and 0015)."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.kit.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLUGIN: list[str] = PROJECT["project"]["dependencies"]
SERVER: list[str] = PROJECT["project"]["optional-dependencies"]["server"]
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


@pytest.mark.parametrize("requirements", [SERVER, DEVELOPING, BUILDING], ids=["server", "developing", "building"])
def test_every_library_is_pinned_to_one_version(requirements: list[str]) -> None:
    assert [each for each in requirements if each.count("==") != 1] == []
    assert len(pinned(requirements)) == len(requirements)


def test_the_locks_hold_the_versions_that_are_named() -> None:
    image, developing = locked("requirements/server.txt"), locked("requirements/dev.txt")
    assert pinned(SERVER).items() <= image.items()
    assert (pinned(SERVER) | pinned(DEVELOPING) | pinned(BUILDING)).items() <= developing.items()


def test_what_is_tested_is_what_the_image_holds() -> None:
    assert locked("requirements/server.txt").items() <= locked("requirements/dev.txt").items()


def test_the_plugin_takes_ranges_that_hold_the_locked_versions() -> None:
    image = locked("requirements/server.txt")
    ranges = [Requirement(each) for each in PLUGIN]
    assert [each.name for each in ranges if "==" in str(each.specifier)] == []
    assert [each.name for each in ranges if image[each.name] not in each.specifier] == []
    assert {each.name for each in ranges} <= pinned(SERVER).keys()


def test_what_the_plugin_needs_stays_small() -> None:
    assert {Requirement(each).name for each in PLUGIN} == {"aiohttp", "argon2-cffi", "click", "pydantic", "pyyaml"}
