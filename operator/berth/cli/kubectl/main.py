"""`kubectl berth`: the plugin of kubectl, for terminals and pipelines.

Only click is imported here and in the modules of the commands. A command imports the rest when it runs, because
`--help` must be fast (`bench/cli_help.py`).
"""

from __future__ import annotations

import click

from berth.cli.kubectl.access.commands import can_i, who_can, why
from berth.cli.kubectl.policy.commands import policy
from berth.cli.kubectl.token.commands import token

_EPILOG = """\
\b
Exit codes:
  0  yes, or done
  1  an error, an unknown answer, or a failed policy test
  2  wrong usage
  3  no: the registry refuses the request
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, epilog=_EPILOG)
def cli() -> None:
    """Explain decisions of the registry, list who may do what, and manage tokens and policies.

    \b
    Examples:
      kubectl berth why push genomics/aligner
      kubectl berth can-i pull genomics/aligner --as robot:builder
      kubectl berth who-can push genomics/aligner
      kubectl berth token create laptop --owner curator --scope download --expires-in 720h
      kubectl berth policy test policy/
    """


@cli.command()
def version() -> None:
    """Print Berth's version."""
    from importlib.metadata import version as installed

    click.echo(f"kubectl-berth {installed('berth')}")


for _command in (why, can_i, who_can, token, policy):
    cli.add_command(_command)


def main() -> None:
    """Run `kubectl-berth` with the name `kubectl berth` in its messages."""
    cli(prog_name="kubectl berth")
