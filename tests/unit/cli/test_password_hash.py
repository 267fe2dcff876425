"""`berth password-hash` makes what access verifies, and never shows the password."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner

from berth.cli.main import main


def test_the_hash_of_a_password_on_standard_input_verifies_and_has_no_line_end() -> None:
    result = CliRunner().invoke(main, ["password-hash"], input="correct horse")
    assert result.exit_code == 0
    assert result.output.startswith("$argon2id$")
    assert not result.output.endswith("\n")
    assert PasswordHasher().verify(result.output, "correct horse")
    assert "correct horse" not in result.output


def test_an_empty_password_is_refused_with_the_next_step() -> None:
    result = CliRunner().invoke(main, ["password-hash"], input="")
    assert result.exit_code == 2
    assert "the password is empty; type one, or give it on standard input" in result.output


def test_a_password_that_would_only_keep_a_service_busy_is_refused() -> None:
    result = CliRunner().invoke(main, ["password-hash"], input="x" * 1025)
    assert result.exit_code == 2
    assert "longer than 1024 bytes" in result.output


def test_a_password_that_is_not_utf_8_is_refused_in_one_sentence() -> None:
    result = CliRunner().invoke(main, ["password-hash"], input=b"\xff\xfe")
    assert result.exit_code == 2
    assert "the password is not text in UTF-8" in result.output


def test_a_closed_standard_input_is_an_empty_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("berth.cli.password.sys", SimpleNamespace(stdin=None))
    result = CliRunner().invoke(main, ["password-hash"])
    assert result.exit_code == 2
    assert "the password is empty" in result.output
