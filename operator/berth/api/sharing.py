"""Sharing: subjects and their levels, for projects, repositories and the generated policies."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from berth.api.base import ApiModel
from berth.api.schema import ATOMIC, rule, rules
from berth.api.subjects import FORMS, SubjectName, name_rules

SHARING_MAX_ITEMS: Final = 200


class SubjectKind(StrEnum):
    """Kinds of sharing subjects, the most specific first."""

    USER = "User"
    ROBOT = "Robot"
    SERVICE_ACCOUNT = "ServiceAccount"
    TEAM = "Team"
    GROUP = "Group"
    AUTHENTICATED_USERS = "AuthenticatedUsers"
    PUBLIC = "Public"


NAMED_KINDS: Final = tuple(kind for kind in SubjectKind if kind.value in FORMS)
"""The kinds that need a name."""


class SharingLevel(StrEnum):
    """Sharing levels, weakest first; each includes those before it. Compared by `rank`."""

    rank: int
    """1 for the weakest level."""

    def __init__(self, _value: str) -> None:
        self.rank = len(type(self).__members__) + 1

    VIEW = "View"
    DOWNLOAD = "Download"
    EDIT = "Edit"
    EDIT_AND_DELETE = "EditAndDelete"
    ADMINISTER = "Administer"

    def __lt__(self, other: str) -> bool:
        return self.rank < SharingLevel(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= SharingLevel(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > SharingLevel(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= SharingLevel(other).rank


class Share(ApiModel):
    """One subject and its level."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *name_rules(NAMED_KINDS, optional=True),
            rule(
                "self.kind != 'AuthenticatedUsers' || !has(self.name)",
                "kind AuthenticatedUsers means everyone with a login: remove name",
            ),
            rule("self.kind != 'Public' || !has(self.name)", "kind Public means everyone: remove name"),
            rule(
                "self.kind != 'Public' || self.level in ['View', 'Download']",
                "kind Public may View or Download at most: choose one of these, or share with a named subject",
            ),
        )
    )

    kind: Annotated[
        SubjectKind,
        Field(
            description="User or Robot: one RegistryUser of that type. Team: a RegistryTeam. Group: a group of the "
            "identity provider. ServiceAccount: of the cluster. AuthenticatedUsers: everyone with a login. Public: "
            "everyone, even without a login, if the installation allows it. No default."
        ),
    ]
    name: Annotated[
        SubjectName | None,
        Field(
            description="metadata.name of the RegistryUser or RegistryTeam, namespace/name of the ServiceAccount, or "
            "the group. Default: none, for AuthenticatedUsers and Public alone."
        ),
    ] = None
    level: Annotated[
        SharingLevel,
        Field(
            description="View: see it. Download: pull too. Edit: push too (needs a Certification). EditAndDelete: "
            "delete, trash and restore too. Administer: change sharing and limits too. No default."
        ),
    ]


def sharing_field(description: str) -> object:
    """A sharing list: one atomic document that names no subject twice."""
    # The keys are computed once (the outer list of one). The first index of a key is at most its own index, so the sum
    # of the first indexes is 0 + 1 + 2 … only if no key is repeated. This needs half the comparisons of a search from
    # both ends, which would exceed the cost limit with 200 of the longest names.
    unique = rule(
        """[self.map(s, s.kind + '/' + (has(s.name) ? s.name : ''))].all(keys, size(keys) == 0
           || keys.map(k, keys.indexOf(k)).sum() == size(keys) * (size(keys) - 1) / 2)""",
        "names one subject twice: keep one entry for each kind and name, with the higher level",
    )
    return Field(
        max_length=SHARING_MAX_ITEMS,
        description=description,
        json_schema_extra=ATOMIC | rules(unique),
    )
