"""`kubectl berth policy`: tests and comparisons of folders with manifests, and their error messages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from berth.cli.kubectl.main import cli

EXAMPLE = Path("docs/examples/policy")
AT = "2026-12-01T00:00:00Z"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["policy", *map(str, arguments)], prog_name="kubectl berth")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The documented example, to be changed."""
    copy = tmp_path / "policy"
    shutil.copytree(EXAMPLE, copy)
    return copy


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_the_documented_policy_holds_all_its_tests() -> None:
    result = run("test", EXAMPLE)
    assert result.exit_code == 0, result.output
    assert "FAIL" not in result.stdout
    assert result.stdout.endswith("\n11 expectations, none failed.\n")


def test_a_failure_reads_like_a_difference_with_the_reason(folder: Path) -> None:
    edit(folder / "genomics.yaml", "name: reviewer, level: Download", "name: reviewer, level: View")
    result = run("test", "-q", folder)
    assert result.exit_code == 1
    assert result.stdout == (
        "AccessTest aligner-is-closed\n"
        "  FAIL  User reviewer pull genomics/aligner:v2\n"
        "        - allowed\n"
        "        + denied: LevelTooLow\n"
        "          reviewer has View on genomics/aligner, and pull needs Download; ask someone with Administer on "
        "project genomics for Download.\n"
        "11 expectations, 1 failed.\n"
    )


def test_another_reason_than_the_expected_one_is_a_failure(folder: Path) -> None:
    edit(folder / "tests.yaml", "reason: LevelTooLow", "reason: NotCertified")
    result = run("test", "-q", folder)
    assert result.exit_code == 1
    assert "- denied: NotCertified\n        + denied: LevelTooLow\n" in result.stdout


def test_junit_has_a_suite_for_each_test_and_the_whole_chain_of_a_failure(folder: Path, tmp_path: Path) -> None:
    edit(folder / "genomics.yaml", "name: reviewer, level: Download", "name: reviewer, level: View")
    report = tmp_path / "report.xml"
    run("test", folder, "--junit", report)
    root = ElementTree.fromstring(report.read_bytes())
    assert root.attrib == {"name": "kubectl berth policy test", "tests": "11", "failures": "1", "errors": "0"}
    suites = {suite.attrib["name"]: suite.attrib["failures"] for suite in root.iter("testsuite")}
    assert suites == {"genomics-sharing": "0", "aligner-is-closed": "1", "certifications-end": "0"}
    (failure,) = root.iter("failure")
    assert failure.attrib["message"] == "expected allowed, found denied: LevelTooLow"
    assert failure.text is not None
    assert failure.text.splitlines()[-1] == "denied: LevelTooLow"


def test_a_report_that_cannot_be_written_is_reported_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    result = run("test", str(folder), "--junit", str(tmp_path / "absent" / "report.xml"))
    assert result.exit_code == 1
    assert "The report cannot be written to" in result.stderr
    assert "name another file with --junit" in result.stderr


def test_the_time_of_the_command_applies_to_tests_without_one(folder: Path) -> None:
    edit(folder / "tests.yaml", "  at: 2027-06-30T00:00:00Z\n", "")
    assert run("test", folder, "--at", "2027-06-29T23:59:59Z").exit_code == 1
    assert run("test", folder, "--at", "2027-06-30T00:00:00+00:00").exit_code == 0
    wrong = run("test", folder, "--at", "yesterday")
    assert wrong.exit_code == 2
    assert "'yesterday' is not an RFC 3339 time: write for example 2026-12-01T00:00:00Z" in wrong.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\n---\nb: [\n", "wrong.yaml, document 2, line 4 is not YAML"),
        ("a: 1\n---\n- x\n", "wrong.yaml, document 2 is not an object: write apiVersion, kind, metadata and spec."),
        (
            "apiVersion: berth.dev/v1\nkind: Project\n",
            "document 1 has the apiVersion berth.dev/v1, which Berth does not",
        ),
        (
            "apiVersion: berth.dev/v1alpha1\nkind: Projekt\n",
            "document 1 has the kind Projekt, which Berth does not have",
        ),
        (
            "---\n# nothing\n---\napiVersion: berth.dev/v1alpha1\nkind: AccessTest\nmetadata: {name: t}\n"
            "spec:\n  expect:\n"
            "  - {subject: {kind: User, name: a}, action: pull, image: p/r}\n",
            "wrong.yaml, document 2: AccessTest t cannot be read: spec.expect.0.allowed: Field required.",
        ),
        (
            "apiVersion: berth.dev/v1alpha1\nkind: RegistryUser\nmetadata: {name: curator}\n",
            "wrong.yaml, document 1: RegistryUser curator is also in",
        ),
        (
            "apiVersion: berth.dev/v1alpha1\nkind: DockerRepository\nmetadata: {name: a}\n",
            "is not in a project's namespace: set metadata.namespace to berth-<project>.",
        ),
    ],
)
def test_an_unreadable_document_is_reported_in_one_sentence_with_file_and_number(
    folder: Path, text: str, words: str
) -> None:
    (folder / "wrong.yaml").write_text(text)
    result = run("test", folder)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr


def test_foreign_manifests_and_hidden_folders_are_ignored(folder: Path) -> None:
    (folder / "deployment.yaml").write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n")
    (folder / "values.yaml").write_text("replicas: 1\n")
    (folder / ".git").mkdir()
    (folder / ".git" / "broken.yaml").write_text("a: [\n")
    assert run("test", folder).exit_code == 0


def test_a_list_is_read_as_its_items(folder: Path) -> None:
    user = {"apiVersion": "berth.dev/v1alpha1", "kind": "RegistryUser", "metadata": {"name": "newcomer"}}
    (folder / "list.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [user]}))
    result = run("test", folder)
    assert result.exit_code == 1
    assert "list.json, document 1: RegistryUser newcomer is also in" in result.stderr or "people.yaml" in result.stderr


def test_a_folder_without_a_test_fails_so_that_a_pipeline_notices(folder: Path, tmp_path: Path) -> None:
    (folder / "tests.yaml").unlink()
    result = run("test", folder)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: There is no AccessTest among these files")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "contains no .yaml, .yml or .json file" in run("test", empty).stderr


def test_diff_lists_who_gains_and_who_loses_what(folder: Path) -> None:
    edit(folder / "genomics.yaml", "kind: Robot, name: builder, level: Edit", "kind: Robot, name: builder, level: View")
    edit(folder / "genomics.yaml", "name: reviewer, level: Download", "name: newcomer, level: Download")
    result = run("diff", EXAMPLE, folder, "--at", AT)
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "genomics/*\n"
        "  - Robot builder: pull, push\n"
        "genomics/aligner\n"
        "  + User newcomer: view, pull\n"
        "  - User reviewer: view, pull\n"
    )
    assert run("diff", EXAMPLE, folder, "--at", AT, "--exit-code").exit_code == 1


def test_diff_of_equal_folders_reports_no_change(folder: Path) -> None:
    result = run("diff", EXAMPLE, folder, "--exit-code")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "No subject gains or loses anything.\n"


def test_diff_as_json_names_subjects_and_actions(folder: Path) -> None:
    edit(folder / "people.yaml", "metadata: {name: newcomer}", "metadata: {name: newcomer}\nspec: {disabled: true}")
    changes = json.loads(run("diff", EXAMPLE, folder, "--at", AT, "-o", "json").stdout)
    assert {
        "name": "genomics/*",
        "subject": {"kind": "User", "name": "newcomer"},
        "gained": [],
        "lost": ["view", "pull"],
    } in changes


def test_sharing_with_the_public_counts_only_where_the_installation_allows_it(folder: Path) -> None:
    edit(folder / "genomics.yaml", "level: Download}\n---", "level: Download}\n  - {kind: Public, level: View}\n---")
    assert run("diff", EXAMPLE, folder, "--at", AT).stdout == ""
    assert "+ Public: view" in run("diff", EXAMPLE, folder, "--at", AT, "--allow-public").stdout
