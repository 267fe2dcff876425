"""The ordered checks of a decision, one function each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from berth.api import names
from berth.api.policy import Action, PolicyState
from berth.api.project import RepositoryCreation
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel
from berth.api.token import TokenScope
from berth.authz.actor import Actor, certified_until
from berth.authz.messages import MessageFacts
from berth.authz.model import AccessRequest, EffectiveLevel, ProjectPolicy, RepositoryPolicy, Snapshot, Subject

REQUIRED_LEVEL: Final = {
    Action.VIEW: SharingLevel.VIEW,
    Action.PULL: SharingLevel.DOWNLOAD,
    Action.PUSH: SharingLevel.EDIT,
    Action.DELETE: SharingLevel.EDIT_AND_DELETE,
    Action.ADMINISTER: SharingLevel.ADMINISTER,
}


REQUIRED_SCOPES: Final = {
    Action.VIEW: (TokenScope.VIEW,),
    Action.PULL: (TokenScope.DOWNLOAD,),
    Action.PUSH: (TokenScope.DOWNLOAD, TokenScope.MODIFY),
    Action.DELETE: (TokenScope.MODIFY,),
    Action.ADMINISTER: (TokenScope.MODIFY,),
}


WRITES: Final = frozenset({Action.PUSH, Action.DELETE, Action.ADMINISTER})
"""What may not be done by a policy that is too old."""


_PROJECT = re.compile(names.PROJECT_ID_PATTERN)


_REPOSITORY = re.compile(names.REPOSITORY_PATTERN)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One decision to make, with everything the checks look up, looked up once."""

    snapshot: Snapshot
    actor: Actor
    request: AccessRequest
    now: datetime
    project: ProjectPolicy | None
    repository: RepositoryPolicy | None
    effective_level: EffectiveLevel | None
    hidden: bool = False
    """There is such a repository, whose own sharing leaves the actor out: judged as if there were none."""

    @property
    def is_service(self) -> bool:
        """Whether one of Berth's own processes asks."""
        return self.actor.is_service

    @property
    def level(self) -> SharingLevel | None:
        """The level in force."""
        return self.effective_level.level if self.effective_level is not None else None


@dataclass(frozen=True, slots=True)
class Denial:
    """A check refused, for this reason, with these facts for its sentence."""

    reason: Reason
    facts: MessageFacts


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the chain. `judge` answers a denial, or in a few words why it has nothing against the request."""

    name: str
    judge: Callable[[Evaluation], Denial | str]


def _facts(case: Evaluation) -> MessageFacts:
    return MessageFacts(
        who=case.actor.failed_name or case.actor.identity.name,
        project=case.request.project,
        repository=case.request.repository,
        action=case.request.action,
        is_anonymous=case.actor.is_anonymous,
    )


def _understood(case: Evaluation) -> Denial | str:
    request = case.request
    well_formed = (
        request.action in REQUIRED_LEVEL
        and _PROJECT.fullmatch(request.project) is not None
        and len(request.repository) <= names.REPOSITORY_MAX_LENGTH
        and (not request.repository or _REPOSITORY.fullmatch(request.repository) is not None)
        and (bool(request.repository) or request.action in (Action.VIEW, Action.ADMINISTER))
    )
    return "the name is well formed" if well_formed else Denial(Reason.INVALID_REQUEST, _facts(case))


def _credential(case: Evaluation) -> Denial | str:
    failure = case.actor.failure
    return "the credential holds" if failure is None else Denial(failure, _facts(case))


def visible(case: Evaluation) -> Denial | str:
    return _not_found(case) if case.effective_level is None else effective_level_text(case.effective_level)


def _not_found(case: Evaluation) -> Denial:
    return Denial(Reason.NOT_AUTHENTICATED if case.actor.is_anonymous else Reason.NOT_FOUND, _facts(case))


def _exists(case: Evaluation) -> Denial | str:
    """Of an absent repository nobody is told but whoever may create it, whose client needs the registry's own answers
    on the way to a push; and of a hidden one nobody at all."""
    if case.is_service or case.repository is not None or not case.request.repository:
        return "there is such a name"
    if case.request.action is Action.PUSH or may_create(case):
        return "a push may create the repository"
    if case.hidden or case.request.absent:
        return _not_found(case)
    return "something may have been pushed"


def _not_anothers(case: Evaluation) -> Denial | str:
    """A hidden repository is refused as an absent one would be. Only whoever could create that learns, by trying,
    that the name is taken."""
    return _not_found(case) if case.hidden else "no sharing of its own leaves the asker out"


def may_create(case: Evaluation) -> bool:
    """Whether the actor's push of the first image would be accepted, as far as the policy says."""
    push = replace(case, request=replace(case.request, action=Action.PUSH, largest_layer=None))
    return not any(isinstance(judge(push), Denial) for judge in _OF_A_FIRST_PUSH)


def effective_level_text(effective: EffectiveLevel) -> str:
    """Which subject has which level from which field, for people."""
    if effective.rule is None:
        return f"Berth's own processes have {effective.level.value} everywhere"
    through = f" (as its member {subject_text(effective.through)})" if effective.through is not None else ""
    return f"{subject_text(effective.rule)}{through} has {effective.level.value} by {effective.source}"


def subject_text(subject: Subject) -> str:
    """`User curator`, `Team authors`, `AuthenticatedUsers`."""
    return f"{subject.kind} {subject.name}".rstrip()


def _not_in_trash(case: Evaluation) -> Denial | str:
    if case.is_service:
        return "the trash does not bind Berth's own processes"
    if case.project is not None and case.project.state is PolicyState.TRASHED:
        return Denial(Reason.PROJECT_TRASHED, _facts(case))
    if case.repository is not None and case.repository.state is PolicyState.TRASHED:
        return Denial(Reason.REPOSITORY_TRASHED, _facts(case))
    return "not in the trash"


def _running(case: Evaluation) -> Denial | str:
    if case.is_service:
        return "suspension does not bind Berth's own processes"
    states = {part.state for part in (case.project, case.repository) if part is not None}
    return "not suspended" if states == {PolicyState.ACTIVE} else Denial(Reason.PROJECT_SUSPENDED, _facts(case))


def _hosted(case: Evaluation) -> Denial | str:
    if case.repository is not None and case.repository.external and case.request.action in _ON_CONTENT:
        return Denial(Reason.EXTERNAL_REPOSITORY, _facts(case))
    return "nothing is asked of another registry"


def _creation(case: Evaluation) -> Denial | str:
    if case.request.action is not Action.PUSH or case.repository is not None:
        return "creates no repository"
    if case.is_service or (case.project is not None and case.project.creation is RepositoryCreation.ON_PUSH):
        return "a push may create the repository"
    return Denial(Reason.CREATION_DECLARED, _facts(case))


def _level(case: Evaluation) -> Denial | str:
    need = REQUIRED_LEVEL[case.request.action]
    if case.level is None or case.level < need:
        return Denial(Reason.LEVEL_TOO_LOW, replace(_facts(case), have=case.level, need=need))
    return f"{case.request.action.value} needs {need.value}"


def _certified(case: Evaluation) -> Denial | str:
    if case.request.action is not Action.PUSH:
        return "only a push needs a certification"
    if case.is_service:
        return "Berth's own processes need no certification"
    certified, until = certified_until(case.snapshot, case.actor)
    if not certified:
        return Denial(Reason.NOT_CERTIFIED, _facts(case))
    if until is None:
        return "certified until withdrawn"
    if case.now >= until:
        return Denial(Reason.CERTIFICATION_EXPIRED, replace(_facts(case), until=until))
    return f"certified until {until.isoformat()}"


def _scope(case: Evaluation) -> Denial | str:
    needed = REQUIRED_SCOPES[case.request.action]
    missing = tuple(scope for scope in needed if scope not in case.actor.scopes)
    if missing:
        return Denial(Reason.TOKEN_SCOPE_MISSING, replace(_facts(case), missing=missing))
    return f"the credential has the scope {' and '.join(needed)}"


def _layer_size(case: Evaluation) -> Denial | str:
    layer = case.request.largest_layer
    limit = case.project.layer_size_limit if case.project is not None else None
    if case.request.action is not Action.PUSH or layer is None:
        return "no layer to measure"
    if limit is not None and layer > limit:
        return Denial(Reason.LAYER_TOO_LARGE, replace(_facts(case), layer=layer, limit=limit))
    return "no layer above the limit"


def _fresh(case: Evaluation) -> Denial | str:
    if case.request.action not in WRITES:
        return "reading goes by the last known policy"
    if case.is_service:
        return "Berth's own processes have their rights from no policy"
    until = case.snapshot.fresh_until
    if until is not None and case.now >= until:
        return Denial(Reason.POLICY_STALE, _facts(case))
    return "the policy is recent enough"


_ON_CONTENT: Final = frozenset({Action.PULL, Action.PUSH, Action.DELETE})


_OF_A_FIRST_PUSH: Final = (_not_in_trash, _running, _creation, _level, _certified, _scope, _fresh)


CHAIN: Final = (
    Check("understood", _understood),
    Check("credential", _credential),
    Check("visible", visible),
    Check("exists", _exists),
    Check("trash", _not_in_trash),
    Check("suspended", _running),
    Check("hosted", _hosted),
    Check("creation", _creation),
    Check("level", _level),
    Check("certification", _certified),
    Check("token scope", _scope),
    Check("layer size", _layer_size),
    Check("freshness", _fresh),
    Check("local sharing", _not_anothers),
)
"""Every check, in the order in which reasons are told. A request is allowed when none of them refuses."""
