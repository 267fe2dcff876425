"""Options that several commands share, and the output and exit of commands."""

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
    """The cluster: a kubeconfig (empty: the default) and a context of it (empty: the current one)."""

    kubeconfig: str
    context: str


def on_cluster(command: Command) -> Command:
    """Add the options of a command that uses a cluster, with the parameters `kubeconfig` and `context`."""
    kubeconfig = click.option(
        "--kubeconfig",
        envvar="KUBECONFIG",
        default="",
        metavar="FILE",
        help="The kubeconfig. Default: $KUBECONFIG, else ~/.kube/config, else the Pod's ServiceAccount.",
    )
    context = click.option("--context", default="", metavar="NAME", help="A context of it. Default: the current one.")
    return kubeconfig(context(command))


def subject_options(command: Command) -> Command:
    """Add the options for the subject of a query, with the parameters `subject`, `groups` and `token`."""
    subject = click.option(
        "--as",
        "subject",
        default="",
        metavar="SUBJECT",
        help="Another subject: USER, robot:NAME, serviceaccount:NAMESPACE/NAME, group:NAME, user:NAME (an external "
        "user name), AuthenticatedUsers or Public. Default: the RegistryUser of your kubeconfig's user.",
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
        help="A login with this AccessToken and its scopes.",
    )
    return subject(groups(token(command)))


def output(*forms: str) -> Callable[[Command], Command]:
    """Add `-o` with these formats; the default is text for people."""
    text = "For programs. Default: text for people."
    return click.option("-o", "--output", "form", type=click.Choice(forms), help=text)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run the part of a command that needs the cluster; an error ends the command with one sentence."""
    import asyncio

    from berth.authz.queries import UnknownSubjectError
    from berth.kube.errors import KubeError, UnavailableError

    try:
        return asyncio.run(work)
    except UnavailableError as error:
        text = error.sentence.rstrip(".")
        raise click.ClickException(f"{text}; try again, or choose another cluster with --context.") from error
    except (KubeError, UnknownSubjectError) as problem:
        raise click.ClickException(problem.sentence) from problem


def print_json(document: Any) -> None:
    """Print a document as JSON."""
    click.echo(json.dumps(document, indent=2))


def print_yaml(document: Any) -> None:
    """Print a document as YAML, with its keys in order of insertion."""
    import yaml

    click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns like kubectl: upper-case headings, three spaces between."""
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("   ".join(cells).rstrip())
