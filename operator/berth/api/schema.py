"""The words with which models say what plain JSON schema can not: CEL rules, list semantics, shared field types."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from berth.api.names import DIGEST_PATTERN, REPOSITORY_MAX_LENGTH, REPOSITORY_PATTERN, TAG_PATTERN

# k8s.io/apimachinery/pkg/api/resource, as controller-gen writes it for resource.Quantity.
QUANTITY_PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
DNS_LABEL_PATTERN: Final = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
DNS_SUBDOMAIN_PATTERN: Final = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
USER_NAME_MAX_LENGTH: Final = 63


def rule(expression: str, message: str = "", *, message_expression: str = "", at: str = "") -> dict[str, str]:
    """One CEL validation (`x-kubernetes-validations`).

    `message` is the sentence people see: the field and the fix. `message_expression` (CEL, a string) replaces it where
    the sentence names a value; `message` is then what is shown if it fails. `at` is the field path that is blamed.
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
    """For `json_schema_extra` of a model or field."""
    return {"x-kubernetes-validations": list(made)}


ATOMIC: Final[dict[str, Any]] = {"x-kubernetes-list-type": "atomic"}
"""A list that is one document: whoever writes it writes all of it."""

SET: Final[dict[str, Any]] = {"x-kubernetes-list-type": "set"}
"""A list of scalars without order or duplicates; several writers may each own some."""


def keyed_by(*keys: str) -> dict[str, Any]:
    """A list whose items are told apart by these fields."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def _text(value: object) -> object:
    """Manifests may say `cpu: 1`; inside Berth a quantity is text."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


ComputeQuantity = Annotated[
    str,
    BeforeValidator(_text),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "pattern": QUANTITY_PATTERN,
            "maxLength": 32,
        }
    ),
]
"""A Kubernetes quantity that may be written as a number, as in any container's resources."""

SizeText = Annotated[str, Field(max_length=32)]
"""A size as text; the field's CEL rule checks that it is a quantity, because its sentence is the better one."""

Digest = Annotated[str, Field(max_length=135, pattern=DIGEST_PATTERN)]
TagName = Annotated[str, Field(max_length=128, pattern=TAG_PATTERN)]
RepositoryPath = Annotated[str, Field(min_length=1, max_length=REPOSITORY_MAX_LENGTH, pattern=REPOSITORY_PATTERN)]
UserName = Annotated[str, Field(min_length=1, max_length=USER_NAME_MAX_LENGTH, pattern=DNS_SUBDOMAIN_PATTERN)]
