"""The output of a refused client, compared with the table of clients."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

from e2e.suite.clients.client import Outcome, Reference, Refusals
from e2e.suite.world import HOST, Person

ANYTHING = "…"
"""At the beginning of a template: whatever the client says before, on the same line."""

WRONG_PASSWORD = "The user name or password is wrong; log in again with your own user name and password."

TOKEN_REVOKED = (
    "This login is no longer valid, because its token or its user was removed; log in again, with a new token "
    "if you use one."
)


def assert_refused(outcome: Outcome, template: str, reference: Reference, sentence: str) -> None:
    """The client failed, and said the lines of the template, whole, with nothing added before or after."""
    assert not outcome.result.ok, outcome.said
    assert_said(outcome.said, template, reference, sentence)


def assert_said(said: str, template: str, reference: Reference, sentence: str) -> None:
    """Somewhere in what was said are the lines of the template, whole."""
    expected = Refusals.fill(template, reference, sentence)
    whole = f"\n{said.rstrip()}\n"
    before = "" if template.startswith(ANYTHING) else "\n"
    found = f"{before}{expected.removeprefix(ANYTHING)}\n" in whole
    assert found, f"expected:\n{expected}\n\nsaid:\n{said}"


def with_password(person: Person, password: str, home: Path, name: str = "") -> Person:
    """The same person, or another, with another password in the login file; an empty one means anonymous."""
    changed = replace(person, name=name or person.name, password=password, home=home)
    auth = base64.b64encode(f"{changed.name}:{password}".encode()).decode()
    changed.auth_file.write_text(json.dumps({"auths": {HOST: {"auth": auth}} if password else {}}))
    return changed


def forgetful(person: Person, home: Path, who: str) -> Person:
    """A user with a wrong password. `who` makes the name unique, because wrong passwords are counted."""
    return with_password(person, "wrong", home, f"forgetful-{who}")
