"""One pass over a `RegistryTeam`: nothing is made for it, its status tells who is in it and exists."""

from __future__ import annotations

from berth.api.team import RegistryTeam
from berth.kube.resources import REGISTRY_TEAMS
from berth.reconcile.context import Context
from berth.reconcile.observe.decode import DecodeError, read, tell_unreadable
from berth.reconcile.observe.subjects import observe_people
from berth.reconcile.outcome import Done, Outcome
from berth.status.team import compute_team_status


async def reconcile_team(context: Context, name: str) -> Outcome:
    """Write the team's status when it differs."""
    live = context.caches.live(REGISTRY_TEAMS, ("", name))
    if live is None:
        context.statuses.forget(REGISTRY_TEAMS.kind, ("", name))
        return Done()
    try:
        team = read(RegistryTeam, live)
    except DecodeError as error:
        return await tell_unreadable(context, live, error)
    members = ((member.kind.value, member.name) for member in team.spec.members)
    people = observe_people(members, context.caches, public_allowed=context.settings.allow_public)
    return Done(await context.statuses.write(live, compute_team_status(team, people, context.now())))
