"""The common part of every status."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from berth.api.base import UNOBSERVED, ApiModel
from berth.api.conditions import Condition
from berth.api.schema import keyed_by


class ObjectStatus(ApiModel):
    """Base of every status."""

    observed_generation: Annotated[
        int,
        Field(
            ge=UNOBSERVED,
            description="The metadata.generation that this status is about. Default -1: not reconciled yet.",
        ),
    ] = UNOBSERVED
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=20,
            description="Conditions by type; the closed list is in docs/crds/conditions.md. Default: none yet.",
            json_schema_extra=keyed_by("type"),
        ),
    ] = ()

    def condition(self, kind: str) -> Condition | None:
        """The condition of this type; None without one."""
        return next((found for found in self.conditions if found.type == kind), None)
