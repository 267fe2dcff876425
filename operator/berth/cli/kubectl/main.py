"""`kubectl berth`: what people ask of Berth at their own terminal, and in pipelines.

Only click is imported here and in the modules of the commands; what a command needs it imports when it runs, because
`--help` has to answer at once (`bench/cli_help.py`).
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
  1  it could not be done or told; a policy test failed
  2  the command was not understood
  3  no: the registry refuses it
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, epilog=_EPILOG)
def cli() -> None:
    """Ask why the registry says no, who may do what, and look after tokens and policies.

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
    """The entry point `kubectl-berth`, under the name that people typed."""
    cli(prog_name="kubectl berth")
