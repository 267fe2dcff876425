"""One pass over a `RegistryUser`: nothing is made for it, its status tells whether its password and rights hold."""

from __future__ import annotations

from dataclasses import replace

from berth.api.certification import Certification
from berth.api.conditions import ConditionType
from berth.api.user import RegistryUser, UserType
from berth.kube.resources import CERTIFICATIONS, REGISTRY_USERS
from berth.reconcile.context import Context
from berth.reconcile.observe import children
from berth.reconcile.observe.decode import DecodeError, read, tell_unreadable
from berth.reconcile.outcome import Done, Outcome, Stalled, sooner
from berth.reconcile.write.status import is_true
from berth.status.observed import ObservedCertification, UserObservation
from berth.status.user import compute_user_status, next_change


async def reconcile_user(context: Context, name: str) -> Outcome:
    """Write the user's status when it differs; look again when a certification ends."""
    live = context.caches.live(REGISTRY_USERS, ("", name))
    if live is None:
        context.statuses.forget(REGISTRY_USERS.kind, ("", name))
        return Done()
    try:
        user = read(RegistryUser, live)
    except DecodeError as error:
        return await tell_unreadable(context, live, error)
    certifications = _certifications(context, user)
    observed = UserObservation(
        berth_namespace=context.settings.namespace,
        password=children.observe_password(user, context.caches, context.settings.namespace),
        certifications=certifications,
    )
    now = context.now()
    status = compute_user_status(user, observed, now)
    held_back = await context.statuses.write(live, status)
    change = next_change(certifications, now)
    pause = sooner(children.seconds_until(change, now) if change else None, held_back)
    if is_true(status, ConditionType.STALLED):
        stalled = Stalled("the status says what a person must do")
        return stalled if pause is None else replace(stalled, after=min(stalled.after, pause))
    return Done(pause)


def _certifications(context: Context, user: RegistryUser) -> tuple[ObservedCertification, ...]:
    """The certifications that name the user, by name; one that can not be read certifies nobody.

    A Person is certified as kind User and a Robot as kind Robot.
    """
    kind = "Robot" if user.spec.type is UserType.ROBOT else "User"
    seen: list[ObservedCertification] = []
    for name in sorted(context.waker.certifications_of(user.metadata.name)):
        live = context.caches.live(CERTIFICATIONS, ("", name))
        if live is None or "deletionTimestamp" in live["metadata"]:
            continue
        try:
            certification = read(Certification, live)
        except DecodeError:
            continue
        if certification.spec.subject.kind.value == kind:
            seen.append(ObservedCertification(name, certification.spec.valid_until))
    return tuple(seen)
