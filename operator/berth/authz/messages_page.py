"""The documentation of the reasons, from the sentences that are told. Pure.

`python -m berth.authz.messages_page < docs/reasons.md` prints the page with the part between its markers made anew;
a test compares that with the page itself.
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
    """The generated part: a section for each reason that this version tells, in the order of the chain.

    The words of the closed list that no check tells yet are named at the end, so that nobody takes them for others.
    """
    told = "\n".join(_section(reason, wording) for reason, wording in REASON_TEXTS.items())
    reserved = ", ".join(f"`{reason.value}`" for reason in Reason if reason not in REASON_TEXTS)
    return f"{told}\nReserved for checks to come, and told by none of this version: {reserved}.\n" if reserved else told


def renew(page: str) -> str:
    """`page` with what stands between its markers made anew; raises `ValueError` when a marker is missing."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page lacks a marker; it needs the lines {BEGIN} and {END}.")
    return f"{head}{BEGIN}\n\n{reasons()}\n{END}{tail}"


def _section(reason: Reason, wording: ReasonText) -> str:
    patterns = [pattern for pattern in (wording.pattern, wording.anonymous_pattern) if pattern]
    told = "\n\nor, without a login,\n\n".join(f"> `{pattern.format(**_PLACEHOLDERS)}`" for pattern in patterns)
    return f"## {reason.value}\n\n{told}\n\n{wording.meaning}\n\nWhat to do: {wording.remedy}\n"


if __name__ == "__main__":
    sys.stdout.write(renew(sys.stdin.read()))
