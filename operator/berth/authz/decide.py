"""The authorization decision: may this identity do this now? Pure, total, deny by default.

`CHAIN` is an ordered list of checks. The first that refuses gives the reason and the sentence; the trace shows every
check up to it. Token endpoint, gateway, catalog listing and explanations all use this chain, so they cannot disagree.
"""

from __future__ import annotations

from datetime import datetime

from berth.api.policy import Action
from berth.api.reasons import Reason
from berth.api.text import full_name
from berth.authz.actor import Actor, actor_of, effective_level_of
from berth.authz.checks import CHAIN, Denial, Evaluation, may_create
from berth.authz.messages import sentence, short_sentence
from berth.authz.model import AccessRequest, Decision, EffectiveLevel, Identity, Snapshot, Step


def decide(snapshot: Snapshot, identity: Identity, request: AccessRequest, now: datetime) -> Decision:
    """Decide whether `identity` may do `request` under `snapshot` at `now` (with a time zone), and why not.

    Total: every request gets a decision. A denial has the reason of the first check in `CHAIN` that refuses.
    """
    evaluation = _evaluation(snapshot, actor_of(snapshot, identity, now), request, now)
    trace: list[Step] = []
    effective_level: EffectiveLevel | None = None
    for check in CHAIN:
        result = check.run(evaluation)
        if isinstance(result, Denial):
            text = sentence(result.reason, result.facts)
            trace.append(Step(check.name, False, text))
            short = short_sentence(result.reason, result.facts)
            return Decision(False, result.reason, text, tuple(trace), effective_level, short)
        effective_level = result.effective_level or effective_level
        trace.append(Step(check.name, True, result.detail))
    return Decision(True, None, "", tuple(trace), effective_level)


def is_allowed(snapshot: Snapshot, actor: Actor, request: AccessRequest, now: datetime) -> bool:
    """Like `decide(…).allowed`, for an actor that is already resolved."""
    evaluation = _evaluation(snapshot, actor, request, now)
    return not any(isinstance(check.run(evaluation), Denial) for check in CHAIN)


def depends_on_content(snapshot: Snapshot, actor: Actor, request: AccessRequest, now: datetime) -> bool:
    """Whether the decision depends on what no policy contains: whether anything was ever pushed under this name.

    True for an actor that sees the project, may not create the repository and sees no object of that name. A hidden
    repository counts like an absent one, so that the catalog look-up for `AccessRequest.absent` reveals neither.
    """
    evaluation = _evaluation(snapshot, actor, request, now)
    unknown = bool(request.repository) and evaluation.repository is None and evaluation.effective_level is not None
    return unknown and not actor.is_service and request.action is not Action.PUSH and not may_create(evaluation)


def credential_failure(snapshot: Snapshot, identity: Identity, now: datetime) -> Reason | None:
    """The reason why every request of this identity is refused: the `credential` check alone; None if it passes.

    For requests that belong to no project, like the list of repositories. Missing credentials are no failure.
    """
    return actor_of(snapshot, identity, now).failure


def visible_repositories(snapshot: Snapshot, identity: Identity, now: datetime) -> tuple[str, ...]:
    """The full names (`project/repository`), sorted, of the repositories with content that the identity may View."""
    actor = actor_of(snapshot, identity, now)
    return tuple(
        sorted(
            full_name(project_id, path)
            for project_id, project in snapshot.projects.items()
            for path, repository in project.repositories.items()
            if repository.has_content and is_allowed(snapshot, actor, AccessRequest(Action.VIEW, project_id, path), now)
        )
    )


def _evaluation(snapshot: Snapshot, actor: Actor, request: AccessRequest, now: datetime) -> Evaluation:
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
        is_hidden=as_if_absent is not None,
    )
