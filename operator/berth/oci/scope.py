"""The scope grammar of registry tokens. Pure.

Source: CNCF Distribution, "Token Scope Documentation" (docs/content/spec/auth/scope.md): `type[(class)]:name:actions`,
several of them separated by spaces. The name may hold a `:` (the port of a host), so a scope is read from both ends.
The class is deprecated there and ignored here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from berth.api import names
from berth.api.text import phrase

REPOSITORY: Final = "repository"
REGISTRY: Final = "registry"
CATALOG: Final = "catalog"

MAX_SCOPES: Final = 24
"""Scopes in one token request. Docker requests one for each source of a mount and one for the target."""
MAX_SCOPES_LENGTH: Final = 1500
"""Characters of all scopes of one request: the granted token must fit into a header of 16 KiB."""
MAX_SCOPE_LENGTH: Final = 1024
"""Characters of one scope: the longest legal name (251), a host and a port, a type and the actions."""

_TYPE = re.compile(r"([a-z0-9]+)(?:\([a-z0-9]+\))?")
_HOST_COMPONENT: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_NAME = re.compile(
    rf"(?:{_HOST_COMPONENT}(?:\.{_HOST_COMPONENT})*(?::[0-9]{{1,5}})?/)?"
    rf"{names.PATH_COMPONENT_PATTERN}(?:/{names.PATH_COMPONENT_PATTERN})*"
)
_ACTION = re.compile(r"[a-z]*|\*")
_FORM: Final = "repository:<project>/<repository>:pull,push"


class InvalidScopeError(ValueError):
    """A malformed scope. `sentence` says what is wrong and gives the right form."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Scope:
    """One requested resource with its actions, in the order of the request."""

    type: str
    name: str
    actions: tuple[str, ...]


def parse_scopes(values: Iterable[str]) -> tuple[Scope, ...]:
    """Parse the values of the `scope` parameters, each with one or more scopes separated by spaces.

    Scopes of the same type and name become one with all their actions, in the order of their first mention.
    Raises `InvalidScopeError` for a malformed or over-long scope and for too many of them.
    """
    actions: dict[tuple[str, str], dict[str, None]] = {}
    count = length = 0
    for value in values:
        for text in value.split(" "):
            if not text:
                continue
            count += 1
            if count > MAX_SCOPES:
                raise InvalidScopeError(
                    f"A token request may name at most {MAX_SCOPES} scopes; ask for fewer at a time."
                )
            length += len(text)
            if length > MAX_SCOPES_LENGTH:
                raise InvalidScopeError(
                    f"The scopes of a token request may have at most {MAX_SCOPES_LENGTH} characters together; "
                    "ask for fewer at a time."
                )
            scope = _parse(text)
            actions.setdefault((scope.type, scope.name), {}).update(dict.fromkeys(scope.actions))
    return tuple(Scope(kind, name, tuple(requested)) for (kind, name), requested in actions.items())


def _parse(text: str) -> Scope:
    if len(text) > MAX_SCOPE_LENGTH:
        raise InvalidScopeError(f"A scope may have at most {MAX_SCOPE_LENGTH} characters; use the form {_FORM}.")
    kind, _, rest = text.partition(":")
    name, colon, actions = rest.rpartition(":")
    if not colon:
        raise _malformed(text, "lacks its type, name or actions")
    matched = _TYPE.fullmatch(kind)
    if matched is None:
        raise _malformed(text, "has an invalid type")
    if _NAME.fullmatch(name) is None:
        raise _malformed(text, "has an invalid name (names are lower case)")
    requested = actions.split(",")
    if any(_ACTION.fullmatch(action) is None for action in requested):
        raise _malformed(text, "has an invalid action")
    return Scope(matched[1], name, tuple(dict.fromkeys(action for action in requested if action)))


def _malformed(text: str, fault: str) -> InvalidScopeError:
    return InvalidScopeError(phrase(f"The scope {{text}} {fault}; use the form {_FORM}.", text=text))
