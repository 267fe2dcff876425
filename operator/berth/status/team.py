"""The status of a `RegistryTeam`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from berth.api.conditions import ConditionReason
from berth.api.team import RegistryTeam, RegistryTeamStatus
from berth.status.conditions import conclude, settled
from berth.status.observed import ObservedSubjects
from berth.status.subjects import compute_subjects_known, unknown_subjects


def compute_team_status(team: RegistryTeam, observed: ObservedSubjects, now: datetime) -> dict[str, Any]:
    """The whole status. A team may name members that do not exist yet: they count as soon as they exist."""
    members = team.spec.members
    known = compute_subjects_known(unknown_subjects(((member.kind.value, member.name) for member in members), observed))
    count = "1 member" if len(members) == 1 else f"{len(members)} members"
    ready = settled(None, "True", ConditionReason.READY, f"Team {team.metadata.name} has {count}.")
    generation = team.metadata.generation
    status = RegistryTeamStatus(
        observed_generation=generation,
        conditions=conclude([known], ready, team.status.conditions, generation, now),
        members=len(members),
    )
    return status.to_dict()
