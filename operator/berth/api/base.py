"""The base of every API model: naming, tolerance of unknown fields, object metadata.

The models read what the API server returns, so unknown fields (of a newer version) are ignored. They are also the only
source of the CRDs (see `berth.api.generate.crd`), so bounds and patterns are written once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from berth.api.names import API_VERSION

UNOBSERVED: Final = -1
"""`status.observedGeneration` of an object that no controller has reconciled yet (kstatus: in progress)."""


def rfc3339(moment: datetime) -> str:
    """An aware time as Kubernetes writes it: UTC, whole seconds, `Z`. A naive time raises ValueError."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be written")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _with_zone(value: object) -> object:
    """YAML loaders turn an unquoted time into a naive datetime in UTC; RFC 3339 strings always carry a zone."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


Time = Annotated[
    datetime,
    BeforeValidator(_with_zone),
    PlainSerializer(rfc3339, when_used="always"),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 64}),
]
"""An aware time; RFC 3339 on the wire."""


class ApiModel(BaseModel):
    """Base of every model: frozen, camelCase on the wire, unknown fields ignored."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )

    def to_dict(self) -> dict[str, Any]:
        """A spec, a status or a part of one for the API server: camelCase, JSON types, absent fields left out.

        Only for content that Berth writes: fields with a default are written out, so sending a person's object back
        would change it. `metadata` has only the fields that Berth reads, so an object to apply is built from its parts.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class ObjectMeta(ApiModel):
    """The part of Kubernetes object metadata that Berth reads."""

    name: str
    namespace: str | None = None
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None

    @property
    def being_deleted(self) -> bool:
        """Whether the object was deleted and only its finalizers keep it."""
        return self.deletion_timestamp is not None


class Resource(ApiModel):
    """A custom resource. Every kind adds `kind`, `spec` and, if a controller reports on it, `status`."""

    api_version: str = API_VERSION
    metadata: ObjectMeta
