"""What people write when they ask about access."""

from __future__ import annotations

import pytest

from berth.api.sharing import SubjectKind
from berth.authz.model import AUTHENTICATED_USERS, PUBLIC, Snapshot, Subject, User
from berth.authz.queries import ImageName, UnknownSubjectError, parse_image, parse_subject

USER, ROBOT, ACCOUNT, GROUP = (
    SubjectKind.USER,
    SubjectKind.ROBOT,
    SubjectKind.SERVICE_ACCOUNT,
    SubjectKind.GROUP,
)
SNAPSHOT = Snapshot(
    1,
    users={"curator": User("curator"), "builder": User("builder", robot=True)},
    aliases={Subject(USER, "curator@example.org"): frozenset({"curator"})},
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("genomics/aligner", ("", "genomics", "aligner", "")),
        ("genomics/aligner:v2", ("", "genomics", "aligner", "v2")),
        ("genomics/tools/viewer@sha256:ab", ("", "genomics", "tools/viewer", "sha256:ab")),
        ("registry.example.org/genomics/a/b:1@sha256:ab", ("registry.example.org", "genomics", "a/b", "sha256:ab")),
        ("localhost:5000/genomics/aligner:v2", ("localhost:5000", "genomics", "aligner", "v2")),
        ("localhost/genomics/aligner", ("localhost", "genomics", "aligner", "")),
        ("oci://registry.example.org/genomics/chart", ("registry.example.org", "genomics", "chart", "")),
        ("genomics", ("", "genomics", "", "")),
        ("registry.example.org/genomics", ("registry.example.org", "genomics", "", "")),
        ("", ("", "", "", "")),
    ],
)
def test_an_image_is_taken_apart_as_clients_write_it(text: str, parts: tuple[str, str, str, str]) -> None:
    assert parse_image(text) == ImageName(*parts)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("curator", Subject(USER, "curator")),
        ("builder", Subject(ROBOT, "builder")),
        ("curator@example.org", Subject(USER, "curator@example.org")),
        ("user:stranger@example.org", Subject(USER, "stranger@example.org")),
        ("Robot:builder", Subject(ROBOT, "builder")),
        ("serviceaccount:builders/ci", Subject(ACCOUNT, "builders/ci")),
        ("system:serviceaccount:builders:ci", Subject(ACCOUNT, "builders/ci")),
        ("group:idp:lab-42", Subject(GROUP, "idp:lab-42")),
        ("AuthenticatedUsers", AUTHENTICATED_USERS),
        ("Public", PUBLIC),
    ],
)
def test_each_form_of_a_subject_is_parsed(text: str, subject: Subject) -> None:
    assert parse_subject(text, SNAPSHOT) == subject


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("unknown", "There is no RegistryUser unknown; check the name, or write user:unknown"),
        ("robot:absent", "There is no RegistryUser absent of type Robot"),
        ("robot:curator", "The RegistryUser curator is of type Person; write user:curator."),
        ("user:builder", "The RegistryUser builder is of type Robot; write robot:builder."),
        ("serviceaccount:ci", "write a RegistryUser's name, user:NAME"),
        ("group:", "write a RegistryUser's name, user:NAME"),
        ("", "There is no RegistryUser (empty)"),
    ],
)
def test_any_other_text_is_refused_with_what_to_write(text: str, words: str) -> None:
    with pytest.raises(UnknownSubjectError) as raised:
        parse_subject(text, SNAPSHOT)
    assert words in raised.value.sentence
    assert len(raised.value.sentence) <= 200
