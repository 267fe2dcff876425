"""`token create`, `token list` and `token revoke`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from berth.cli.kubectl.options import Connection, on_cluster, output, print_json, print_table, print_yaml, run

if TYPE_CHECKING:
    from berth.cli.kubectl.token.objects import Created, Made

SCOPES: Final = ("view", "download", "modify")


@click.group(short_help="Create, list and revoke access tokens.")
def token() -> None:
    """Create, list and revoke access tokens, with which people and machines log in instead of a password.

    The cluster and Git contain only the SHA-256 of a token; the token cannot be recovered from it.
    """


@token.command(short_help="Create a token and print its secret, once.")
@click.argument("name")
@click.option(
    "--owner", required=True, metavar="USER", help="The owner, whose rights it has: a RegistryUser, or robot:NAME."
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="A scope of the token; may be repeated. Pull: download. Push: download and modify. Delete: modify.",
)
@click.option("--expires-in", default="", metavar="DURATION", help="For example 720h. Default: until it is revoked.")
@click.option("--description", default="", metavar="TEXT", help="The purpose of the token.")
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the secret to this new file, readable by you alone, instead of printing it.",
)
@click.option(
    "--dry-run",
    type=click.Choice(("none", "client")),
    default="none",
    help="client: print the object, create nothing. Default: none.",
)
@output("yaml", "json", "name")
@on_cluster
def create(
    name: str,
    owner: str,
    scopes: tuple[str, ...],
    expires_in: str,
    description: str,
    secret_file: Path | None,
    dry_run: str,
    form: str | None,
    kubeconfig: str,
    context: str,
) -> None:
    """Create an access token and print its secret, once.

    The secret goes to standard output, alone on its line. With -o the object goes there, and the secret to standard
    error; with --secret-file it goes to that file. The secret is the password of a login under any user name.
    To create a token you need the verb issue-token on the owner's RegistryUser.

    \b
    Examples:
      # Create a token and log in with it
      kubectl berth token create laptop --owner curator --scope download --scope modify --expires-in 720h \\
        | docker login registry.example.org -u curator --password-stdin

    \b
      # Write the object for Git, and keep the secret in a file
      kubectl berth token create ci --owner robot:builder --scope download \\
        --dry-run=client -o yaml --secret-file ci.secret > tokens/ci.yaml
    """
    made = _make(name, owner, scopes, expires_in, description, secret_file)
    if dry_run == "client":
        _show(made, made.manifest, secret_file, form or "yaml", "created (dry run)")
        return
    created = _create(made, secret_file, Connection(kubeconfig, context))
    _show(made, created.manifest, secret_file, form, "created")
    for note in created.notes:
        click.echo(f"Note: {note}", err=True)


def _make(
    name: str, owner: str, scopes: tuple[str, ...], expires_in: str, description: str, secret_file: Path | None
) -> Made:
    """Make the object and its secret; the secret is written to its file first, so that it cannot be lost."""
    from berth.cli.kubectl.token import objects

    try:
        made = objects.make(name, owner, scopes, expires_in, description)
        if secret_file is not None:
            objects.keep_secret(made, secret_file)
    except ValueError as problem:
        raise click.UsageError(str(problem)) from problem
    return made


def _create(made: Made, secret_file: Path | None, connection: Connection) -> Created:
    """Create the object; if that fails, delete the file of the secret."""
    from berth.cli.kubectl.token import objects

    try:
        return run(objects.create(made, connection))
    except click.ClickException:
        if secret_file is not None:
            secret_file.unlink()
        raise


@token.command("list", short_help="List tokens: owner, scopes, expiry, last use.")
@click.option("--owner", default="", metavar="USER", help="Only those of this RegistryUser.")
@output("yaml", "json", "name")
@on_cluster
def list_tokens(owner: str, form: str | None, kubeconfig: str, context: str) -> None:
    """List access tokens with owner, scopes, expiry and last use.

    \b
    Examples:
      kubectl berth token list
      kubectl berth token list --owner curator -o name
    """
    from berth.cli.kubectl.token import objects

    try:
        found = run(objects.listed(owner, Connection(kubeconfig, context)))
    except ValueError as problem:
        raise click.UsageError(str(problem)) from problem
    if form == "name":
        for each in found:
            _print_object(each, form, "")
    elif form is not None:
        _print_object({"apiVersion": "v1", "kind": "List", "items": found}, form, "")
    elif found:
        print_table(objects.HEADER, [objects.row(each) for each in found])
    else:
        click.echo("No access tokens found.", err=True)


@token.command(short_help="Revoke tokens at once.")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@on_cluster
def revoke(names: tuple[str, ...], kubeconfig: str, context: str) -> None:
    """Revoke access tokens by deleting their objects; the registry refuses them at once.

    Remove a token in Git there too, or it is created again.

    \b
    Examples:
      kubectl berth token revoke laptop
    """
    from berth.cli.kubectl.token import objects

    absent = []
    for name, gone in run(objects.revoke(names, Connection(kubeconfig, context))):
        if gone:
            click.echo(f"{_named(name)} revoked")
        else:
            absent.append(name)
    if absent:
        raise click.ClickException(f"There is no AccessToken {' and '.join(absent)}; see kubectl berth token list.")


def _show(made: Made, manifest: dict[str, Any], secret_file: Path | None, form: str | None, done: str) -> None:
    """Print the secret to standard output, or the object there and the secret as described for `create`."""
    if form is not None or secret_file is not None:
        _print_object(manifest, form or "name", done)
    if secret_file is None:
        _print_secret(made, err=form is not None)


def _print_object(manifest: dict[str, Any], form: str, done: str) -> None:
    if form == "yaml":
        print_yaml(manifest)
    elif form == "json":
        print_json(manifest)
    else:
        click.echo(f"{_named(manifest['metadata']['name'])} {done}".rstrip())


def _named(name: str) -> str:
    return f"accesstoken.berth.dev/{name}"


def _print_secret(made: Made, *, err: bool) -> None:
    click.echo(made.secret, err=err)
    if not err or sys.stderr.isatty():
        click.echo("This secret is stored nowhere and cannot be shown again.", err=True)
