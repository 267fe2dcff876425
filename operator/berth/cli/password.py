"""`berth password-hash`: hash a password for the Secret of a RegistryUser, without storing the password."""

from __future__ import annotations

import sys

import click

MAX_PASSWORD_BYTES = 1024
"""Longer passwords are refused, because hashing them only wastes processor time."""
_UNDECODABLE = "\udcff"


@click.command("password-hash")
def password_hash() -> None:
    """Print the argon2id hash of a password, for spec.passwordSecretRef of a RegistryUser.

    At a terminal, the command prompts twice for the password and does not show it. Otherwise the password is the
    whole of standard input, with its line ends: use printf, not echo.
    """
    from argon2 import PasswordHasher

    password = _read()
    if not password:
        raise click.UsageError("the password is empty; type one, or give it on standard input")
    if not _is_unicode(password):
        raise click.UsageError("the password is not text in UTF-8; choose another, or change the encoding")
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise click.UsageError(f"the password is longer than {MAX_PASSWORD_BYTES} bytes; choose a shorter one")
    click.echo(PasswordHasher().hash(password), nl=False)


def _read() -> str:
    if sys.stdin is None:  # closed by the caller
        return ""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        return _UNDECODABLE


def _is_unicode(text: str) -> bool:
    """Whether the text has no surrogates, which replace bytes that cannot be decoded."""
    return not any("\ud800" <= each <= "\udfff" for each in text)
