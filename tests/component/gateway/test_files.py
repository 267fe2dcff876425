"""What `berth gateway-config` reads and writes, and its messages when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from berth.services.gateway.files import ConfigurationError, nameserver
from berth.services.gateway.process import await_name
from tests.kit.gateway.running import write_certificate


def environment(folder: Path) -> dict[str, str]:
    return {
        "BERTH_HOST": "registry.example.org",
        "BERTH_ACCESS_UPSTREAM": "localhost:80",
        "BERTH_GATEWAY_TOKEN_FILE": str(folder / "token"),
        "BERTH_TLS_DIR": str(folder / "tls"),
        "BERTH_OUTPUT_DIR": str(folder / "run"),
        "BERTH_RESOLVER": "127.0.0.1",
    }


def gateway_config(folder: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    """`berth gateway-config`, as the init container runs it."""
    return subprocess.run(
        [sys.executable, "-c", "from berth.cli.main import main; main()", "gateway-config"],
        env=environment(folder) | {"PYTHONPATH": os.pathsep.join(sys.path)} | changed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_writes_the_configuration(tmp_path: Path) -> None:
    write_certificate(tmp_path / "tls")
    (tmp_path / "token").write_text("a.b.c\n")
    result = gateway_config(tmp_path)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["nginx.conf", "token.conf"]
    assert "a.b.c" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("absent", "variable"), [("token", "BERTH_GATEWAY_TOKEN_FILE"), ("tls/tls.key", "BERTH_TLS_DIR")]
)
def test_a_missing_file_is_named_with_its_variable(tmp_path: Path, absent: str, variable: str) -> None:
    write_certificate(tmp_path / "tls")
    (tmp_path / "token").write_text("a.b.c\n")
    (tmp_path / absent).unlink()
    result = gateway_config(tmp_path)
    assert result.returncode == 1
    assert str(tmp_path / absent) in result.stderr
    assert f"mount it, or correct {variable}" in result.stderr


def test_a_value_that_nginx_could_not_read_is_named(tmp_path: Path) -> None:
    write_certificate(tmp_path / "tls")
    (tmp_path / "token").write_text("a.b.c\n")
    result = gateway_config(tmp_path, BERTH_ACCESS_UPSTREAM="x")
    assert result.returncode == 1
    assert "correct BERTH_ACCESS_UPSTREAM: it must be host:port." in result.stderr


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("nameserver 10.96.0.10\nnameserver 1.1.1.1\n", "10.96.0.10"),
        ("# nameserver 1.1.1.1\nsearch x\n  nameserver\t10.96.0.10\n", "10.96.0.10"),
        ("nameserver fd00::a\n", "[fd00::a]"),
    ],
)
def test_the_first_dns_server_is_used(tmp_path: Path, text: str, address: str) -> None:
    (tmp_path / "resolv.conf").write_text(text)
    assert nameserver(tmp_path / "resolv.conf") == address


def test_without_a_dns_server_the_message_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="set BERTH_RESOLVER"):
        nameserver(tmp_path / "resolv.conf")


def test_for_a_name_that_dns_does_not_know_the_message_has_the_next_step() -> None:
    with pytest.raises(ConfigurationError, match=r"DNS does not know berth-access\.invalid .*: check that the Service"):
        await_name("berth-access.invalid", limit=0.0)
