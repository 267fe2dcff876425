"""Durations as Go and Kubernetes write them: `720h`, `1h30m`, `90s`. Pure.

Source: Go's `time.ParseDuration`, of which hours, minutes and seconds are taken; days are written as hours.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

_FORM: Final = re.compile(r"(?:(\d{1,7})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """The duration. Raises ValueError, with one sentence, for anything else."""
    found = _FORM.fullmatch(text) if text else None
    if found is None:
        raise ValueError(f"{text!r} is no duration: write hours, minutes and seconds, for example 720h or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)
