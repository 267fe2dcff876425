"""The catalog's requests as pydantic models, validated here."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from berth.api import names
from berth.catalog.db.schema import CLIENT_LENGTH, MEDIA_TYPE_LENGTH, PERSON_LENGTH
from berth.catalog.model import Intent, RepositoryKey, WriteKind, is_digest

_TAG: Final = names.TAG_PATTERN.removeprefix("^").removesuffix("$")
_DIGEST: Final = names.DIGEST_PATTERN.removeprefix("^").removesuffix("$")

Project = Annotated[str, StringConstraints(pattern=names.PROJECT_ID_PATTERN, max_length=names.PROJECT_ID_MAX_LENGTH)]
Repository = Annotated[str, StringConstraints(pattern=names.REPOSITORY_PATTERN, max_length=names.REPOSITORY_MAX_LENGTH)]
Reference = Annotated[str, StringConstraints(pattern=rf"^(?:{_TAG}|{_DIGEST})$")]
Digest = Annotated[str, StringConstraints(pattern=names.DIGEST_PATTERN)]
Limit = Annotated[int, Field(ge=1, le=1000)]


class InvalidRequestError(ValueError):
    """An invalid request; the message is one sentence."""


def _from_base64(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError("is not base64") from error


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, validate_by_alias=True)


class Announcement(_Request):
    """`POST /v1/writes`."""

    kind: WriteKind
    project: Project
    repository: Repository
    reference: Reference
    digest: Digest | None = None
    media_type: Annotated[str, StringConstraints(max_length=MEDIA_TYPE_LENGTH)] = ""
    by: Annotated[str, StringConstraints(max_length=PERSON_LENGTH)]
    client: Annotated[str, StringConstraints(max_length=CLIENT_LENGTH)] = ""

    def intent(self) -> Intent:
        """The announced intent. Raises InvalidRequestError for a push without a digest."""
        digest = self.reference if is_digest(self.reference) else self.digest
        if self.kind is WriteKind.PUSH and digest is None:
            raise InvalidRequestError("The field digest is missing: a push announces the digest of its manifest.")
        key = RepositoryKey(self.project, self.repository)
        return Intent(self.kind, key, self.reference, digest, self.media_type, self.by, self.client)


class Commit(_Request):
    """`POST /v1/writes/{id}/commit`; for a push with the bytes of its manifest."""

    manifest: Annotated[bytes | None, BeforeValidator(_from_base64)] = None


class RepositoryPage(_Request):
    """Query of `GET /v1/projects/{project}/repositories`."""

    project: Project
    after: Annotated[str, StringConstraints(max_length=names.REPOSITORY_MAX_LENGTH)] = ""
    limit: Limit = 100


class ContentQuery(_Request):
    """Query of `GET …/content`."""

    project: Project
    repository: Repository


class TagPage(_Request):
    """Query of `GET …/tags`."""

    project: Project
    repository: Repository
    after: Annotated[str, StringConstraints(max_length=128)] = ""
    limit: Limit = 1000


class HistoryPage(_Request):
    """Query of `GET …/history`."""

    project: Project
    repository: Repository
    tag: Annotated[str, StringConstraints(pattern=names.TAG_PATTERN)] | None = None
    before: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    limit: Limit = 100


class ReferrersQuery(_Request):
    """Query of `GET …/referrers/{digest}`."""

    project: Project
    repository: Repository
    digest: Digest
    artifact_type: Annotated[str, StringConstraints(max_length=MEDIA_TYPE_LENGTH)] | None = None


RequestT = TypeVar("RequestT", bound=_Request)


def read_json(model: type[RequestT], body: bytes) -> RequestT:
    """Validate a body. Raises InvalidRequestError; its message repeats nothing of the body."""
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise InvalidRequestError(_sentence(error)) from None


def read_query(model: type[RequestT], values: dict[str, str]) -> RequestT:
    """Validate path and query parameters. Raises InvalidRequestError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InvalidRequestError(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = re.sub(r"[^A-Za-z0-9._]", "?", ".".join(str(step) for step in first["loc"]))[:100]
    problem = first["msg"].removeprefix("Value error, ")
    return f"The field {field} is wrong: {problem}." if field else f"The request cannot be read: {problem}."
