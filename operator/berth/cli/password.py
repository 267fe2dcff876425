"""`berth password-hash`: the hash that a RegistryUser's Secret holds, made from a password that is never stored."""

from __future__ import annotations

import sys

import click

MAX_PASSWORD_BYTES = 1024
"""Longer passwords are refused: hashing them would only serve to keep a service busy."""


@click.command("password-hash")
def password_hash() -> None:
    """Print the argon2id hash of a password, for spec.passwordSecretRef of a RegistryUser.

    The password is asked for twice at a terminal, without showing it; otherwise it is all of standard input.
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
