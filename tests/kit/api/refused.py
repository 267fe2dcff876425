"""What a case of an object that the API server refuses consists of, and words that several kinds share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.kit.api.objects import Object

Make = Callable[[str, str], Object]  # (name, namespace) -> object

OBJECT_NAME: Final = (
    "must be the name of an object: use lower-case letters, digits, hyphens and dots, "
    "and begin and end with a letter or digit"
)
NAMED: Final = {
    "User": "kind User needs a name of its form: write the metadata.name of a RegistryUser (lower-case letters, "
    "digits, hyphens and dots)",
    "Robot": "kind Robot needs a name of its form: write the metadata.name of a RegistryUser of type Robot (lower-case "
    "letters, digits, hyphens and dots)",
    "Team": "kind Team needs a name of its form: write the metadata.name of a RegistryTeam (lower-case letters, "
    "digits, hyphens and dots)",
    "ServiceAccount": "kind ServiceAccount needs a name of its form: write namespace/name of a ServiceAccount, for "
    "example builders/ci",
    "Group": "kind Group needs a name of its form: write a group as the identity provider names it, with the prefix of "
    "the installation, for example idp:lab-42",
}
MISNAMED: Final = (
    ("User", "u" * 64),
    ("Robot", "Nightly"),
    ("Team", "team_1"),
    ("Team", "t" * 64),
    ("ServiceAccount", "ci"),
    ("ServiceAccount", "a.b/ci"),
    ("ServiceAccount", "builders/ci/x"),
    ("Group", " lab"),
    ("Group", "lab\n"),
)
CURATOR: Final = {"kind": "User", "name": "curator", "level": "Edit"}


@dataclass(frozen=True)
class Refused:
    """A new object, and the causes that kubectl lists."""

    title: str
    make: Make
    causes: tuple[str, ...]
