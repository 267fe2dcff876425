"""Durations as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from berth.api.quantities import parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("720h", timedelta(days=30)),
        ("1h30m", timedelta(minutes=90)),
        ("90s", timedelta(seconds=90)),
        ("1h1m1s", timedelta(seconds=3661)),
        ("0s", timedelta(0)),
    ],
)
def test_hours_minutes_and_seconds_are_understood(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "30d", "1.5h", "-1h", "h", "30", "1m1h", " 1h", "99999999h"])
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(
        ValueError, match="is not a duration: write hours, minutes and seconds, for example 720h or 1h30m"
    ):
        parse_duration(text)
