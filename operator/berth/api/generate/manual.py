"""The generated parts of `docs/crds`: the fields and rules of each kind, and the list of conditions. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from berth.api.conditions import ConditionReason, ConditionType
from berth.api.generate.structural import VALIDATIONS, Schema
from berth.api.kinds import Kind

BEGIN: Final = "<!-- fields: begin; written by `make crds` -->"
END: Final = "<!-- fields: end -->"
_SKIPPED: Final = frozenset({"apiVersion", "kind", "metadata"})


@dataclass(frozen=True, slots=True)
class FieldEntry:
    """One field of a kind, for the table."""

    path: str  # spec.sharing[].name
    type: str
    required: bool
    description: str
    rules: tuple[tuple[str, str], ...]  # the reported field and the message


def fields(schema: Schema, path: str = "") -> Iterator[FieldEntry]:
    """Every field below a schema, parents first."""
    required = schema.get("required", ())
    for name, child in schema.get("properties", {}).items():
        if not path and name in _SKIPPED:
            continue
        place = f"{path}.{name}" if path else name
        rules = (*_messages(place, child), *_messages(f"{place}[]", child.get("items", {})))
        yield FieldEntry(place, _type(child), name in required, child.get("description", ""), rules)
        is_list = child.get("type") == "array"
        yield from fields(child["items"] if is_list else child, f"{place}[]" if is_list else place)


def kind_page(page: str, kind: Kind, schema: Schema) -> str:
    """Regenerate the part of `page` between its markers. Raises ValueError when a marker is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page of {kind.name} needs the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{_generated(kind, schema)}\n{END}{after}"


def conditions_page() -> str:
    """The closed lists of condition types and reasons."""
    lines = [
        "# Conditions",
        "",
        "Written by `make crds` from `operator/berth/api/conditions.py`.",
        "Both lists are closed: a new word is a change of the API.",
        "",
        "| type | meaning when True |",
        "| --- | --- |",
        *(f"| `{kind}` | {kind.meaning} |" for kind in ConditionType),
        "",
        "| reason | meaning |",
        "| --- | --- |",
        *(f'| <a id="{reason.lower()}"></a>`{reason}` | {reason.meaning} |' for reason in ConditionReason),
    ]
    return "\n".join(lines) + "\n"


def _generated(kind: Kind, schema: Schema) -> str:
    names = ", ".join(f"`{name}`" for name in (kind.plural, *kind.short_names))
    scope = "in a namespace" if kind.namespaced else "cluster-wide"
    entries = [entry for entry in fields(schema) if not entry.path.startswith("status.conditions[]")]
    lines = [
        f"{schema['description']}",
        "",
        f"Scope: {scope}. Names for kubectl: {names}.",
        "",
        "| field | type | meaning |",
        "| --- | --- | --- |",
        *(f"| `{entry.path}` | {_type_cell(entry)} | {_cell(entry.description)} |" for entry in entries),
        "",
    ]
    refusals = [*_messages("", schema), *(refusal for entry in entries for refusal in entry.rules)]
    if refusals:
        lines += ["Validation rules and their messages:", ""]
        lines += [f"- `{path}`: {message}" for path, message in refusals]
        lines += [""]
    return "\n".join(lines)


def _messages(path: str, schema: Schema) -> tuple[tuple[str, str], ...]:
    rules = schema.get(VALIDATIONS, ())
    return tuple(((path + rule.get("fieldPath", "")).lstrip("."), rule["message"]) for rule in rules)


def _type_cell(entry: FieldEntry) -> str:
    return f"{entry.type}, required" if entry.required else entry.type


def _type(schema: Schema) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("format") == "date-time":
        return "time"
    if "type" not in schema:
        return "quantity"
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}, at most {schema['maxItems']}"
    return str(schema["type"])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
