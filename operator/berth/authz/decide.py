"""The one decision: may this identity do this, now? Pure, total, deny by default.

`CHAIN` is an ordered list of checks. The first that refuses gives the reason and the sentence; the trace shows every
check up to it. Token endpoint, gateway, catalog listing and explanations all use this chain, so they can not disagree.
"""

from __future__ import annotations

from datetime import datetime

from berth.api.policy import Action
from berth.api.reasons import Reason
from berth.api.text import full_name
from berth.authz.actor import Actor, actor_of, effective_level_of
from berth.authz.checks import CHAIN, Denial, Evaluation, may_create, visible
from berth.authz.messages import sentence, short_sentence
from berth.authz.model import AccessRequest, Decision, EffectiveLevel, Identity, Snapshot, Step


def decide(snapshot: Snapshot, identity: Identity, request: AccessRequest, now: datetime) -> Decision:
    """Whether `identity` may do `request` under `snapshot` at `now` (with a time zone), and why not.

    Total: every request gets an answer. A denial tells the reason of the first check in `CHAIN` that refuses.
    """
    case = _case(snapshot, actor_of(snapshot, identity, now), request, now)
    trace: list[Step] = []
    effective_level: EffectiveLevel | None = None
    for check in CHAIN:
        verdict = check.judge(case)
        if isinstance(verdict, Denial):
            text = sentence(verdict.reason, verdict.facts)
            trace.append(Step(check.name, False, text))
            short = short_sentence(verdict.reason, verdict.facts)
            return Decision(False, verdict.reason, text, tuple(trace), effective_level, short)
        if check.judge is visible:
            effective_level = case.effective_level
        trace.append(Step(check.name, True, verdict))
    return Decision(True, None, "", tuple(trace), effective_level)


def is_allowed(snapshot: Snapshot, actor: Actor, request: AccessRequest, now: datetime) -> bool:
    """`decide(…).allowed` for an actor that is already resolved, without the sentence and the trace."""
    case = _case(snapshot, actor, request, now)
    return not any(isinstance(check.judge(case), Denial) for check in CHAIN)


def depends_on_content(snapshot: Snapshot, actor: Actor, request: AccessRequest, now: datetime) -> bool:
    """Whether the answer hangs on what no policy says: whether anything was ever pushed under this name.

    So it is for somebody who sees the project, may not create the repository, and knows of no object of that name. Of
    a hidden one they know nothing either, and whoever asks for `AccessRequest.absent` then does so for both.
    """
    case = _case(snapshot, actor, request, now)
    unknown = bool(request.repository) and case.repository is None and case.effective_level is not None
    return unknown and not case.is_service and request.action is not Action.PUSH and not may_create(case)


def credential_failure(snapshot: Snapshot, identity: Identity, now: datetime) -> Reason | None:
    """Why this identity may nothing at all, whatever it asks for: the `credential` check alone; None if it holds.

    For what belongs to no project, like the list of repositories. No credentials at all are no failure.
    """
    return actor_of(snapshot, identity, now).failure


def visible_repositories(snapshot: Snapshot, identity: Identity, now: datetime) -> tuple[str, ...]:
    """The full names (`project/repository`), sorted, of what the identity may View and what holds content."""
    actor = actor_of(snapshot, identity, now)
    return tuple(
        sorted(
            full_name(project_id, path)
            for project_id, project in snapshot.projects.items()
            for path, repository in project.repositories.items()
            if repository.has_content and is_allowed(snapshot, actor, AccessRequest(Action.VIEW, project_id, path), now)
        )
    )


def _case(snapshot: Snapshot, actor: Actor, request: AccessRequest, now: datetime) -> Evaluation:
    project = snapshot.projects.get(request.project)
    repository = project.repositories.get(request.repository) if project is not None else None
    effective = effective_level_of(project, repository, actor)
    as_if_absent = effective_level_of(project, None, actor) if effective is None and repository is not None else None
    return Evaluation(
        snapshot=snapshot,
        actor=actor,
        request=request,
        now=now,
        project=project,
        repository=repository if as_if_absent is None else None,
        effective_level=effective if as_if_absent is None else as_if_absent,
        hidden=as_if_absent is not None,
    )
