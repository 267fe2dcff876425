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
"""Actions that a stale policy refuses."""

_CONTENT_ACTIONS: Final = frozenset({Action.PULL, Action.PUSH, Action.DELETE})
_PROJECT = re.compile(names.PROJECT_ID_PATTERN)
_REPOSITORY = re.compile(names.REPOSITORY_PATTERN)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The input of the checks: one request with everything that they look up."""

    snapshot: Snapshot
    actor: Actor
    request: AccessRequest
    now: datetime
    project: ProjectPolicy | None
    repository: RepositoryPolicy | None
    effective_level: EffectiveLevel | None
    is_hidden: bool = False
    """The repository exists, but its local sharing excludes the actor: evaluated as if it did not exist."""

    @property
    def is_service(self) -> bool:
        """Whether the actor is one of Berth's own processes."""
        return self.actor.is_service

    @property
    def level(self) -> SharingLevel | None:
        """The effective level; None without any."""
        return self.effective_level.level if self.effective_level is not None else None


@dataclass(frozen=True, slots=True)
class Denial:
    """The result of a check that refuses: the reason, and the facts for its sentence."""

    reason: Reason
    facts: MessageFacts


@dataclass(frozen=True, slots=True)
class Passed:
    """The result of a check that does not refuse: why, in a few words, and the effective level if the check found it.

    Results without variable parts are constants, because one decision makes a dozen of them.
    """

    detail: str
    effective_level: EffectiveLevel | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the chain."""

    name: str
    run: Callable[[Evaluation], Denial | Passed]


_WELL_FORMED: Final = Passed("the name is well formed")
_CREDENTIAL_VALID: Final = Passed("the credential is valid")
_EXISTS: Final = Passed("the name exists")
_CREATABLE: Final = Passed("a push may create the repository")
_POSSIBLY_PUSHED: Final = Passed("content may exist under this name")
_NOT_EXCLUDED: Final = Passed("no local sharing excludes the actor")
_TRASH_EXEMPT: Final = Passed("Berth's own processes are exempt from the trash")
_NOT_IN_TRASH: Final = Passed("not in the trash")
_SUSPENSION_EXEMPT: Final = Passed("Berth's own processes are exempt from suspension")
_NOT_SUSPENDED: Final = Passed("not suspended")
_HOSTED: Final = Passed("needs no content of another registry")
_NO_CREATION: Final = Passed("creates no repository")
_LEVEL_SUFFICES: Final = {
    action: Passed(f"{action.value} needs {level.value}") for action, level in REQUIRED_LEVEL.items()
}
_NO_PUSH: Final = Passed("only a push needs a certification")
_CERTIFICATION_EXEMPT: Final = Passed("Berth's own processes need no certification")
_CERTIFIED: Final = Passed("certified until withdrawn")
_SCOPES_SUFFICE: Final = {
    action: Passed(f"the credential has the scope {' and '.join(scopes)}") for action, scopes in REQUIRED_SCOPES.items()
}
_NO_LAYER: Final = Passed("no layer to measure")
_LAYERS_FIT: Final = Passed("no layer above the limit")
_READ: Final = Passed("reads use the last known policy")
_POLICY_EXEMPT: Final = Passed("the rights of Berth's own processes come from no policy")
_FRESH: Final = Passed("the policy is fresh")


def _facts(evaluation: Evaluation) -> MessageFacts:
    return MessageFacts(
        who=evaluation.actor.failed_name or evaluation.actor.identity.name,
        project=evaluation.request.project,
        repository=evaluation.request.repository,
        action=evaluation.request.action,
        is_anonymous=evaluation.actor.is_anonymous,
    )


def _understood(evaluation: Evaluation) -> Denial | Passed:
    request = evaluation.request
    well_formed = (
        request.action in REQUIRED_LEVEL
        and _PROJECT.fullmatch(request.project) is not None
        and len(request.repository) <= names.REPOSITORY_MAX_LENGTH
        and (not request.repository or _REPOSITORY.fullmatch(request.repository) is not None)
        and (bool(request.repository) or request.action in (Action.VIEW, Action.ADMINISTER))
    )
    return _WELL_FORMED if well_formed else Denial(Reason.INVALID_REQUEST, _facts(evaluation))


def _credential(evaluation: Evaluation) -> Denial | Passed:
    failure = evaluation.actor.failure
    return _CREDENTIAL_VALID if failure is None else Denial(failure, _facts(evaluation))


def _visible(evaluation: Evaluation) -> Denial | Passed:
    effective = evaluation.effective_level
    return _not_found(evaluation) if effective is None else Passed(effective_level_text(effective), effective)


def _not_found(evaluation: Evaluation) -> Denial:
    reason = Reason.NOT_AUTHENTICATED if evaluation.actor.is_anonymous else Reason.NOT_FOUND
    return Denial(reason, _facts(evaluation))


def _exists(evaluation: Evaluation) -> Denial | Passed:
    """Refuse an absent repository, except to an actor that may create it.

    Its client needs the registry's own responses on the way to a push. A hidden repository is refused to every actor
    that it excludes.
    """
    if evaluation.is_service or evaluation.repository is not None or not evaluation.request.repository:
        return _EXISTS
    if evaluation.request.action is Action.PUSH or may_create(evaluation):
        return _CREATABLE
    if evaluation.is_hidden or evaluation.request.absent:
        return _not_found(evaluation)
    return _POSSIBLY_PUSHED


def _not_hidden(evaluation: Evaluation) -> Denial | Passed:
    """Refuse a hidden repository like an absent one.

    An actor that could create the name learns by its push that the name is taken; nothing else reveals it.
    """
    return _not_found(evaluation) if evaluation.is_hidden else _NOT_EXCLUDED


def may_create(evaluation: Evaluation) -> bool:
    """Whether the policy allows the actor to push the first image of this name."""
    push = replace(evaluation, request=replace(evaluation.request, action=Action.PUSH, largest_layer=None))
    return not any(isinstance(check(push), Denial) for check in _FIRST_PUSH_CHECKS)


def effective_level_text(effective: EffectiveLevel) -> str:
    """The subject, its level and the field that gives it: `Team authors has Edit by Sharing`."""
    if effective.rule is None:
        return f"Berth's own processes have {effective.level.value} everywhere"
    through = f" (as its member {subject_text(effective.through)})" if effective.through is not None else ""
    return f"{subject_text(effective.rule)}{through} has {effective.level.value} by {effective.source}"


def subject_text(subject: Subject) -> str:
    """`User curator`, `Team authors`, `AuthenticatedUsers`."""
    return f"{subject.kind} {subject.name}".rstrip()


def _not_in_trash(evaluation: Evaluation) -> Denial | Passed:
    if evaluation.is_service:
        return _TRASH_EXEMPT
    if evaluation.project is not None and evaluation.project.state is PolicyState.TRASHED:
        return Denial(Reason.PROJECT_TRASHED, _facts(evaluation))
    if evaluation.repository is not None and evaluation.repository.state is PolicyState.TRASHED:
        return Denial(Reason.REPOSITORY_TRASHED, _facts(evaluation))
    return _NOT_IN_TRASH


def _running(evaluation: Evaluation) -> Denial | Passed:
    if evaluation.is_service:
        return _SUSPENSION_EXEMPT
    states = {part.state for part in (evaluation.project, evaluation.repository) if part is not None}
    return _NOT_SUSPENDED if states == {PolicyState.ACTIVE} else Denial(Reason.PROJECT_SUSPENDED, _facts(evaluation))


def _hosted(evaluation: Evaluation) -> Denial | Passed:
    repository = evaluation.repository
    if repository is not None and repository.external and evaluation.request.action in _CONTENT_ACTIONS:
        return Denial(Reason.EXTERNAL_REPOSITORY, _facts(evaluation))
    return _HOSTED


def _creation(evaluation: Evaluation) -> Denial | Passed:
    if evaluation.request.action is not Action.PUSH or evaluation.repository is not None:
        return _NO_CREATION
    project = evaluation.project
    if evaluation.is_service or (project is not None and project.creation is RepositoryCreation.ON_PUSH):
        return _CREATABLE
    return Denial(Reason.CREATION_DECLARED, _facts(evaluation))


def _level(evaluation: Evaluation) -> Denial | Passed:
    need = REQUIRED_LEVEL[evaluation.request.action]
    if evaluation.level is None or evaluation.level < need:
        return Denial(Reason.LEVEL_TOO_LOW, replace(_facts(evaluation), have=evaluation.level, need=need))
    return _LEVEL_SUFFICES[evaluation.request.action]


def _certified(evaluation: Evaluation) -> Denial | Passed:
    if evaluation.request.action is not Action.PUSH:
        return _NO_PUSH
    if evaluation.is_service:
        return _CERTIFICATION_EXEMPT
    certified, until = certified_until(evaluation.snapshot, evaluation.actor)
    if not certified:
        return Denial(Reason.NOT_CERTIFIED, _facts(evaluation))
    if until is None:
        return _CERTIFIED
    if evaluation.now >= until:
        return Denial(Reason.CERTIFICATION_EXPIRED, replace(_facts(evaluation), until=until))
    return Passed(f"certified until {until.isoformat()}")


def _scope(evaluation: Evaluation) -> Denial | Passed:
    needed = REQUIRED_SCOPES[evaluation.request.action]
    missing = tuple(scope for scope in needed if scope not in evaluation.actor.scopes)
    if missing:
        return Denial(Reason.TOKEN_SCOPE_MISSING, replace(_facts(evaluation), missing=missing))
    return _SCOPES_SUFFICE[evaluation.request.action]


def _layer_size(evaluation: Evaluation) -> Denial | Passed:
    layer = evaluation.request.largest_layer
    limit = evaluation.project.layer_size_limit if evaluation.project is not None else None
    if evaluation.request.action is not Action.PUSH or layer is None:
        return _NO_LAYER
    if limit is not None and layer > limit:
        return Denial(Reason.LAYER_TOO_LARGE, replace(_facts(evaluation), layer=layer, limit=limit))
    return _LAYERS_FIT


def _fresh(evaluation: Evaluation) -> Denial | Passed:
    if evaluation.request.action not in WRITES:
        return _READ
    if evaluation.is_service:
        return _POLICY_EXEMPT
    until = evaluation.snapshot.fresh_until
    if until is not None and evaluation.now >= until:
        return Denial(Reason.POLICY_STALE, _facts(evaluation))
    return _FRESH


_FIRST_PUSH_CHECKS: Final = (_not_in_trash, _running, _creation, _level, _certified, _scope, _fresh)

CHAIN: Final = (
    Check("understood", _understood),
    Check("credential", _credential),
    Check("visible", _visible),
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
    Check("local sharing", _not_hidden),
)
"""Every check, in the order of precedence of the reasons. A request is allowed when no check refuses it."""
