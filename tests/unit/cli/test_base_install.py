"""What `pip install berth` gives without the server extra: the plugin whole, the processes by one sentence."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.docs.pages import ROOT

# Refuses every library that the base installation lacks, then runs a command line.
_PROGRAM = """
import importlib.abc, json, sys

refused = frozenset(json.loads(sys.argv[1]))

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Refuse())
if sys.argv[2] == "import":
    import importlib, pkgutil
    import berth.cli.kubectl
    found = [each.name for each in pkgutil.walk_packages(berth.cli.kubectl.__path__, "berth.cli.kubectl.")]
    for name in found:
        importlib.import_module(name)
    print(len(found))
else:
    from berth.cli.main import main as berth
    from berth.cli.kubectl.main import cli as plugin
    (berth if sys.argv[2] == "berth" else plugin)(sys.argv[3:], prog_name=sys.argv[2])
"""


def installed_without_extras(name: str, found: set[str]) -> None:
    """Add the distribution and all that it needs without extras."""
    if name in found:
        return
    found.add(name)
    for requirement in importlib.metadata.requires(name) or ():
        needed = re.match(r"[\w.-]+", requirement)
        if needed and "extra ==" not in requirement:
            try:
                importlib.metadata.distribution(needed.group())
            except importlib.metadata.PackageNotFoundError:
                continue  # for another Python or platform
            installed_without_extras(re.sub(r"[-_.]+", "-", needed.group()).lower(), found)


@pytest.fixture(scope="module")
def base() -> str:
    """The top-level modules that the base installation lacks, as JSON."""
    distributions: set[str] = set()
    installed_without_extras("berth", distributions)
    by_module = importlib.metadata.packages_distributions()
    lacking = {
        module
        for module, owners in by_module.items()
        if not any(re.sub(r"[-_.]+", "-", owner).lower() in distributions for owner in owners)
    }
    assert not {"berth", "click", "aiohttp", "pydantic_core"} & lacking
    assert {"kopf", "sqlalchemy", "cryptography", "jinja2", "pydantic_settings"} <= lacking
    return json.dumps(sorted(lacking))


def run(base: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _PROGRAM, base, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)


def test_every_module_of_the_plugin_can_be_imported(base: str) -> None:
    done = run(base, "import")
    assert done.stderr == ""
    assert int(done.stdout) > 8


@pytest.mark.parametrize(
    ("arguments", "status", "stdout", "stderr"),
    [
        (["kubectl-berth", "--help"], 0, "Usage: kubectl-berth", ""),
        (["kubectl-berth", "version"], 0, "kubectl-berth ", ""),
        (["kubectl-berth", "policy", "test", "docs/examples/policy"], 0, "", ""),
        (["berth", "version"], 0, "berth ", ""),
        (["berth", "--help"], 0, "Usage: berth", ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_commands_without_a_cluster_work(
    base: str, arguments: list[str], status: int, stdout: str, stderr: str
) -> None:
    done = run(base, *arguments)
    assert (done.returncode, done.stderr) == (status, stderr)
    assert done.stdout.startswith(stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ["why", "pull", "genomics/aligner"],
        ["token", "create", "laptop", "--owner", "ann", "--scope", "download", "--expires-in", "1h"],
        ["policy", "diff", "docs/examples/policy", "docs/examples/policy"],
    ],
    ids=" ".join,
)
def test_commands_with_a_cluster_miss_the_cluster_alone(base: str, tmp_path: Path, arguments: list[str]) -> None:
    kubeconfig = [] if arguments[0] == "policy" else ["--kubeconfig", str(tmp_path / "none")]
    done = run(base, "kubectl-berth", *arguments, *kubeconfig)
    if kubeconfig:
        assert f"Error: There is no kubeconfig {tmp_path}/none; name another with" in done.stderr
    assert "Traceback" not in done.stderr
    assert "needs the server extra" not in done.stderr


def test_a_password_is_hashed(base: str) -> None:
    command = [sys.executable, "-c", _PROGRAM, base, "berth", "password-hash"]
    done = subprocess.run(command, input="secret", capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("$argon2id$")


@pytest.mark.parametrize("process", ["operator", "access", "catalog", "gateway-config"])
def test_a_process_names_the_extra_that_it_needs(base: str, process: str) -> None:
    done = run(base, "berth", process)
    assert done.stderr == f"berth {process} needs the server extra: in a checkout, run pip install '.[server]'\n"
    assert (done.returncode, done.stdout) == (1, "")
