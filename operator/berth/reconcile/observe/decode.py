"""From what the API server holds to the models of the API."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from berth.api.base import Resource
from berth.api.conditions import ConditionReason
from berth.kube.resources import Manifest
from berth.reconcile.context import Context
from berth.reconcile.outcome import Outcome, Stalled
from berth.reconcile.write.status import own_part
from berth.status.conditions import failed_status

ModelT = TypeVar("ModelT", bound=Resource)


class DecodeError(Exception):
    """A stored object that breaks a rule of this version: written before the rule was, or past the schema."""


def read(model: type[ModelT], live: Manifest) -> ModelT:
    """The object as a model. Raises Unreadable with one sentence that names the field."""
    try:
        return model.model_validate(live)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the object"
        raise DecodeError(f"{where} can not be read by this version of Berth ({first['msg']}): correct it.") from error


async def tell_unreadable(context: Context, live: Manifest, error: DecodeError) -> Outcome:
    """Say so in the object's status; only a person can mend it."""
    status = failed_status(
        own_part(live),
        live["metadata"]["generation"],
        ConditionReason.INVALID_SPEC,
        str(error),
        context.now(),
        needs_person=True,
    )
    held_back = await context.statuses.write(live, status)
    return Stalled(str(error)) if held_back is None else Stalled(str(error), held_back)
