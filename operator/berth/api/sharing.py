"""Sharing: who has which level. Used by projects, repositories and the generated policies."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from berth.api.base import ApiModel
from berth.api.schema import ATOMIC, UserName, rule, rules

SHARING_MAX_ITEMS: Final = 200


class SubjectKind(StrEnum):
    """Kinds of subjects that something can be shared with."""

    USER = "User"
    AUTHENTICATED_USERS = "AuthenticatedUsers"


class SharingLevel(StrEnum):
    """Sharing levels, weakest first; each includes the ones before it."""

    VIEW = "View"
    DOWNLOAD = "Download"
    EDIT = "Edit"
    EDIT_AND_DELETE = "EditAndDelete"
    ADMINISTER = "Administer"


class Share(ApiModel):
    """One subject and its level."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.kind != 'User' || has(self.name)",
                "kind User needs a name: write the metadata.name of a RegistryUser",
            ),
            rule(
                "self.kind != 'AuthenticatedUsers' || !has(self.name)",
                "kind AuthenticatedUsers means everybody with a login: remove name",
            ),
        )
    )

    kind: Annotated[
        SubjectKind,
        Field(description="User: one RegistryUser. AuthenticatedUsers: everybody with a login. No default."),
    ]
    name: Annotated[
        UserName | None,
        Field(description="metadata.name of the RegistryUser, for kind User alone. Default: none."),
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
    # The keys are computed once (the outer list of one), so that the check costs what its lookups cost.
    unique = rule(
        """[self.map(s, s.kind + '/' + (has(s.name) ? s.name : ''))].all(keys,
           keys.all(k, keys.indexOf(k) == keys.lastIndexOf(k)))""",
        "names one subject twice: keep one entry for each kind and name, with the higher level",
    )
    return Field(
        max_length=SHARING_MAX_ITEMS,
        description=description,
        json_schema_extra=ATOMIC | rules(unique),
    )
