"""The `berth` command as a person or a Pod starts it."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from berth import settings
from berth.cli.main import main


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (
        settings.OperatorSettings,
        settings.AccessSettings,
        settings.CatalogSettings,
        settings.GatewaySettings,
    ):
        for name in kind.model_fields:
            monkeypatch.delenv(f"BERTH_{name.upper()}", raising=False)


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment)


def test_help_names_every_process() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name in ("operator", "access", "catalog", "gateway-config", "version"):
        assert name in result.output


def test_version_is_the_installed_one() -> None:
    result = run("version")
    assert result.exit_code == 0
    assert result.output == "berth 0.1.0\n"


@pytest.mark.parametrize("process", ["operator", "access", "catalog", "gateway-config"])
def test_a_missing_setting_is_named_with_its_meaning(process: str) -> None:
    result = run(process)
    assert result.exit_code == 2
    assert (
        "Set BERTH_HOST, which is missing: host name of the registry for clients, with the port unless it is 443.\n"
    ) in result.stderr
    assert result.stdout == ""


def test_each_wrong_setting_gets_one_sentence() -> None:
    result = run("operator", BERTH_HOST="registry.example.org", BERTH_WORKERS="many", BERTH_LOG_LEVEL="loud")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "Correct BERTH_LOG_LEVEL: input should be 'debug', 'info', 'warning' or 'error' (least severe level logged).",
        "Set BERTH_REGISTRY_IMAGE, which is missing: image of CNCF Distribution, 3.1.1 or later.",
        "Correct BERTH_WORKERS: input should be a valid integer, unable to parse string as an integer "
        "(workers, which reconcile different objects at the same time).",
    ]


def test_a_wrong_value_is_not_repeated() -> None:
    result = run("gateway-config", BERTH_HOST="registry.example.org", BERTH_PORT="hunter2")
    assert result.exit_code == 2
    assert "BERTH_PORT" in result.stderr
    assert "hunter2" not in result.output


@pytest.mark.parametrize(
    ("arguments", "module", "kind"),
    [
        (["operator"], "berth.services.operator.process", settings.OperatorSettings),
        (["access"], "berth.services.access.process", settings.AccessSettings),
        (["catalog"], "berth.services.catalog.process", settings.CatalogSettings),
    ],
)
def test_the_subcommand_runs_its_process_with_its_settings(
    arguments: list[str], module: str, kind: type[settings.Common], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[settings.Common] = []
    stand_in = ModuleType(module)
    stand_in.run = started.append  # type: ignore[attr-defined]
    package, _, name = module.rpartition(".")
    monkeypatch.setitem(sys.modules, module, stand_in)
    parent = sys.modules.get(package) or __import__(package, fromlist=["_"])
    monkeypatch.setattr(parent, name, stand_in, raising=False)
    result = run(*arguments, BERTH_HOST="registry.example.org", BERTH_REGISTRY_IMAGE="registry:3.1.2")
    assert result.exit_code == 0, result.output
    assert [type(one) for one in started] == [kind]
    assert started[0].host == "registry.example.org"


def test_help_imports_no_process() -> None:
    program = (
        "import sys\nfrom berth.cli.main import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = {'kopf', 'kubernetes', 'sqlalchemy', 'uvicorn', 'aiohttp', 'jinja2'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": "operator"}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
