"""`policy test` and `policy diff`: checks of sharing, users and certifications in Git before they are applied."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from berth.cli.kubectl.options import EXIT_FAILED, output, print_json

if TYPE_CHECKING:
    from berth.authz.policy.manifests import PolicyFiles

_PATH = click.Path(exists=True, path_type=Path)
_PUBLIC = click.option(
    "--allow-public", is_flag=True, help="Sharing with Public has an effect, as in an installation that allows it."
)


class _Moment(click.ParamType[datetime]):
    name = "time"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse a time with its zone."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.fail(f"{value!r} is not an RFC 3339 time: write for example 2026-12-01T00:00:00Z", param, ctx)
        return moment


_AT = click.option(
    "--at", type=_Moment(), default=None, metavar="TIME", help="Time of the decisions, RFC 3339. Default: now."
)


@click.group(short_help="Test and compare policies in Git, offline.")
def policy() -> None:
    """Test and compare policies in Git, offline, by the registry's own decision."""


@policy.command()
@click.argument("paths", nargs=-1, required=True, type=_PATH, metavar="DIR...")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write JUnit XML there.")
@click.option("-q", "--quiet", is_flag=True, help="Print failures alone.")
@_AT
@_PUBLIC
def test(paths: tuple[Path, ...], junit: Path | None, quiet: bool, at: datetime | None, allow_public: bool) -> None:
    """Check the AccessTests among the manifests in DIR.

    Reads every .yaml, .yml and .json file below the folders, takes the manifests together as the whole policy, and
    checks each expectation. Exit code 0: all hold. 1: one fails, a manifest cannot be read, or there is no AccessTest.

    \b
    Examples:
      kubectl berth policy test policy/
      kubectl berth policy test policy/ --junit report.xml
    """
    from berth.authz.policy.expectations import run_tests
    from berth.cli.kubectl.policy import report

    read = _read(paths, allow_public)
    if not read.tests:
        raise click.ClickException("There is no AccessTest among these files; see docs/policy-tests.md for its form.")
    outcomes = run_tests(read.snapshot, read.tests, at or _now())
    for line in report.lines(outcomes, quiet=quiet):
        click.echo(line)
    if junit is not None:
        try:
            junit.write_bytes(report.junit(outcomes))
        except OSError as error:
            raise click.ClickException(
                f"The report cannot be written to {junit}: {error.strerror}; name another file with --junit."
            ) from error
    if not all(outcome.passed for outcome in outcomes):
        sys.exit(EXIT_FAILED)


@policy.command()
@click.argument("old", type=_PATH)
@click.argument("new", type=_PATH)
@click.option("--exit-code", is_flag=True, help="Exit with 1 when there is a difference.")
@output("json")
@_AT
@_PUBLIC
def diff(old: Path, new: Path, exit_code: bool, form: str | None, at: datetime | None, allow_public: bool) -> None:
    """List the rights that subjects gain and lose between two folders of manifests.

    The command compares rights, not their notation. PROJECT/* are the repositories of a project that no manifest
    names. Teams are listed as their members.

    \b
    Examples:
      git worktree add ../main origin/main
      kubectl berth policy diff ../main/policy policy
    """
    from berth.authz.policy.diff import policy_diff
    from berth.cli.kubectl.policy import report

    before, after = _read((old,), allow_public), _read((new,), allow_public)
    changes = policy_diff(before.snapshot, after.snapshot, at or _now())
    if form == "json":
        print_json(report.changes_document(changes))
    else:
        for line in report.change_lines(changes):
            click.echo(line)
        if not changes:
            click.echo("No subject gains or loses anything.", err=True)
    if exit_code and changes:
        sys.exit(EXIT_FAILED)


def _read(paths: tuple[Path, ...], allow_public: bool) -> PolicyFiles:
    """Read the policy of all files; problems end the command, with one sentence each."""
    from berth.authz.policy.manifests import read_policy
    from berth.cli.kubectl.policy.files import UnreadableFileError, sources

    try:
        read = read_policy(sources(paths), public_allowed=allow_public)
    except UnreadableFileError as unreadable:
        raise click.ClickException(unreadable.sentence) from unreadable
    for problem in read.problems:
        click.echo(f"Error: {problem.place}: {problem.sentence}", err=True)
    if read.problems:
        sys.exit(EXIT_FAILED)
    return read


def _now() -> datetime:
    from datetime import UTC

    return datetime.now(UTC)
