"""The one decision: may this identity do this, now? Pure, total, deny by default.

`CHAIN` is an ordered list of checks. The first that refuses gives the reason and the sentence; the trace shows every
check up to it. Token endpoint, gateway, catalog listing and explanations all use this chain, so they can not disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from berth.access.model import (
    AccessRequest,
    Action,
    Creation,
    CredentialKind,
    Decision,
    Identity,
    Level,
    ProjectPolicy,
    RepositoryPolicy,
    Rule,
    Snapshot,
    State,
    Step,
    SubjectKind,
    TokenScope,
    User,
)
from berth.access.sentences import Facts, full_name, sentence
from berth.api import names
from berth.api.reasons import Reason

REQUIRED_LEVEL: Final = {
    Action.VIEW: Level.VIEW,
    Action.PULL: Level.DOWNLOAD,
    Action.PUSH: Level.EDIT,
    Action.DELETE: Level.EDIT_AND_DELETE,
    Action.ADMINISTER: Level.ADMINISTER,
}
REQUIRED_SCOPES: Final = {
    Action.VIEW: (TokenScope.VIEW,),
    Action.PULL: (TokenScope.DOWNLOAD,),
    Action.PUSH: (TokenScope.DOWNLOAD, TokenScope.MODIFY),
    Action.DELETE: (TokenScope.MODIFY,),
    Action.ADMINISTER: (TokenScope.MODIFY,),
}
SERVICE_LEVEL: Final = Level.EDIT_AND_DELETE
"""What Berth's own processes have everywhere: they probe, walk and clean, and never administer."""

_FAILURES: Final = (Reason.BAD_CREDENTIALS, Reason.TOO_MANY_ATTEMPTS, Reason.TOKEN_REVOKED, Reason.USER_DISABLED)
_PROJECT = re.compile(names.PROJECT_ID_PATTERN)
_REPOSITORY = re.compile(names.REPOSITORY_PATTERN)


@dataclass(frozen=True, slots=True)
class Case:
    """One decision to make, with everything the checks look up, looked up once."""

    identity: Identity
    request: AccessRequest
    now: datetime
    user: User | None
    project: ProjectPolicy | None
    repository: RepositoryPolicy | None
    level: Level | None

    @property
    def service(self) -> bool:
        """Whether one of Berth's own processes asks."""
        return self.identity.credential is CredentialKind.SERVICE


@dataclass(frozen=True, slots=True)
class Denial:
    """A check refused, for this reason, with these facts for its sentence."""

    reason: Reason
    facts: Facts


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the chain. `judge` answers a denial, or in a few words why it has nothing against the request."""

    name: str
    judge: Callable[[Case], Denial | str]


def decide(snapshot: Snapshot, identity: Identity, request: AccessRequest, now: datetime) -> Decision:
    """Whether `identity` may do `request` under `snapshot` at `now` (with a time zone), and why not.

    Total: every request gets an answer. A denial tells the reason of the first check in `CHAIN` that refuses.
    """
    case = _case(snapshot, identity, request, now)
    trace: list[Step] = []
    for check in CHAIN:
        verdict = check.judge(case)
        if isinstance(verdict, Denial):
            text = sentence(verdict.reason, verdict.facts)
            trace.append(Step(check.name, False, text))
            return Decision(False, verdict.reason, text, tuple(trace))
        trace.append(Step(check.name, True, verdict))
    return Decision(True, None, "", tuple(trace))


def allows(snapshot: Snapshot, identity: Identity, request: AccessRequest, now: datetime) -> bool:
    """`decide(…).allowed`, without the sentence and the trace."""
    case = _case(snapshot, identity, request, now)
    return not any(isinstance(check.judge(case), Denial) for check in CHAIN)


def credential_failure(snapshot: Snapshot, identity: Identity) -> Reason | None:
    """Why this identity may nothing at all, whatever it asks for: the `credential` check alone; None if it holds.

    For what belongs to no project, like the list of repositories. No credentials at all are no failure.
    """
    return _credential_failure(identity, _user(snapshot, identity))


def effective_level(project: ProjectPolicy, repository: RepositoryPolicy | None, identity: Identity) -> Level | None:
    """The highest level that the sharing in force gives; None for none at all.

    Local sharing of a repository replaces the project's, even when it is empty; the two never merge.
    """
    if identity.credential is CredentialKind.SERVICE:
        return SERVICE_LEVEL
    rules = project.rules if repository is None or repository.rules is None else repository.rules
    return max((rule.level for rule in rules if _names(rule, identity)), default=None)


def visible_repositories(snapshot: Snapshot, identity: Identity, now: datetime) -> tuple[str, ...]:
    """The full names (`project/repository`), sorted, of what the identity may View and what holds content."""
    return tuple(
        sorted(
            full_name(project_id, path)
            for project_id, project in snapshot.projects.items()
            for path, repository in project.repositories.items()
            if repository.has_content and allows(snapshot, identity, AccessRequest(Action.VIEW, project_id, path), now)
        )
    )


def _case(snapshot: Snapshot, identity: Identity, request: AccessRequest, now: datetime) -> Case:
    project = snapshot.projects.get(request.project)
    repository = project.repositories.get(request.repository) if project is not None else None
    return Case(
        identity=identity,
        request=request,
        now=now,
        user=_user(snapshot, identity),
        project=project,
        repository=repository,
        level=effective_level(project, repository, identity) if project is not None else None,
    )


def _user(snapshot: Snapshot, identity: Identity) -> User | None:
    return snapshot.users.get(identity.name) if identity.credential is CredentialKind.PASSWORD else None


def _names(rule: Rule, identity: Identity) -> bool:
    """Whether a rule speaks of this identity. A rule speaks only of people who are logged in."""
    if identity.credential is not CredentialKind.PASSWORD:
        return False
    if rule.kind is SubjectKind.USER:
        return rule.name == identity.name
    return rule.kind is SubjectKind.AUTHENTICATED_USERS


def _facts(case: Case) -> Facts:
    return Facts(
        who=case.identity.name,
        project=case.request.project,
        repository=case.request.repository,
        action=case.request.action,
    )


def _understood(case: Case) -> Denial | str:
    request = case.request
    well_formed = (
        request.action in REQUIRED_LEVEL
        and _PROJECT.fullmatch(request.project) is not None
        and len(request.repository) <= names.REPOSITORY_MAX_LENGTH
        and (not request.repository or _REPOSITORY.fullmatch(request.repository) is not None)
        and (bool(request.repository) or request.action in (Action.VIEW, Action.ADMINISTER))
    )
    return "the name is well formed" if well_formed else Denial(Reason.INVALID_REQUEST, _facts(case))


def _credential(case: Case) -> Denial | str:
    reason = _credential_failure(case.identity, case.user)
    return "the credential holds" if reason is None else Denial(reason, _facts(case))


def _credential_failure(identity: Identity, user: User | None) -> Reason | None:
    if identity.credential in (CredentialKind.NONE, CredentialKind.SERVICE):
        return None
    if identity.credential is not CredentialKind.PASSWORD:
        return next((reason for reason in _FAILURES if reason is identity.failure), Reason.BAD_CREDENTIALS)
    if user is None:
        return Reason.TOKEN_REVOKED
    return Reason.USER_DISABLED if user.disabled else None


def _visible(case: Case) -> Denial | str:
    if case.identity.credential is CredentialKind.NONE:
        return Denial(Reason.NOT_AUTHENTICATED, _facts(case))
    if case.project is None or case.level is None:
        return Denial(Reason.NOT_FOUND, _facts(case))
    return f"the sharing in force gives {case.level.label}"


def _not_in_trash(case: Case) -> Denial | str:
    if case.service:
        return "the trash does not bind Berth's own processes"
    if case.project is not None and case.project.state is State.TRASHED:
        return Denial(Reason.PROJECT_TRASHED, _facts(case))
    if case.repository is not None and case.repository.state is State.TRASHED:
        return Denial(Reason.REPOSITORY_TRASHED, _facts(case))
    return "not in the trash"


def _running(case: Case) -> Denial | str:
    if case.service:
        return "suspension does not bind Berth's own processes"
    states = {part.state for part in (case.project, case.repository) if part is not None}
    return "not suspended" if states == {State.ACTIVE} else Denial(Reason.PROJECT_SUSPENDED, _facts(case))


def _hosted(case: Case) -> Denial | str:
    if case.repository is not None and case.repository.external and case.request.action in _ON_CONTENT:
        return Denial(Reason.EXTERNAL_REPOSITORY, _facts(case))
    return "nothing is asked of another registry"


def _creation(case: Case) -> Denial | str:
    if case.request.action is not Action.PUSH or case.repository is not None:
        return "creates no repository"
    if case.service or (case.project is not None and case.project.creation is Creation.ON_PUSH):
        return "a push may create the repository"
    return Denial(Reason.CREATION_DECLARED, _facts(case))


def _level(case: Case) -> Denial | str:
    need = REQUIRED_LEVEL[case.request.action]
    if case.level is None or case.level < need:
        return Denial(Reason.LEVEL_TOO_LOW, replace(_facts(case), have=case.level, need=need))
    return f"{case.request.action.value} needs {need.label}"


def _certified(case: Case) -> Denial | str:
    if case.request.action is not Action.PUSH:
        return "only a push needs a certification"
    if case.service:
        return "Berth's own processes need no certification"
    if case.user is None or not case.user.certified:
        return Denial(Reason.NOT_CERTIFIED, _facts(case))
    until = case.user.certified_until
    if until is None:
        return "certified until withdrawn"
    if case.now >= until:
        return Denial(Reason.CERTIFICATION_EXPIRED, replace(_facts(case), until=until))
    return f"certified until {until.isoformat()}"


def _scope(case: Case) -> Denial | str:
    needed = REQUIRED_SCOPES[case.request.action]
    missing = tuple(scope for scope in needed if scope not in case.identity.scopes)
    if missing:
        return Denial(Reason.TOKEN_SCOPE_MISSING, replace(_facts(case), missing=missing))
    return f"the credential has the scope {' and '.join(needed)}"


def _layer_size(case: Case) -> Denial | str:
    layer = case.request.largest_layer
    limit = case.project.layer_size_limit if case.project is not None else None
    if case.request.action is not Action.PUSH or layer is None:
        return "no layer to measure"
    if limit is not None and layer > limit:
        return Denial(Reason.LAYER_TOO_LARGE, replace(_facts(case), layer=layer, limit=limit))
    return "no layer above the limit"


_ON_CONTENT: Final = frozenset({Action.PULL, Action.PUSH, Action.DELETE})

CHAIN: Final = (
    Check("understood", _understood),
    Check("credential", _credential),
    Check("visible", _visible),
    Check("trash", _not_in_trash),
    Check("suspended", _running),
    Check("hosted", _hosted),
    Check("creation", _creation),
    Check("level", _level),
    Check("certification", _certified),
    Check("token scope", _scope),
    Check("layer size", _layer_size),
)
"""Every check, in the order in which reasons are told. A request is allowed when none of them refuses."""
