"""The form of access tokens."""

from __future__ import annotations

import hashlib
import re
from random import Random

import pytest

from berth.authz.token_format import is_token, make_token, token_sha256


def test_a_token_has_a_prefix_that_scanners_find_and_letters_and_digits() -> None:
    for seed in range(200):
        token = make_token(Random(seed).randbytes(32))
        assert re.fullmatch(r"berth_[0-9A-Za-z]{49}", token)
        assert is_token(token)


def test_the_form_is_fixed_so_that_tokens_of_today_hold_tomorrow() -> None:
    assert make_token(bytes(32)) == "berth_" + "0" * 43 + "1RQ7Ck"
    assert make_token(b"\xff" * 32) == "berth_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp14CMDcA"


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_fewer_or_more_random_bytes_make_no_token(size: int) -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        make_token(bytes(size))


def test_a_changed_character_is_no_token() -> None:
    rng, token = Random(1), make_token(Random(2).randbytes(32))
    for position in range(len(token)):
        other = rng.choice([character for character in "berth_0aZ" if character != token[position]])
        assert not is_token(token[:position] + other + token[position + 1 :])


@pytest.mark.parametrize(
    "text", ["", "berth_", "secret", "berth_" + "0" * 49, "berth_" + "é" * 49, make_token(bytes(32)) + "\n"]
)
def test_anything_else_may_be_a_password(text: str) -> None:
    assert not is_token(text)


def test_the_hash_is_that_of_the_whole_token() -> None:
    token = make_token(bytes(32))
    assert token_sha256(token) == hashlib.sha256(token.encode()).hexdigest()
