"""Subjects of sharing, teams, tokens and certifications: the form of their names, for each kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from berth.api.schema import DNS_SUBDOMAIN_PATTERN, USER_NAME_MAX_LENGTH, quoted, rule

SERVICE_ACCOUNT_PATTERN: Final = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
SERVICE_ACCOUNT_MAX_LENGTH: Final = 317  # a namespace (63), a slash and the name of a ServiceAccount (253)
SUBJECT_NAME_MAX_LENGTH: Final = 200
"""Characters of a subject's name. Longer ones exist, but a list of 200 of them exceeds the API server's cost limit for
one rule. A RegistryUser can still list a ServiceAccount with a longer name."""

SubjectName = Annotated[str, Field(min_length=1, max_length=SUBJECT_NAME_MAX_LENGTH)]
"""The name of a subject; its form depends on the kind beside it (`name_rules`)."""


@dataclass(frozen=True, slots=True)
class NameForm:
    """The form of the names of one kind. `what` ends the sentence "write …"."""

    pattern: str
    max_length: int
    what: str


_LETTERS: Final = "lower-case letters, digits, hyphens and dots"
FORMS: Final = {
    "User": NameForm(DNS_SUBDOMAIN_PATTERN, USER_NAME_MAX_LENGTH, f"the metadata.name of a RegistryUser ({_LETTERS})"),
    "Robot": NameForm(
        DNS_SUBDOMAIN_PATTERN,
        USER_NAME_MAX_LENGTH,
        f"the metadata.name of a RegistryUser of type Robot ({_LETTERS})",
    ),
    "Team": NameForm(DNS_SUBDOMAIN_PATTERN, 63, f"the metadata.name of a RegistryTeam ({_LETTERS})"),
    "ServiceAccount": NameForm(
        SERVICE_ACCOUNT_PATTERN, SUBJECT_NAME_MAX_LENGTH, "namespace/name of a ServiceAccount, for example builders/ci"
    ),
    "Group": NameForm(
        r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$",
        SUBJECT_NAME_MAX_LENGTH,
        "a group as the identity provider names it, with the prefix of the installation, for example idp:lab-42",
    ),
}
"""The kinds of subjects that have a name."""


def name_rules(kinds: Iterable[str], *, optional: bool = False) -> list[dict[str, str]]:
    """The CEL rules of an object with `kind` and `name`, one for each of `kinds`.

    `optional`: the name may be absent, because some kinds have none.
    """
    present = "has(self.name) && " if optional else ""
    return [
        rule(
            f"self.kind != '{kind}' || ({present}size(self.name) <= {form.max_length} "
            f"&& self.name.matches({quoted(form.pattern)}))",
            f"kind {kind} needs a name of its form: write {form.what}",
        )
        for kind, form in FORMS.items()
        if kind in set(kinds)
    ]


def well_named(kind: str, name: str | None) -> bool:
    """Whether `name` is valid for a subject of this kind; for a kind without names, whether it is absent."""
    form = FORMS.get(kind)
    if form is None:
        return name is None
    return name is not None and len(name) <= form.max_length and re.fullmatch(form.pattern, name) is not None
