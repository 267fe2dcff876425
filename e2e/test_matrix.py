"""The authorization matrix on real registries, through the gateway: every cell is as the table says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pytest

from e2e.suite.crowd import Projects
from e2e.suite.http import Answer, Wire, digest_of, without_time
from e2e.suite.matrix.operations import OPERATIONS, Cell, first_image, listed, own_image
from e2e.suite.matrix.scene import FILLED, LEVELS, Matrix, open_matrix, together
from e2e.suite.matrix.table import SENTENCES, SUBJECTS, TABLES
from e2e.suite.world import Person, with_page

UNEXPLAINED = ("na", "nf")
"""Cells whose sentence names no page, because that could say no more."""
REGISTRY_CODES = ("BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "NAME_UNKNOWN")
LISTING_REFUSED = (
    "You are not logged in, and the list of repositories is not public; log in (docker login) and try again."
)
Answers = Mapping[tuple[str, str], Answer]

NEEDS = {"pull": "Download", "push": "Edit", "delete": "EditAndDelete"}


@pytest.fixture(scope="module")
def matrix(projects: Projects, wire: Wire, person: Callable[..., Person]) -> Matrix:
    return open_matrix(projects, wire, person)


@pytest.fixture(scope="module")
def tried(matrix: Matrix) -> dict[str, Answers]:
    """Every cell of every state, tried once, by state, operation and subject."""
    return {state: _try(matrix, state) for state in TABLES}


def _try(matrix: Matrix, state: str) -> Answers:
    cells = matrix.cells(state)
    return {(cell.operation, cell.subject): answer for cell, answer in zip(cells, _sent(cells), strict=True)}


def _sent(cells: Sequence[Cell]) -> list[Answer]:
    return together(cell.send for cell in cells)


@pytest.mark.parametrize("state", TABLES)
def test_every_cell_of_the_authorization_matrix_is_as_the_table_says(
    matrix: Matrix, tried: dict[str, Answers], state: str
) -> None:
    wrong = []
    for key, cell in TABLES[state].items():
        expected, seen = _expected(matrix, state, *key), _seen(matrix, state, key, tried[state][key])
        if seen != expected:
            wrong.append(f"{key} is {cell}: {expected}, and was {seen}")
    assert not wrong, "\n".join(wrong)


def test_a_hidden_repository_is_an_absent_one_to_the_letter_for_every_subject_that_could_not_create_it(
    matrix: Matrix,
) -> None:
    cells = [
        cell
        for cell in matrix.cells("repository hidden")
        if cell.subject != "author" and cell.operation != "list catalog"
    ]
    twins = together(partial(matrix.twin, cell) for cell in cells)
    different = [
        (cell.operation, cell.subject)
        for cell, twin, seen, other in zip(cells, twins, _sent(cells), _sent(twins), strict=True)
        if _disguised(cell.repository, seen) != _disguised(twin.repository, other)
    ]
    assert len(cells) > 100
    assert different == []


def test_an_absent_project_and_one_of_others_are_the_same_to_the_letter(
    matrix: Matrix, tried: dict[str, Answers]
) -> None:
    states = set(TABLES) - {"project absent"}
    for operation in OPERATIONS:
        for subject in ("anonymous", "outsider"):
            key = operation, subject
            if operation == "list catalog" and subject == "outsider":
                continue  # what others can be seen there has nothing to do with these projects
            absent = _disguised(matrix.repository("project absent", *key), tried["project absent"][key])
            seen = {_disguised(matrix.repository(state, *key), tried[state][key]) for state in states}
            assert seen == {absent}, key


def test_what_was_refused_changed_nothing_and_what_was_allowed_is_there(
    matrix: Matrix, tried: dict[str, Answers]
) -> None:
    assert set(tried) == set(TABLES)
    matrix.restore()
    wrong = []
    for state in FILLED:
        held = matrix.curator.hold(matrix.repository(state), "pull")
        for tag, expected in _expected_tags(state).items():
            digest = held.pull(matrix.repository(state), tag).header("docker-content-digest")
            if digest not in expected:
                wrong.append(f"{state}: {tag} is {digest}")
    assert not wrong, "\n".join(wrong)


def _expected_tags(state: str) -> dict[str, set[str]]:
    """The digests that each tag may name by the table; an empty one: there is no such tag."""
    allowed = {key for key, cell in TABLES[state].items() if cell == "ok"}
    first = digest_of(first_image())
    moved = {digest_of(own_image("latest", subject)) for subject in SUBJECTS if ("move latest", subject) in allowed}
    tags = {"v1": {first}, "latest": moved or {first}}
    for subject in SUBJECTS:
        own = {purpose: digest_of(own_image(purpose, subject)) for purpose in ("new", "overwritten", "tag", "digest")}
        tags[f"new-{subject}"] = {own["new"] if ("new manifest", subject) in allowed else ""}
        tags[f"over-{subject}"] = {own["overwritten"] if ("overwrite", subject) in allowed else first}
        tags[f"tag-{subject}"] = {"" if ("delete tag", subject) in allowed else own["tag"]}
        tags[f"digest-{subject}"] = {"" if ("delete digest", subject) in allowed else own["digest"]}
    return tags


def _disguised(repository: str, answer: Answer) -> tuple[object, ...]:
    """A response without its time, and with its names replaced."""
    project = repository.partition("/")[0]

    def disguise(text: str) -> str:
        return text.replace(repository, "P/R").replace(f"project {project}", "project P")

    status, headers, body = without_time(answer)
    kept = {name: disguise(value) for name, value in headers.items() if name != "content-length"}
    return status, tuple(sorted(kept.items())), disguise(body.decode())


def _expected(matrix: Matrix, state: str, operation: str, subject: str) -> tuple[int, str]:
    """Status, and what a refusal says or whether a list has the repository."""
    cell, what = TABLES[state][operation, subject], OPERATIONS[operation]
    if cell in ("ok", "404"):
        return (what.success if cell == "ok" else 404), ""
    if cell in ("in", "-"):
        return 200, cell
    repository = matrix.repository(state, operation, subject)
    sentence = SENTENCES[cell].format(
        name=repository,
        project=repository.partition("/")[0],
        who=matrix.name(subject),
        action=what.action,
        have=LEVELS.get(subject, ""),
        need=NEEDS.get(what.action, ""),
    )
    if operation == "list catalog":
        return 403, LISTING_REFUSED
    sentence = sentence if cell in UNEXPLAINED else with_page(sentence, what.action, repository)
    if operation == "HEAD blob":
        return 404, ""
    return (404 if operation == "HEAD digest" else 403), sentence


def _seen(matrix: Matrix, state: str, key: tuple[str, str], answer: Answer) -> tuple[int, str]:
    operation, subject = key
    if operation == "list catalog" and answer.status == 200:
        return 200, "in" if matrix.repository(state, operation, subject) in listed(answer) else "-"
    if operation.startswith("HEAD"):
        return answer.status, answer.header("warning").removeprefix('299 - "').removesuffix('"')
    if answer.status == 404 and answer.json["errors"][0]["code"] in REGISTRY_CODES:
        return 404, ""
    if answer.status < 400:
        return answer.status, ""
    status, code, sentence = answer.refusal
    return (status, sentence) if code == "DENIED" else (status, f"{code}: {sentence}")
