"""`berth password-hash`: hash a password for the Secret of a RegistryUser, without storing the password."""

from __future__ import annotations

import sys

import click

MAX_PASSWORD_BYTES = 1024
"""Longer passwords are refused, because hashing them only wastes processor time."""


@click.command("password-hash")
def password_hash() -> None:
    """Print the argon2id hash of a password, for spec.passwordSecretRef of a RegistryUser.

    At a terminal, the command prompts twice for the password and does not show it. Otherwise the password is the
    whole of standard input.
    """
    from argon2 import PasswordHasher

    password = _ask() if sys.stdin.isatty() else sys.stdin.read()
    if not password:
        raise click.UsageError("the password is empty; type one, or give it on standard input")
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise click.UsageError(f"the password is longer than {MAX_PASSWORD_BYTES} bytes; choose a shorter one")
    click.echo(PasswordHasher().hash(password), nl=False)


def _ask() -> str:
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
