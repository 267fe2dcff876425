"""Two pytest processes read as one: outcomes, order, and the exit code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CONFTEST = """
from tests.kit import beside

def pytest_addoption(parser):
    beside.add_option(parser)

def pytest_configure(config):
    beside.configure(config, {"SIDE": "second"})
"""
FIRST = """
import os

def test_one():
    assert "SIDE" not in os.environ

def test_two():
    pass
"""
SECOND = """
import os, sys

def test_three():
    assert os.environ["SIDE"] == "second"

def test_four():
    print("what the test printed")
    assert 1 + 1 == 3
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, content in (("conftest", CONFTEST), ("first/test_first", FIRST), ("second/test_second", SECOND)):
        (tmp_path / f"{name}.py").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(content)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def run(project: Path, *arguments: str) -> tuple[int, str]:
    """The exit code and what was printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout


def last_line(printed: str) -> str:
    return printed.strip().splitlines()[-1]


def test_a_test_that_fails_beside_fails_the_run_with_its_output_and_the_order_is_that_of_the_arguments(
    project: Path,
) -> None:
    code, printed = run(project, "first", "--beside", "second", "-v")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert re.findall(r"::(test_\w+) ", printed)[:4] == ["test_one", "test_two", "test_three", "test_four"]
    assert "assert (1 + 1) == 3" in printed
    assert "what the test printed" in printed
    assert re.search(r"1 failed, 3 passed in .*s", last_line(printed)), printed


def test_tests_that_the_first_process_runs_run_once(project: Path) -> None:
    code, printed = run(project, "first", "--beside", ".", "-k", "not four")
    assert code == pytest.ExitCode.OK
    assert re.search(r"3 passed in .*s", last_line(printed)), printed


def test_a_second_process_that_collects_with_an_error_fails_the_run_with_what_it_printed(project: Path) -> None:
    (project / "second" / "test_second.py").write_text("nonsense(")
    code, printed = run(project, "first", "--beside", "second")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "SyntaxError" in printed
    assert re.search(r"1 failed, 2 passed in .*s", last_line(printed)), printed


def test_the_first_failure_ends_both_with_maxfail(project: Path) -> None:
    (project / "first" / "test_first.py").write_text("def test_one():\n    assert False\n\ndef test_two(): pass\n")
    waits = "import time\n\ndef test_three():\n    time.sleep(100)\n"
    (project / "second" / "test_second.py").write_text(waits)
    code, printed = run(project, "first", "--beside", "second", "--maxfail=1")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert re.search(r"1 failed in .*s", printed), printed
