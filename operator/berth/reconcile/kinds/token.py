"""One pass over an `AccessToken`: nothing is made for it, its status tells whether it holds."""

from __future__ import annotations

from berth.api.conditions import ConditionType
from berth.api.token import AccessToken
from berth.kube.resources import ACCESS_TOKENS
from berth.reconcile.context import Context
from berth.reconcile.observe import children
from berth.reconcile.observe.decode import DecodeError, read, tell_unreadable
from berth.reconcile.observe.subjects import observe_user
from berth.reconcile.outcome import Done, Outcome, Stalled, sooner
from berth.reconcile.write.status import is_true
from berth.status.observed import TokenObservation
from berth.status.token import compute_token_status


async def reconcile_token(context: Context, name: str) -> Outcome:
    """Write the operator's part of the token's status when it differs; look again when the token ends."""
    live = context.caches.live(ACCESS_TOKENS, ("", name))
    if live is None:
        context.statuses.forget(ACCESS_TOKENS.kind, ("", name))
        return Done()
    try:
        token = read(AccessToken, live)
    except DecodeError as error:
        return await tell_unreadable(context, live, error)
    owner = token.spec.owner
    user = observe_user(owner.kind.value, owner.name, context.caches)
    first = min(context.waker.tokens_of(token.spec.sha256), default=name)
    observed = TokenObservation(
        owner_exists=user is not None,
        owner_disabled=user is not None and user.disabled,
        same_as=first if first != name else "",
    )
    now = context.now()
    status = compute_token_status(token, observed, now)
    held_back = await context.statuses.write(live, status)
    if held_back is None and is_true(status, ConditionType.STALLED):
        return Stalled("the status says what a person must do")
    until = token.spec.expires_at
    return Done(sooner(children.seconds_until(until, now) if until else None, held_back))
