"""The version is set in pyproject.toml alone; every file that repeats it agrees (docs/releasing.md)."""

from __future__ import annotations

import re
import tomllib
from typing import Final

import pytest

from tests.kit.docs.pages import ROOT

VERSION: Final[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

# Each file that repeats the version, and where in it.
REPEATED: Final = {
    "charts/berth/Chart.yaml": r"^(?:version|appVersion): (\S+)$",
    "docs/install.md": r"\b(?:berth|berth-gateway):(\d\S*)",
    "operator/berth/desired/inputs.py": r"berth_version: str = \"(.+?)\"",
    "tests/unit/cli/test_berth_command.py": r"\"berth (\d.*?)\\n\"",
}
# A changelog names every version, old ones too.
SEARCHED: Final = ("operator/**/*.py", "operator/*Dockerfile", "charts/**/*.*", "docs/**/*.md", "README.md", "*.yaml")


@pytest.mark.parametrize("file", REPEATED)
def test_every_file_that_repeats_the_version_agrees(file: str) -> None:
    found = re.findall(REPEATED[file], (ROOT / file).read_text(), re.MULTILINE)
    assert found, f"{file} no longer repeats the version: take it out of REPEATED"
    assert set(found) == {VERSION}


def test_the_chart_and_its_application_have_the_same_version() -> None:
    chart = (ROOT / "charts/berth/Chart.yaml").read_text()
    assert len(re.findall(REPEATED["charts/berth/Chart.yaml"], chart, re.MULTILINE)) == 2


def test_no_other_file_repeats_the_version() -> None:
    literal = re.compile(rf"(?<![\w.]){re.escape(VERSION)}(?![\w.]*\d)")
    files = {path for pattern in SEARCHED for path in ROOT.glob(pattern)}
    found = {str(path.relative_to(ROOT)) for path in files if literal.search(path.read_text())}
    assert found - set(REPEATED) == set()
