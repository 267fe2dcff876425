"""The `berth` command: one image, the process chosen by the subcommand.

Each subcommand imports its process only when it is chosen: `--help`, `version` and a wrong setting answer at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from berth.cli.password import password_hash

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

EXIT_FAILED = 1
EXIT_BAD_SETTINGS = 2

SettingsT = TypeVar("SettingsT", bound="BaseSettings")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Berth gives every project in a Kubernetes cluster a private container registry of its own.

    Every process reads its settings from environment variables that start with BERTH_.
    """


@main.command()
def operator() -> None:
    """Run the operator: turn Project objects into registries."""
    with _server_extra("operator"):
        from berth.runtime.logs import configure_logs
        from berth.settings import OperatorSettings

        chosen = _read(OperatorSettings)
        from berth.services.operator import process

    configure_logs("operator", chosen.log_level)
    process.run(chosen)


@main.command()
def access() -> None:
    """Run the access service: tokens, authorization, manifest writes."""
    with _server_extra("access"):
        from berth.settings import AccessSettings

        chosen = _read(AccessSettings)
        from berth.services.access import process

    process.run(chosen)


@main.command()
def catalog() -> None:
    """Run the catalog: every tag, digest and tag move with time and person."""
    with _server_extra("catalog"):
        from berth.settings import CatalogSettings

        chosen = _read(CatalogSettings)
        from berth.services.catalog import process

    process.run(chosen)


@main.command("gateway-config")
@click.option("--watch", is_flag=True, help="Stay, write again what changes, and make nginx read it.")
def gateway_config(watch: bool) -> None:
    """Write the gateway's nginx configuration."""
    with _server_extra("gateway-config"):
        from berth.settings import GatewaySettings

        chosen = _read(GatewaySettings)
        from berth.services.gateway import process

    try:
        process.run(chosen, watch=watch)
    except process.ConfigurationError as problem:
        click.echo(f"berth gateway-config: {problem}", err=True)
        sys.exit(EXIT_FAILED)


@main.command()
def version() -> None:
    """Print Berth's version."""
    from importlib.metadata import version as installed

    click.echo(f"berth {installed('berth')}")


main.add_command(password_hash)


@contextmanager
def _server_extra(command: str) -> Iterator[None]:
    """End with one sentence when a library that only the processes need is not installed."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "berth":
            raise
        click.echo(f"berth {command} needs the server extra: in a checkout, run pip install '.[server]'", err=True)
        sys.exit(EXIT_FAILED)


def _read(kind: type[SettingsT]) -> SettingsT:
    """The settings of a process, or an end with one sentence for each variable that is missing or wrong."""
    from pydantic import ValidationError

    from berth.cli.settings_errors import complaints

    try:
        return kind()
    except ValidationError as error:
        for sentence in complaints(kind, error):
            click.echo(sentence, err=True)
        sys.exit(EXIT_BAD_SETTINGS)
