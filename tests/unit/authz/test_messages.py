"""Sentences: word for word where people rely on them; short and plain for any names."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from berth.api import names
from berth.api.policy import Action
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel
from berth.api.text import phrase, shorten
from berth.api.token import TokenScope
from berth.authz.decide import decide
from berth.authz.explain import explain
from berth.authz.messages import REASON_TEXTS, MessageFacts, sentence, short_sentence, size_text
from berth.authz.messages_page import BEGIN, END, renew
from berth.authz.model import AccessRequest
from tests.kit.authz.worlds import NOW, lab, person

EXTREME = MessageFacts(
    who="system-serviceaccount." + "u" * 231,
    project="p" * names.PROJECT_ID_MAX_LENGTH,
    repository="r" * names.REPOSITORY_MAX_LENGTH,
    action=Action.ADMINISTER,
    have=SharingLevel.EDIT_AND_DELETE,
    need=SharingLevel.ADMINISTER,
    until=datetime(2027, 6, 30, tzinfo=UTC),
    missing=(TokenScope.DOWNLOAD, TokenScope.MODIFY),
    layer=100_000_000_001,
    limit=100_000_000_000,
)


@pytest.mark.parametrize("reason", list(REASON_TEXTS))
@pytest.mark.parametrize(
    "facts",
    [
        EXTREME,
        replace(EXTREME, is_anonymous=True),
        MessageFacts(),
        MessageFacts(who='é"\\\r\n\x00', project="ü", repository="\u2028"),
    ],
)
def test_a_sentence_is_short_plain_and_quotable_whatever_the_names_are(reason: Reason, facts: MessageFacts) -> None:
    text = sentence(reason, facts)
    assert 30 <= len(text) <= 200
    assert text.isascii()
    assert text.isprintable()
    assert '"' not in text
    assert "\\" not in text
    assert text.endswith(".")
    assert "{" not in text


@pytest.mark.parametrize("reason", list(REASON_TEXTS))
def test_names_are_shortened_no_more_than_needed_and_stay_recognizable(reason: Reason) -> None:
    text = sentence(reason, EXTREME)
    if "..." in text:
        assert len(text) > 180
        pieces = [word for word in text.split() if "..." in word]
        assert all(len(piece) >= 13 for piece in pieces)
        assert "bytes" not in "".join(pieces)


@pytest.mark.parametrize("reason", list(REASON_TEXTS))
def test_a_sentence_names_the_next_step(reason: Reason) -> None:
    steps = ("ask", "log in", "use", "apply", "try again", "wait")
    assert any(step in sentence(reason, EXTREME).partition(";")[2] for step in steps)


@pytest.mark.parametrize(
    ("name", "action", "text"),
    [
        (
            "novice",
            Action.PUSH,
            "novice may edit genomics/aligner but is not certified to push; ask your registry administrators for a "
            "Certification.",
        ),
        (
            "viewer",
            Action.PULL,
            "viewer has View on genomics/aligner, and pull needs Download; ask someone with Administer on project "
            "genomics for Download.",
        ),
        (
            "stranger",
            Action.PULL,
            "genomics/aligner does not exist or is not shared with stranger; check the name, or ask someone with "
            "Administer on project genomics for access.",
        ),
    ],
)
def test_the_sentence_has_the_problem_the_owner_and_the_next_step(name: str, action: Action, text: str) -> None:
    assert decide(lab(), person(name), AccessRequest(action, "genomics", "aligner"), NOW).sentence == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1_500_000, "1.5 MB"),
        (999_999, "1 MB"),
        (100_000_000_000, "100 GB"),
        (2_345_000_000_000, "2.35 TB"),
        (5 * 10**18, "5000 PB"),
    ],
)
def test_sizes_are_in_decimal_units(size: int, text: str) -> None:
    assert size_text(size) == text


def test_sizes_that_round_to_the_same_are_in_bytes() -> None:
    facts = MessageFacts(project="p", repository="r", layer=2_000_000_001, limit=2_000_000_000)
    assert "a layer of 2000000001 bytes, and its project allows 2000000000 bytes" in sentence(
        Reason.LAYER_TOO_LARGE, facts
    )
    facts = MessageFacts(project="p", repository="r", layer=3_200_000_000, limit=2_000_000_000)
    assert "a layer of 3.2 GB, and its project allows 2 GB" in sentence(Reason.LAYER_TOO_LARGE, facts)


def test_a_name_is_shortened_in_the_middle() -> None:
    assert shorten("abcdefghij", 10) == "abcdefghij"
    assert shorten("abcdefghijk", 10) == "abcd...ijk"


def test_a_long_name_keeps_its_beginning_and_end() -> None:
    text = phrase("{name} is wrong.", name="a" * 100_000 + "z")
    assert len(text) == 200
    assert text.startswith("aaa")
    assert text.endswith("az is wrong.")


def test_a_filled_in_text_is_never_read_as_a_pattern() -> None:
    assert phrase("{name} is wrong", name="{other} {0} %s") == "{other} {0} %s is wrong"


def test_the_page_of_reasons_matches_the_code() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reasons.md").read_text()
    assert renew(page) == page, "run: python -m berth.authz.messages_page < docs/reasons.md"
    sections = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert sections == [reason.value for reason in Reason if reason in REASON_TEXTS]


def test_a_page_without_its_markers_is_refused() -> None:
    for page in ("", BEGIN, f"{END} {BEGIN}"):
        with pytest.raises(ValueError, match="lacks a marker"):
            renew(page)


def test_an_explanation_shows_each_check_and_the_outcome() -> None:
    lines = explain(decide(lab(), person("viewer"), AccessRequest(Action.PULL, "genomics", "aligner"), NOW))
    assert lines[2] == "ok   visible: User viewer has View by Sharing"
    assert lines[-2].startswith("DENY level: viewer has View on genomics/aligner")
    assert lines[-1] == "denied: LevelTooLow"
    allowed = explain(decide(lab(), person("reader"), AccessRequest(Action.PULL, "genomics", "aligner"), NOW))
    assert allowed[-1] == "allowed"
    assert all(line.startswith("ok   ") for line in allowed[:-1])


@pytest.mark.parametrize("reason", [reason for reason, wording in REASON_TEXTS.items() if wording.short_pattern])
def test_beside_the_address_of_its_page_a_sentence_is_short_and_still_names_the_next_step(reason: Reason) -> None:
    facts = replace(EXTREME, who="curator.at-the-institute", action=Action.PUSH, need=SharingLevel.EDIT_AND_DELETE)
    text = short_sentence(reason, facts)
    assert len(text) <= 120
    assert any(step in text.partition(";")[2] for step in ("ask", "use", "apply"))
    assert len(short_sentence(reason, EXTREME)) <= 200


def test_where_no_page_says_more_there_is_no_sentence_beside_it() -> None:
    assert short_sentence(Reason.NOT_FOUND, EXTREME) == ""
    assert short_sentence(Reason.LEVEL_TOO_LOW, replace(EXTREME, is_anonymous=True)) == ""
