"""Parsing of manifests: type, parts, sizes, subject. Pure.

Sources: OCI image spec 1.1 (`manifest.md`, `image-index.md`), Docker "Image Manifest V 2, Schema 2".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from berth.api import names

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
MEDIA_TYPES: Final = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)
"""Every manifest type that Berth serves, as an `Accept` header names them."""

_INDEXES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
_MEDIA_TYPE_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}(/[A-Za-z0-9!#$&^_.+-]{1,127})?$"
_MAX_SIZE: Final = 2**63 - 1  # Go's int64, in which every client and registry keeps a size


class InvalidManifestError(ValueError):
    """The bytes are not a supported manifest; the message is one sentence for the client."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference from a manifest to a blob or to another manifest. `size` is in bytes."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One parsed manifest. An index has `children` and neither `config` nor `layers`; every other has no children."""

    media_type: str
    manifest_size: int  # bytes of the manifest itself
    artifact_type: str | None = None  # as declared; see `referrer_type`
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the manifest, its configuration and its layers; of an index the manifest's own bytes."""
        config = self.config.size if self.config else 0
        return self.manifest_size + config + sum(layer.size for layer in self.layers)

    @property
    def largest_layer(self) -> int:
        """Bytes of the largest blob of the manifest, its configuration included; 0 for an index."""
        blobs = (*self.layers, self.config) if self.config else self.layers
        return max((blob.size for blob in blobs if blob), default=0)

    @property
    def referrer_type(self) -> str | None:
        """The `artifactType` of this manifest in a list of referrers: by default the type of its configuration.

        OCI distribution spec 1.1, "Listing Referrers".
        """
        return self.artifact_type or (self.config.media_type if self.config else None)


class _Part(BaseModel):
    """A JSON object that Go programs read too.

    Go matches the names of fields without regard to case, so `{"Layers": …}` is a list of layers to the registry and
    to every client. A name that is a known field for Go and an unknown one here is refused: every
    reader of the manifest must see the sizes that were checked.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _no_name_in_other_case(cls, value: Any) -> Any:
        if isinstance(value, dict):
            known = {(info.alias or name).casefold(): info.alias or name for name, info in cls.model_fields.items()}
            for key in value:
                meant = known.get(key.casefold(), key)
                if meant != key:
                    raise ValueError(f"the field {key[:40]!a} must be written {meant!r}")
        return value


_Digest = Annotated[str, Field(pattern=names.DIGEST_PATTERN)]
_MediaType = Annotated[str, Field(pattern=_MEDIA_TYPE_PATTERN)]


class _DescriptorJson(_Part):
    media_type: _MediaType = Field(alias="mediaType")
    digest: _Digest
    size: int = Field(ge=0, le=_MAX_SIZE)

    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, self.digest, self.size)


class _HeadJson(_Part):
    schema_version: int = Field(alias="schemaVersion", ge=2, le=2)
    media_type: _MediaType | None = Field(None, alias="mediaType")
    artifact_type: _MediaType | None = Field(None, alias="artifactType")
    subject: _DescriptorJson | None = None
    annotations: dict[str, str] | None = None


class _ImageJson(_HeadJson):
    config: _DescriptorJson
    layers: list[_DescriptorJson] | None = None
    manifests: None = None


class _IndexJson(_HeadJson):
    manifests: list[_DescriptorJson] | None = None
    config: None = None
    layers: None = None


_Json = TypeVar("_Json", _ImageJson, _IndexJson)


def parse_manifest(body: bytes, content_type: str) -> Manifest:
    """Parse a manifest as a client sends it (`Content-Type` and body).

    Raises InvalidManifestError when the type is none of MEDIA_TYPES, contradicts the body's own `mediaType`, or the
    body is not a well-formed manifest of that type.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise InvalidManifestError(
            f"The manifest's Content-Type {media_type[:100]!a} is not supported; push an OCI manifest or index, "
            "or a Docker schema 2 manifest or list."
        )
    document = _load(body)
    manifest = (
        _index(_validated(_IndexJson, document), media_type, len(body))
        if media_type in _INDEXES
        else _image(_validated(_ImageJson, document), media_type, len(body))
    )
    declared = document.get("mediaType")
    if declared not in (None, "", media_type):
        raise InvalidManifestError(
            f"The manifest's field mediaType is {declared!a} but its Content-Type is {media_type!a}; send both alike."
        )
    return manifest


def _image(parsed: _ImageJson, media_type: str, size: int) -> Manifest:
    return Manifest(
        media_type=media_type,
        manifest_size=size,
        artifact_type=parsed.artifact_type,
        config=parsed.config.descriptor(),
        layers=tuple(layer.descriptor() for layer in parsed.layers or ()),
        subject=parsed.subject.descriptor() if parsed.subject else None,
        annotations=parsed.annotations or {},
    )


def _index(parsed: _IndexJson, media_type: str, size: int) -> Manifest:
    return Manifest(
        media_type=media_type,
        manifest_size=size,
        artifact_type=parsed.artifact_type,
        children=tuple(child.descriptor() for child in parsed.manifests or ()),
        subject=parsed.subject.descriptor() if parsed.subject else None,
        annotations=parsed.annotations or {},
    )


def _validated(model: type[_Json], document: dict[str, Any]) -> _Json:
    # Go reads an empty string as "absent" for these two, and clients do send it.
    document = {k: v for k, v in document.items() if not (k in ("mediaType", "artifactType") and v == "")}
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(step) for step in first["loc"])[:100]
        what = first["msg"].removeprefix("Value error, ")
        place = f"field {where}: " if where else ""
        raise InvalidManifestError(
            f"The manifest is not valid ({place}{what}); build and push the image again."
        ) from error


def _load(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_each_name_once, parse_constant=_no_such_number)
    except InvalidManifestError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidManifestError("The manifest is not JSON in UTF-8; build and push the image again.") from error
    if not isinstance(document, dict):
        raise InvalidManifestError("The manifest is not a JSON object; build and push the image again.")
    return document


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Readers differ on which of two fields with one name counts; no client writes such a manifest.
    result = dict(pairs)
    if len(result) != len(pairs):
        raise InvalidManifestError("The manifest names a JSON field twice; build and push the image again.")
    return result


def _no_such_number(text: str) -> float:
    raise InvalidManifestError(f"The manifest holds {text}, which is not JSON; build and push the image again.")
