"""The `berth` command: one image, the process chosen by the subcommand.

Each subcommand imports its process only when it is chosen: `--help`, `version` and a wrong setting answer at once.
"""

from __future__ import annotations

import sys
from typing import TypeVar

import click
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from berth import settings
from berth.cli.password import password_hash
from berth.cli.settings_errors import complaints

EXIT_BAD_SETTINGS = 2

SettingsT = TypeVar("SettingsT", bound=BaseSettings)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Berth gives every project in a Kubernetes cluster a private container registry of its own.

    Every process reads its settings from environment variables that start with BERTH_.
    """


@main.command()
def operator() -> None:
    """Run the operator: turn Project objects into registries."""
    chosen = _read(settings.OperatorSettings)
    from berth.runtime.logs import configure_logs
    from berth.services.operator import process

    configure_logs("operator", chosen.log_level)
    process.run(chosen)


@main.command()
def access() -> None:
    """Run the access service: tokens, authorization, manifest writes."""
    chosen = _read(settings.AccessSettings)
    from berth.services.access import process

    process.run(chosen)


@main.command()
def catalog() -> None:
    """Run the catalog: every tag, digest and tag move with time and person."""
    chosen = _read(settings.CatalogSettings)
    from berth.services.catalog import process

    process.run(chosen)


@main.command("gateway-config")
@click.option("--watch", is_flag=True, help="Stay, write again what changes, and make nginx read it.")
def gateway_config(watch: bool) -> None:
    """Write the gateway's nginx configuration."""
    chosen = _read(settings.GatewaySettings)
    from berth.services.gateway import process

    try:
        process.run(chosen, watch=watch)
    except process.ConfigurationError as problem:
        click.echo(f"berth gateway-config: {problem}", err=True)
        sys.exit(1)


@main.command()
def version() -> None:
    """Print Berth's version."""
    from importlib.metadata import version as installed

    click.echo(f"berth {installed('berth')}")


main.add_command(password_hash)


def _read(kind: type[SettingsT]) -> SettingsT:
    """The settings of a process, or an end with one sentence for each variable that is missing or wrong."""
    try:
        return kind()
    except ValidationError as error:
        for sentence in complaints(kind, error):
            click.echo(sentence, err=True)
        sys.exit(EXIT_BAD_SETTINGS)
