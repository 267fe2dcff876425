"""Schema extensions of the models: CEL rules, list semantics, shared field types."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from berth.api.names import DIGEST_PATTERN, REPOSITORY_MAX_LENGTH, REPOSITORY_PATTERN, TAG_PATTERN

# k8s.io/apimachinery/pkg/api/resource, as controller-gen writes it for resource.Quantity.
QUANTITY_PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
DNS_SUBDOMAIN_PATTERN: Final = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
USER_NAME_MAX_LENGTH: Final = 63


def rule(expression: str, message: str = "", *, message_expression: str = "", at: str = "") -> dict[str, str]:
    """One CEL validation (`x-kubernetes-validations`).

    `message` follows the name of the field: what is wrong and the fix. `message_expression` (CEL, a string) replaces it
    if the sentence contains a value; `message` is then the fallback. `at` is the path of the reported field below this
    schema, for example `.metadata.name`.
    """
    made = {"rule": " ".join(expression.split())}
    if message:
        made["message"] = message
    if message_expression:
        made["messageExpression"] = " ".join(message_expression.split())
    if at:
        made["fieldPath"] = at
    return made


def rules(*made: dict[str, str]) -> dict[str, Any]:
    """The rules as `json_schema_extra` of a model or field."""
    return {"x-kubernetes-validations": list(made)}


ATOMIC: Final[dict[str, Any]] = {"x-kubernetes-list-type": "atomic"}
"""A list that each writer replaces as a whole."""

SET: Final[dict[str, Any]] = {"x-kubernetes-list-type": "set"}
"""A list of scalars without order or duplicates; several writers may each own some items."""


def keyed_by(*keys: str) -> dict[str, Any]:
    """A list whose items are identified by these fields."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def matching(pattern: str, message: str, *, max_length: int) -> Any:
    """A string field that matches `pattern`. People see `message` with the form and the fix, never the expression."""

    def as_rule(schema: dict[str, Any]) -> None:
        del schema["pattern"]
        schema |= rules(rule(f"self.matches({quoted(pattern)})", message))

    return Field(min_length=1, max_length=max_length, pattern=pattern, json_schema_extra=as_rule)


def quoted(text: str) -> str:
    """A text as a CEL raw string. Raises ValueError for one with a single quote."""
    if "'" in text:
        raise ValueError(f"{text!r} cannot be quoted with single quotes")
    return f"r'{text}'"


def _text(value: object) -> object:
    """Convert a number to text: manifests may have `cpu: 1`, and models keep quantities as text."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


ComputeQuantity = Annotated[
    str,
    BeforeValidator(_text),
    Field(pattern=QUANTITY_PATTERN),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "maxLength": 32,
        }
        | rules(
            rule(
                "type(self) == int ? self > 0 : (isQuantity(self) && quantity(self).isGreaterThan(quantity('0')))",
                "must be a quantity above zero, for example 500m for cpu or 256Mi for memory",
            )
        )
    ),
]
"""A Kubernetes quantity that may be written as a number, as in any container's resources."""

SizeText = Annotated[str, Field(max_length=32)]
"""A size as text; a CEL rule of the field checks that it is a quantity, because it has the better message."""

ObjectName = Annotated[
    str,
    matching(
        DNS_SUBDOMAIN_PATTERN,
        "must be the name of an object: use lower-case letters, digits, hyphens and dots, "
        "and begin and end with a letter or digit",
        max_length=253,
    ),
]
"""metadata.name of another object."""

NamespaceName = Annotated[
    str,
    matching(
        r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
        "must be the name of a namespace: use lower-case letters, digits and hyphens, "
        "and begin and end with a letter or digit",
        max_length=63,
    ),
]

UserName = Annotated[
    str,
    matching(
        DNS_SUBDOMAIN_PATTERN,
        "must be the metadata.name of a RegistryUser: use lower-case letters, digits, hyphens and dots",
        max_length=USER_NAME_MAX_LENGTH,
    ),
]
RepositoryPath = Annotated[
    str,
    matching(
        REPOSITORY_PATTERN,
        "must be a repository path like tools/aligner: use lower-case letters and digits, separated within a "
        "component by one dot, one or two underscores, or hyphens; no slash at the beginning or end",
        max_length=REPOSITORY_MAX_LENGTH,
    ),
]
TagName = Annotated[
    str,
    matching(
        TAG_PATTERN,
        "must be a tag: use letters, digits, underscores, dots and hyphens, and do not begin with a dot or hyphen",
        max_length=128,
    ),
]
Digest = Annotated[
    str,
    matching(
        DIGEST_PATTERN,
        "must be a digest: write sha256: and 64 hexadecimal digits, or sha512: and 128, in lower case",
        max_length=135,
    ),
]
