"""What somebody should be warned of although their request is allowed. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from berth.authz.actor import actor_of, certified_until
from berth.authz.messages import phrase
from berth.authz.model import Identity, Snapshot


def certification_warning(snapshot: Snapshot, identity: Identity, now: datetime, days: int) -> str:
    """A sentence for a push in the last `days` days of a certification; empty at any other time, and after its end.

    At most 200 printable ASCII characters without quotes, so that it can stand in a `Warning: 299` header.
    """
    certified, until = certified_until(snapshot, actor_of(snapshot, identity, now))
    if not certified or until is None or not now < until <= now + timedelta(days=days):
        return ""
    left = (until - now).days
    span = "today" if left == 0 else "in 1 day" if left == 1 else f"in {left} days"
    return phrase(
        f"The certification of {{who}} to push ends {span}, at {{until}}; ask your registry office for a new "
        "Certification.",
        who=identity.name,
        until=until.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    )
