"""Options that several commands share, and how a command ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

EXIT_FAILED: Final = 1
EXIT_DENIED: Final = 3
ACTIONS: Final = ("pull", "push", "delete", "view", "administer")

Command = TypeVar("Command", bound=Callable[..., Any])
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Connection:
    """Which cluster: a kubeconfig (empty: the default) and a context of it (empty: the current one)."""

    kubeconfig: str
    context: str


def on_cluster(command: Command) -> Command:
    """Options of a command that talks to a cluster; they arrive as `kubeconfig` and `context`."""
    kubeconfig = click.option(
        "--kubeconfig",
        envvar="KUBECONFIG",
        default="",
        metavar="FILE",
        help="The kubeconfig. Default: $KUBECONFIG, else ~/.kube/config, else the Pod's ServiceAccount.",
    )
    context = click.option("--context", default="", metavar="NAME", help="A context of it. Default: the current one.")
    return kubeconfig(context(command))


def as_somebody(command: Command) -> Command:
    """Options that say about whom a question is; they arrive as `subject`, `groups` and `token`."""
    subject = click.option(
        "--as",
        "subject",
        default="",
        metavar="WHO",
        help="Ask about somebody else: USER, robot:NAME, serviceaccount:NAMESPACE/NAME, group:NAME, user:NAME (an "
        "outside user name), AuthenticatedUsers or Public. Default: the RegistryUser that your kubeconfig's user is.",
    )
    groups = click.option(
        "--as-group",
        "groups",
        multiple=True,
        metavar="GROUP",
        help="A group of the identity provider; may be repeated.",
    )
    token = click.option(
        "--with-token",
        "token",
        default="",
        metavar="NAME",
        help="Ask for a login with this AccessToken and its scopes.",
    )
    return subject(groups(token(command)))


def output(*forms: str) -> Callable[[Command], Command]:
    """`-o`, with these forms; without it the form for people."""
    told = "For programs. Default: text for people."
    return click.option("-o", "--output", "form", type=click.Choice(forms), help=told)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Do what needs the cluster; what goes wrong there ends the command with its one sentence."""
    import asyncio

    from berth.authz.queries import UnknownSubjectError
    from berth.kube.errors import KubeError, UnavailableError

    try:
        return asyncio.run(work)
    except UnavailableError as away:
        told = away.sentence.rstrip(".")
        raise click.ClickException(f"{told}; try again, or choose another cluster with --context.") from away
    except (KubeError, UnknownSubjectError) as problem:
        raise click.ClickException(problem.sentence) from problem


def print_json(document: Any) -> None:
    """The document on standard output."""
    click.echo(json.dumps(document, indent=2))


def print_yaml(document: Any) -> None:
    """The document on standard output, in the order in which it was built."""
    import yaml

    click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as kubectl prints them: upper-case headings, three spaces between."""
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("   ".join(cells).rstrip())
