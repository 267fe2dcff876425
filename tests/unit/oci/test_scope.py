"""Scopes of a token request: the grammar of the Distribution token specification, read from both ends."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from berth.oci.scope import MAX_SCOPE_LENGTH, MAX_SCOPES, InvalidScopeError, Scope, parse_scopes


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("repository:p/r:pull", Scope("repository", "p/r", ("pull",))),
        ("repository:p/a/b_c__d.e--f:pull,push", Scope("repository", "p/a/b_c__d.e--f", ("pull", "push"))),
        ("repository:p/r:push,pull", Scope("repository", "p/r", ("push", "pull"))),
        ("repository:p/r:pull,pull", Scope("repository", "p/r", ("pull",))),
        ("repository(plugin):p/r:pull", Scope("repository", "p/r", ("pull",))),
        ("repository:Host.example.org:5000/p/r:pull", Scope("repository", "Host.example.org:5000/p/r", ("pull",))),
        ("registry:catalog:*", Scope("registry", "catalog", ("*",))),
        ("repository:p/r:", Scope("repository", "p/r", ())),
        ("repository:p/r:pull,", Scope("repository", "p/r", ("pull",))),
        ("repository:r:pull", Scope("repository", "r", ("pull",))),
    ],
)
def test_a_scope_is_read_from_both_ends(text: str, scope: Scope) -> None:
    assert parse_scopes([text]) == (scope,)


def test_scopes_come_as_repeated_parameters_or_separated_by_spaces() -> None:
    expected = (Scope("repository", "p/a", ("pull",)), Scope("repository", "p/b", ("pull", "push")))
    assert parse_scopes(["repository:p/a:pull", "repository:p/b:pull,push"]) == expected
    assert parse_scopes(["repository:p/a:pull  repository:p/b:pull,push "]) == expected


def test_scopes_of_one_name_become_one() -> None:
    scopes = parse_scopes(["repository:p/a:pull repository:p/b:pull", "repository(x):p/a:push,pull"])
    assert scopes == (Scope("repository", "p/a", ("pull", "push")), Scope("repository", "p/b", ("pull",)))


def test_no_scope_at_all_is_how_a_login_asks() -> None:
    assert parse_scopes([]) == ()
    assert parse_scopes(["", "  "]) == ()


@pytest.mark.parametrize(
    "text",
    [
        "repository",
        "repository:p/r",
        ":p/r:pull",
        "repository::pull",
        "Repository:p/r:pull",
        "repository():p/r:pull",
        "repository(a:p/r:pull",
        "repository:p/R:pull",
        "repository:p//r:pull",
        "repository:p/r/:pull",
        "repository:../r:pull",
        "repository:p/r:5000/x:pull",
        "repository:p/r:PULL",
        "repository:p/r:pull*",
        "repository:p/r:pull\trepository:p/x:pull",
        "repository:p/r:pull\n",
        "repository:p/r\n:pull",
        "repository:p/ä:pull",
        "repository:p/r%2fx:pull",
        "\x00",
    ],
)
def test_a_malformed_scope_is_refused_with_one_sentence_that_shows_the_form(text: str) -> None:
    with pytest.raises(InvalidScopeError) as caught:
        parse_scopes([text])
    assert "use the form repository:<project>/<repository>:pull,push." in caught.value.sentence
    assert len(caught.value.sentence) <= 200
    assert caught.value.sentence.isascii()
    assert caught.value.sentence.isprintable()


def test_the_number_and_the_length_of_scopes_are_bounded() -> None:
    many = [f"repository:p/r{index}:pull" for index in range(MAX_SCOPES)]
    assert len(parse_scopes(many)) == MAX_SCOPES
    with pytest.raises(InvalidScopeError, match="at most 24 scopes"):
        parse_scopes([" ".join(many), "repository:p/r0:pull"])
    longest = "repository:p/" + "r" * (MAX_SCOPE_LENGTH - len("repository:p/:pull")) + ":pull"
    assert len(parse_scopes([longest])) == 1
    with pytest.raises(InvalidScopeError, match="at most 1024 characters"):
        parse_scopes([longest.replace("p/", "p/r")])
    with pytest.raises(InvalidScopeError, match="at most 1500 characters together"):
        parse_scopes([longest, longest.replace("p/r", "p/s")])


def test_no_input_makes_it_fail_otherwise() -> None:
    rng = Random(11)
    pieces = ("repository", "registry", *"():/, *%.\x00é\n", ":", ":", "p/r", "p/r", "pull", "push")
    outcomes = Counter(understood("".join(rng.choices(pieces, k=rng.randint(0, 9)))) for _ in range(30000))
    assert min(outcomes[True], outcomes[False]) > 1000


def understood(text: str) -> bool:
    """Whether it is a scope; raises if what was read is not what was said or the refusal not a plain sentence."""
    try:
        scopes = parse_scopes([text])
    except InvalidScopeError as error:
        if not (len(error.sentence) <= 200 and error.sentence.isascii() and error.sentence.isprintable()):
            raise AssertionError(error.sentence) from error
        return False
    assert parse_scopes(f"{scope.type}:{scope.name}:{','.join(scope.actions)}" for scope in scopes) == scopes
    return True
