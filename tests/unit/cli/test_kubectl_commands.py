"""`kubectl berth` itself: help, exit codes, tokens for Git, and the subjects of queries."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from berth.api.policy import Action
from berth.api.sharing import SharingLevel, SubjectKind
from berth.api.token import TokenScope
from berth.authz.decide import decide
from berth.authz.model import (
    AccessRequest,
    AccessTokenRecord,
    CredentialKind,
    Identity,
    ProjectPolicy,
    Rule,
    Snapshot,
    Subject,
    User,
)
from berth.authz.queries import UnknownSubjectError
from berth.authz.token_format import is_token, token_sha256
from berth.cli.kubectl.access.review import Answer, QuerySubject, identity_for, identity_text, own_name
from berth.cli.kubectl.main import cli
from berth.cli.kubectl.token.objects import make

NOW = datetime(2026, 12, 1, tzinfo=UTC)
CURATOR, ROBOT = Subject(SubjectKind.USER, "curator"), Subject(SubjectKind.ROBOT, "builder")
SNAPSHOT = Snapshot(
    1,
    projects={
        "genomics": ProjectPolicy(
            "genomics",
            rules=(
                Rule(SubjectKind.USER, "curator", SharingLevel.EDIT),
                Rule(SubjectKind.USER, "reviewer", SharingLevel.VIEW),
                Rule(SubjectKind.GROUP, "idp:lab", SharingLevel.DOWNLOAD),
            ),
        )
    },
    users={name: User(name, robot=name == "builder") for name in ("curator", "reviewer", "builder")},
    aliases={Subject(SubjectKind.USER, "curator@example.org"): frozenset({"curator"})},
    tokens={"ab" * 32: AccessTokenRecord("laptop", CURATOR, frozenset({TokenScope.DOWNLOAD}))},
)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, prog_name="kubectl berth")


def commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for name, command in cli.commands.items():
        found.append((name,))
        found.extend((name, sub) for sub in getattr(command, "commands", {}))
    return found


@pytest.mark.parametrize("path", commands(), ids=lambda path: " ".join(path) or "kubectl berth")
def test_every_command_explains_itself_with_examples(path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(" ".join(("Usage: kubectl berth", *path)))
    if path not in (("version",), ("token",), ("policy",)):
        assert f"kubectl berth {' '.join(path)}".rstrip() in result.stdout.partition("Examples:")[2]


def test_help_imports_nothing_that_only_commands_need() -> None:
    code = (
        "import sys; from berth.cli.kubectl.main import cli; cli(['--help'], standalone_mode=False); "
        "print(sorted({'pydantic', 'kubernetes', 'yaml', 'asyncio', 'cryptography', 'aiohttp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_action_that_does_not_exist_is_misuse() -> None:
    assert run("why", "fetch", "genomics/aligner").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kubeconfig", "/no/such/file"), "Error: There is no kubeconfig /no/such/file; name another with"),
        (("--kubeconfig", "pyproject.toml"), "Error: The kubeconfig pyproject.toml cannot be used: "),
    ],
)
def test_without_a_usable_kubeconfig_one_sentence_says_so(arguments: tuple[str, ...], words: str) -> None:
    result = run("can-i", "pull", "genomics/aligner", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(words)
    assert result.stderr.count("\n") == 1


def test_a_dry_run_prints_the_object_for_git_and_the_secret_beside_it() -> None:
    arguments = ("token", "create", "ci", "--owner", "robot:builder", "--scope", "download", "--scope", "modify")
    result = run(*arguments, "--description", "pipeline", "--dry-run=client", "-o", "yaml")
    assert result.exit_code == 0, result.output
    secret = result.stderr.strip()
    assert is_token(secret)
    assert yaml.safe_load(result.stdout) == {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "AccessToken",
        "metadata": {"name": "ci"},
        "spec": {
            "owner": {"kind": "Robot", "name": "builder"},
            "scopes": ["download", "modify"],
            "sha256": token_sha256(secret),
            "description": "pipeline",
        },
    }


def test_a_secret_kept_in_a_file_is_printed_nowhere_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "ci.secret"
    arguments = ("token", "create", "ci", "--owner", "curator", "--scope", "download", "--dry-run=client")
    result = run(*arguments, "--secret-file", str(file))
    secret = file.read_text().strip()
    assert is_token(secret)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret not in result.output
    again = run(*arguments, "--secret-file", str(file))
    assert again.exit_code == 2
    assert "the secret cannot be written" in again.stderr
    assert file.read_text().strip() == secret


def test_two_tokens_never_have_the_same_secret_and_a_repr_has_none() -> None:
    made = [make("a", "curator", ["download"]) for _ in range(50)]
    assert len({each.secret for each in made}) == 50
    assert made[0].secret not in repr(made[0])


def test_a_token_ends_after_the_requested_duration() -> None:
    made = make("a", "curator", ["download"], "36h", now=lambda: NOW, random=bytes)
    assert made.manifest["spec"]["expiresAt"] == "2026-12-02T12:00:00Z"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("A", "curator", ["download"]), "'A' cannot be the name of an object"),
        (("a", "team:x", ["download"]), "'team:x' is not an owner: write the name of a RegistryUser, or robot:NAME"),
        (("a", "Curator", ["download"]), "'Curator' is not an owner"),
        (("a", "curator", ["download"], "30d"), "'30d' is not a duration"),
        (("a", "curator", ["download"], "0s"), "is not above zero"),
        (("a", "curator", ["download"], "", "x" * 501), "the AccessToken a would not be valid: spec.description: "),
    ],
)
def test_a_token_that_could_not_be_is_refused_with_a_sentence(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        make(*arguments)


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (QuerySubject("curator", (), ""), "User curator"),
        (QuerySubject("builder", (), ""), "Robot builder"),
        (QuerySubject("serviceaccount:builders/ci", (), ""), "ServiceAccount builders/ci"),
        (QuerySubject("group:idp:lab", (), ""), "a login in Group idp:lab"),
        (QuerySubject("", ("idp:lab", "idp:all"), ""), "a login in Group idp:all and Group idp:lab"),
        (QuerySubject("curator", ("idp:lab",), ""), "User curator in Group idp:lab"),
        (QuerySubject("AuthenticatedUsers", (), ""), "a login without a name"),
        (QuerySubject("Public", (), ""), "anonymous (not logged in)"),
        (QuerySubject("", (), "laptop"), "User curator with AccessToken laptop"),
        (QuerySubject("curator", (), "laptop"), "User curator with AccessToken laptop"),
    ],
)
def test_the_queried_login_is_described(subject: QuerySubject, words: str) -> None:
    assert identity_text(identity_for(subject, SNAPSHOT)) == words


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (QuerySubject("", (), "absent"), "There is no AccessToken absent"),
        (QuerySubject("reviewer", (), "laptop"), "The AccessToken laptop belongs to User curator"),
        (QuerySubject("", ("idp:lab",), "laptop"), "leave out --as and --as-group"),
        (QuerySubject("Public", ("idp:lab",), ""), "Only a login at the identity provider has groups"),
    ],
)
def test_an_impossible_login_is_refused_with_a_sentence(subject: QuerySubject, words: str) -> None:
    with pytest.raises(UnknownSubjectError, match=re.escape(words)):
        identity_for(subject, SNAPSHOT)


def test_a_group_gives_a_registry_user_its_rights() -> None:
    identity = identity_for(QuerySubject("reviewer", ("idp:lab",), ""), SNAPSHOT)
    assert decide(SNAPSHOT, identity, AccessRequest(Action.PULL, "genomics", "aligner"), NOW).allowed


def test_the_current_user_is_the_registry_user_of_that_name_or_the_one_that_lists_it() -> None:
    assert own_name("curator", SNAPSHOT) == "curator"
    assert own_name("curator@example.org", SNAPSHOT) == "curator@example.org"
    assert own_name("system:serviceaccount:a:b", SNAPSHOT) == "system:serviceaccount:a:b"
    with pytest.raises(UnknownSubjectError, match="choose a subject with --as"):
        own_name("stranger", SNAPSHOT)


def answer(who: str, action: Action, *unread: str) -> Answer:
    request = AccessRequest(action, "genomics", "aligner")
    identity = Identity(CredentialKind.PASSWORD, who)
    return Answer(identity, request, decide(SNAPSHOT, identity, request, NOW), unread)


@pytest.mark.parametrize(
    ("who", "action", "unread", "doubted"),
    [
        ("curator", Action.PULL, "certifications", False),
        ("curator", Action.PUSH, "certifications", True),  # NotCertified
        ("reviewer", Action.PUSH, "certifications", False),  # LevelTooLow
        ("reviewer", Action.PUSH, "registryteams", True),
        ("curator", Action.PULL, "registryteams", False),
        ("builder", Action.PULL, "registryteams", True),  # NotFound
        ("curator", Action.PULL, "registryusers", True),
        ("curator", Action.PULL, "projects", True),
        ("curator", Action.PULL, "accesstokens", False),
    ],
)
def test_an_answer_is_in_doubt_exactly_when_unread_objects_could_change_it(
    who: str, action: Action, unread: str, doubted: bool
) -> None:
    assert bool(answer(who, action, unread).in_doubt) is doubted


def test_the_chain_is_printed_as_it_was_decided() -> None:
    assert answer("reviewer", Action.PULL).chain == (
        "pull genomics/aligner as User reviewer\n"
        "  ok   understood: the name is well formed\n"
        "  ok   credential: the credential is valid\n"
        "  ok   visible: User reviewer has View by Sharing\n"
        "  ok   exists: content may exist under this name\n"
        "  ok   trash: not in the trash\n"
        "  ok   suspended: not suspended\n"
        "  ok   hosted: needs no content of another registry\n"
        "  ok   creation: creates no repository\n"
        "  DENY level: reviewer has View on genomics/aligner, and pull needs Download; ask someone with Administer on "
        "project genomics for Download.\n"
        "  denied: LevelTooLow"
    )
