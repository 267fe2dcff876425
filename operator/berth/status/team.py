"""The status of a `RegistryTeam`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from berth.api.conditions import ConditionReason
from berth.api.team import RegistryTeam, RegistryTeamStatus
from berth.status.conditions import conclude, settled
from berth.status.observed import ObservedPeople
from berth.status.subjects import judge_known, unknown_subjects


def compute_team_status(team: RegistryTeam, people: ObservedPeople, now: datetime) -> dict[str, Any]:
    """The whole status. A team with members that do not exist yet is a good team: they count when they appear."""
    members = team.spec.members
    known = judge_known(unknown_subjects(((member.kind.value, member.name) for member in members), people))
    count = "1 member" if len(members) == 1 else f"{len(members)} members"
    ready = settled(None, "True", ConditionReason.READY, f"Team {team.metadata.name} has {count}.")
    generation = team.metadata.generation
    status = RegistryTeamStatus(
        observed_generation=generation,
        conditions=conclude([known], ready, team.status.conditions, generation, now),
        members=len(members),
    )
    return status.to_dict()
