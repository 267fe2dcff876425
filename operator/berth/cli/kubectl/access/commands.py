"""`why`, `can-i` and `who-can`: decisions of the registry at the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from berth.cli.kubectl.options import (
    ACTIONS,
    EXIT_DENIED,
    Connection,
    on_cluster,
    output,
    print_json,
    print_table,
    run,
    subject_options,
)

if TYPE_CHECKING:
    from berth.cli.kubectl.access.review import Answer, Listed

_IMAGE = "IMAGE is [HOST/]PROJECT/REPOSITORY, with or without a tag or digest; PROJECT alone for view and administer."


@click.command(short_help="Show every check and which one refuses.", epilog=_IMAGE)
@click.argument("action", type=click.Choice(ACTIONS))
@click.argument("image")
@subject_options
@on_cluster
@output("json")
def why(
    action: str,
    image: str,
    subject: str,
    groups: tuple[str, ...],
    token: str,
    kubeconfig: str,
    context: str,
    form: str | None,
) -> None:
    """Show every check of the registry, and which one refuses.

    Exit code 0 means allowed, 3 denied, 1 unknown.

    \b
    Examples:
      kubectl berth why push genomics/aligner:v2
      kubectl berth why pull registry.example.org/genomics/aligner --as reviewer
      kubectl berth why push genomics/aligner --as serviceaccount:builders/ci
      kubectl berth why push genomics/aligner --with-token builder-ci -o json
    """
    answer = _answer(action, image, subject, groups, token, Connection(kubeconfig, context))
    if form == "json":
        print_json(answer.document)
    else:
        click.echo(answer.chain)
    _end(answer)


@click.command("can-i", short_help="Print yes or no, and the reason in a sentence.", epilog=_IMAGE)
@click.argument("action", type=click.Choice(ACTIONS))
@click.argument("image")
@subject_options
@on_cluster
@output("json")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; use the exit code.")
def can_i(
    action: str,
    image: str,
    subject: str,
    groups: tuple[str, ...],
    token: str,
    kubeconfig: str,
    context: str,
    form: str | None,
    quiet: bool,
) -> None:
    """Print yes or no, and the reason in one sentence.

    Exit code 0 means yes, 3 no, 1 unknown.

    \b
    Examples:
      kubectl berth can-i push genomics/aligner
      kubectl berth can-i pull genomics/aligner --as group:idp:lab-42
      kubectl berth can-i -q push genomics/aligner --as robot:builder || echo "not yet"
    """
    answer = _answer(action, image, subject, groups, token, Connection(kubeconfig, context))
    if form == "json":
        print_json(answer.document)
    elif not quiet:
        click.echo(answer.yes_or_no)
    _end(answer)


@click.command("who-can", short_help="List the subjects that may, with level and source.", epilog=_IMAGE)
@click.argument("action", type=click.Choice(ACTIONS))
@click.argument("image")
@on_cluster
@output("json")
def who_can(action: str, image: str, kubeconfig: str, context: str, form: str | None) -> None:
    """List every subject that may do this now, with its level and the source of the level.

    Teams are listed as their members. The members of groups and AuthenticatedUsers are not known.

    \b
    Examples:
      kubectl berth who-can push genomics/aligner
      kubectl berth who-can administer genomics -o json
    """
    from berth.cli.kubectl.access import review

    listed: Listed = run(review.who(action, image, Connection(kubeconfig, context)))
    if form == "json":
        print_json(listed.document)
    elif listed.rows:
        print_table(listed.HEADER, listed.rows)
    _note(listed.unread)
    if not listed.rows and form is None:
        click.echo(f"No one can {action} {listed.name}.", err=True)


def _answer(
    action: str, image: str, subject: str, groups: tuple[str, ...], token: str, connection: Connection
) -> Answer:
    """The answer; the command ends with an error if unread objects could change it."""
    from berth.cli.kubectl.access import review

    answer = run(review.ask(action, image, review.QuerySubject(subject, groups, token), connection))
    if answer.in_doubt:
        raise click.ClickException(answer.in_doubt)
    return answer


def _end(answer: Answer) -> None:
    """Exit with the code of the answer."""
    _note(answer.unread)
    if not answer.allowed:
        sys.exit(EXIT_DENIED)


def _note(unread: tuple[str, ...]) -> None:
    if unread:
        click.echo(f"Note: you may not read {' and '.join(unread)}, so they were left out.", err=True)
