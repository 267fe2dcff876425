"""The documentation of the reasons, generated from their sentences. Pure.

`python -m berth.authz.messages_page < docs/reasons.md` prints the page with the part between its markers regenerated;
a test compares the result with the page.
"""

from __future__ import annotations

import sys
from typing import Final

from berth.api.reasons import Reason
from berth.authz.messages import REASON_TEXTS, ReasonText

BEGIN: Final = "<!-- generated: begin (python -m berth.authz.messages_page) -->"
END: Final = "<!-- generated: end -->"

_PLACEHOLDERS: Final = {
    "name": "<project>/<repository>",
    "project": "<project>",
    "who": "<user>",
    "action": "<action>",
    "have": "<level>",
    "need": "<higher level>",
    "until": "<date and time>",
    "missing": "<scope>",
    "layer": "<size>",
    "limit": "<size>",
}


def reasons() -> str:
    """The generated part: a section for each reason that this version uses, in the order of the chain.

    Reserved reasons are listed at the end, so that no client uses the same word for something else.
    """
    sections = "\n".join(_section(reason, text) for reason, text in REASON_TEXTS.items())
    reserved = ", ".join(f"`{reason.value}`" for reason in Reason if reason not in REASON_TEXTS)
    return f"{sections}\nReserved for future checks, not used by this version: {reserved}.\n" if reserved else sections


def renew(page: str) -> str:
    """Regenerate the part of `page` between its markers. Raises `ValueError` when a marker is missing."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page lacks a marker; it needs the lines {BEGIN} and {END}.")
    return f"{head}{BEGIN}\n\n{reasons()}\n{END}{tail}"


def _section(reason: Reason, text: ReasonText) -> str:
    patterns = [pattern for pattern in (text.pattern, text.anonymous_pattern) if pattern]
    sentences = "\n\nor, without a login,\n\n".join(f"> `{pattern.format(**_PLACEHOLDERS)}`" for pattern in patterns)
    return f"## {reason.value}\n\n{sentences}\n\n{text.meaning}\n\nWhat to do: {text.remedy}\n"


if __name__ == "__main__":
    sys.stdout.write(renew(sys.stdin.read()))
