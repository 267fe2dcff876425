"""One pass over a `Certification`: its status tells whether it holds."""

from __future__ import annotations

from berth.api.certification import Certification, CertificationSubjectKind
from berth.api.conditions import ConditionType
from berth.kube.resources import CERTIFICATIONS
from berth.reconcile.context import Context
from berth.reconcile.observe import children
from berth.reconcile.observe.decode import DecodeError, read, tell_unreadable
from berth.reconcile.observe.subjects import observe_user
from berth.reconcile.outcome import Done, Outcome, Stalled, sooner
from berth.reconcile.write.status import is_true
from berth.status.certification import compute_certification_status
from berth.status.observed import CertificationObservation


async def reconcile_certification(context: Context, name: str) -> Outcome:
    """Write the certification's status when it differs; look again when it ends."""
    live = context.caches.live(CERTIFICATIONS, ("", name))
    if live is None:
        context.statuses.forget(CERTIFICATIONS.kind, ("", name))
        return Done()
    try:
        certification = read(Certification, live)
    except DecodeError as error:
        return await tell_unreadable(context, live, error)
    subject = certification.spec.subject
    user = observe_user(subject.kind.value, subject.name, context.caches)
    observed = CertificationObservation(
        subject_exists=user is not None or subject.kind is CertificationSubjectKind.SERVICE_ACCOUNT,
        subject_disabled=user is not None and user.disabled,
    )
    now = context.now()
    status = compute_certification_status(certification, observed, now)
    held_back = await context.statuses.write(live, status)
    if held_back is None and is_true(status, ConditionType.STALLED):
        return Stalled("the status says what a person must do")
    until = certification.spec.valid_until
    return Done(sooner(children.seconds_until(until, now) if until else None, held_back))
