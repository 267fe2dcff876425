"""Text for people: shortening, safe phrases, full names."""

from __future__ import annotations

import re
from typing import Final

MAX_LENGTH: Final = 200
"""Characters of a sentence."""


_ELLIPSIS: Final = "..."


_SHORTEST: Final = 9


_NOT_SAFE = re.compile(r"[^ -~]|[\"\\]")


def phrase(pattern: str, **fields: str) -> str:
    """`pattern` with its `{fields}` filled in, made safe for a header and shortened to `MAX_LENGTH` characters.

    When it is too long, the longest fields are shortened in the middle, to one length, no more than needed.
    """
    safe = {key: _NOT_SAFE.sub("?", value) for key, value in fields.items()}
    text = pattern.format(**safe)
    longest = min(max(map(len, safe.values()), default=0), MAX_LENGTH)
    while len(text) > MAX_LENGTH and longest > _SHORTEST:
        longest -= 1
        text = pattern.format(**{key: shorten(value, longest) for key, value in safe.items()})
    return text


def shorten(text: str, length: int) -> str:
    """`text`, or its beginning and end around `...` when it is longer than `length` characters."""
    if len(text) <= length:
        return text
    kept = max(length - len(_ELLIPSIS), 2)
    return text[: kept - kept // 2] + _ELLIPSIS + text[len(text) - kept // 2 :]


def full_name(project: str, repository: str) -> str:
    """`project/repository`, or the project alone when no repository is meant."""
    return f"{project}/{repository}" if repository else project
