"""Kinds for which Berth creates nothing: a reconcile computes their status and writes it when it differs.

A row for each kind: users, teams, tokens, certifications. `observe` reads the caches, `compute` computes the status
from it, `next_change` is the time at which the status changes without an event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from berth.api.base import Resource as ApiResource
from berth.api.certification import Certification, CertificationSubjectKind
from berth.api.conditions import ConditionType
from berth.api.team import RegistryTeam
from berth.api.token import AccessToken
from berth.api.user import RegistryUser
from berth.kube.resources import ACCESS_TOKENS, CERTIFICATIONS, REGISTRY_TEAMS, REGISTRY_USERS, Manifest, Resource
from berth.reconcile.context import Context
from berth.reconcile.observe.children import observe_password
from berth.reconcile.observe.subjects import observe_people, observe_user, user_certifications
from berth.reconcile.outcome import NEEDS_PERSON, STALLED_RESYNC_SECONDS, Done, Outcome, Stalled, seconds_until, sooner
from berth.reconcile.write.status import is_true
from berth.status.certification import compute_certification_status
from berth.status.observed import CertificationObservation, ObservedSubjects, TokenObservation, UserObservation
from berth.status.team import compute_team_status
from berth.status.token import compute_token_status
from berth.status.user import compute_user_status, next_change

ObjectT = TypeVar("ObjectT", bound=ApiResource)
ObservedT = TypeVar("ObservedT")


@dataclass(frozen=True, slots=True)
class StatusOnly(Generic[ObjectT, ObservedT]):
    """Observation, status and next change of one kind."""

    resource: Resource
    model: type[ObjectT]
    observe: Callable[[Context, ObjectT], ObservedT]
    compute: Callable[[ObjectT, ObservedT, datetime], dict[str, Any]]
    next_change: Callable[[ObjectT, ObservedT, datetime], datetime | None]

    async def reconcile(self, context: Context, decoded: ObjectT, live: Manifest) -> Outcome:
        """Write the status when it differs; requeue for the next change that time alone makes."""
        now = context.now()
        observed = self.observe(context, decoded)
        status = self.compute(decoded, observed, now)
        held_back = await context.statuses.write(live, status)
        change = self.next_change(decoded, observed, now)
        pause = sooner(seconds_until(change, now) if change else None, held_back)
        if not is_true(status, ConditionType.STALLED):
            return Done(pause)
        return Stalled(NEEDS_PERSON) if pause is None else Stalled(NEEDS_PERSON, min(STALLED_RESYNC_SECONDS, pause))


def _observe_user(context: Context, user: RegistryUser) -> UserObservation:
    certifications = context.enqueuer.certifications_of(user.metadata.name)
    return UserObservation(
        berth_namespace=context.settings.namespace,
        password=observe_password(user, context.caches, context.settings.namespace),
        certifications=user_certifications(user, certifications, context.caches),
    )


def _observe_team(context: Context, team: RegistryTeam) -> ObservedSubjects:
    members = ((member.kind.value, member.name) for member in team.spec.members)
    return observe_people(members, context.caches, public_allowed=context.settings.allow_public)


def _observe_token(context: Context, token: AccessToken) -> TokenObservation:
    owner, name = token.spec.owner, token.metadata.name
    user = observe_user(owner.kind.value, owner.name, context.caches)
    first = min(context.enqueuer.tokens_of(token.spec.sha256), default=name)
    return TokenObservation(
        owner_exists=user is not None,
        owner_disabled=user is not None and user.disabled,
        duplicate_of=first if first != name else "",
    )


def _observe_certification(context: Context, certification: Certification) -> CertificationObservation:
    subject = certification.spec.subject
    user = observe_user(subject.kind.value, subject.name, context.caches)
    return CertificationObservation(
        subject_exists=user is not None or subject.kind is CertificationSubjectKind.SERVICE_ACCOUNT,
        subject_disabled=user is not None and user.disabled,
    )


def _later(end: datetime | None, now: datetime) -> datetime | None:
    """The end of an object when it is in the future."""
    return end if end is not None and end > now else None


USER: Final = StatusOnly(
    REGISTRY_USERS,
    RegistryUser,
    _observe_user,
    compute_user_status,
    lambda _, observed, now: next_change(observed.certifications, now),
)
TEAM: Final = StatusOnly(REGISTRY_TEAMS, RegistryTeam, _observe_team, compute_team_status, lambda *_: None)
TOKEN: Final = StatusOnly(
    ACCESS_TOKENS,
    AccessToken,
    _observe_token,
    compute_token_status,
    lambda token, _, now: _later(token.spec.expires_at, now),
)
CERTIFICATION: Final = StatusOnly(
    CERTIFICATIONS,
    Certification,
    _observe_certification,
    compute_certification_status,
    lambda certification, _, now: _later(certification.spec.valid_until, now),
)

STATUS_ONLY: Final[tuple[StatusOnly[Any, Any], ...]] = (USER, TEAM, TOKEN, CERTIFICATION)
