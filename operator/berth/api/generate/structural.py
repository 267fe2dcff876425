"""Convert the JSON schemas of models to structural schemas of apiextensions.k8s.io/v1. Pure.

No `$ref`, no `null`, no `title`, no `default`. Without defaults the API server stores what a person wrote: a default
inside a list item would make GitOps tools report a difference forever. The operator applies the documented defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]

VALIDATIONS: Final = "x-kubernetes-validations"
_INT_OR_STRING: Final = "x-kubernetes-int-or-string"
_DROPPED: Final = frozenset({"title", "default", "$defs", "additionalProperties"})


def structural(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """Convert one node: references resolved, null removed, every other keyword kept."""
    made: Schema = {}
    if "$ref" in node:
        made = structural(definitions[node["$ref"].rpartition("/")[2]], definitions)
    elif "anyOf" in node and not node.get(_INT_OR_STRING):
        (only,) = (choice for choice in node["anyOf"] if choice.get("type") != "null")
        made = structural(only, definitions)
    for keyword, value in node.items():
        if keyword in _DROPPED or keyword == "$ref":
            continue
        if keyword == "properties":
            made[keyword] = {name: structural(child, definitions) for name, child in value.items()}
        elif keyword == "items":
            made[keyword] = structural(value, definitions)
        elif keyword == VALIDATIONS:
            made[keyword] = [*made.get(VALIDATIONS, []), *value]
        elif keyword == "const":
            made["enum"] = [value]
        elif keyword != "anyOf" or node.get(_INT_OR_STRING):
            made[keyword] = value
    return made
