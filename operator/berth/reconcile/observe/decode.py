"""From objects of the API server to models of the API."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from berth.api.base import Resource
from berth.kube.resources import Manifest

ModelT = TypeVar("ModelT", bound=Resource)


class DecodeError(Exception):
    """A stored object breaks a rule of this version: it is older than the rule, or did not go through the schema."""


def decode(model: type[ModelT], live: Manifest) -> ModelT:
    """The object as a model. Raises DecodeError with a sentence that names the first wrong field."""
    try:
        return model.model_validate(live)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the object"
        raise DecodeError(f"{where} cannot be read by this version of Berth ({first['msg']}): correct it.") from error
