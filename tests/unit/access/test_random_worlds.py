"""Thousands of random policies: the chain against a second evaluator, and rules that must hold in every world."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime
from random import Random

from berth.access.decide import allows, decide, visible_repositories
from berth.access.grant import grant
from berth.access.model import (
    AccessRequest,
    Action,
    Creation,
    CredentialKind,
    Identity,
    Level,
    ProjectPolicy,
    Snapshot,
    State,
    SubjectKind,
    TokenScope,
)
from berth.access.scope import Scope
from berth.access.sentences import WORDINGS
from berth.api.reasons import Reason
from tests.unit.access.worlds import NOW, PATHS, PROJECTS, SECOND, random_identity, random_request, random_snapshot

WORLDS = 3000
REQUESTS = 8


def expected(snapshot: Snapshot, identity: Identity, wish: AccessRequest, now: datetime) -> set[Reason]:
    """Every reason against the wish, in no order: written from the sharing table, not from the chain."""
    own = identity.credential is CredentialKind.SERVICE
    person = identity.credential is CredentialKind.PASSWORD
    user = snapshot.users.get(identity.name) if person else None
    project = snapshot.projects.get(wish.project)
    repository = project.repositories.get(wish.repository) if project else None
    level = strongest_level(project, wish, identity)
    rank = {"view": 1, "pull": 2, "push": 3, "delete": 4, "administer": 5}[wish.action.value]
    scopes = {"view": "view", "pull": "download", "push": "download modify"}.get(wish.action.value, "modify").split()
    push, content = wish.action is Action.PUSH, rank in (2, 3, 4)
    state = {part.state for part in (project, repository) if part is not None}
    since = user.certified_until if user is not None else None
    faults = {
        Reason.INVALID_REQUEST: wish.repository == "Not/A/Name" or (wish.repository == "" and content),
        Reason.NOT_AUTHENTICATED: identity.credential is CredentialKind.NONE,
        Reason.TOKEN_REVOKED: person and user is None,
        Reason.USER_DISABLED: user is not None and user.disabled,
        Reason.NOT_FOUND: level == 0,
        Reason.PROJECT_TRASHED: not own and project is not None and project.state is State.TRASHED,
        Reason.REPOSITORY_TRASHED: not own and repository is not None and repository.state is State.TRASHED,
        Reason.PROJECT_SUSPENDED: not own and State.SUSPENDED in state,
        Reason.EXTERNAL_REPOSITORY: content and repository is not None and repository.external,
        Reason.CREATION_DECLARED: push
        and not own
        and repository is None
        and project is not None
        and project.creation is Creation.DECLARED,
        Reason.LEVEL_TOO_LOW: level < rank,
        Reason.NOT_CERTIFIED: push and not own and not (user is not None and user.certified),
        Reason.CERTIFICATION_EXPIRED: push and since is not None and not now < since,
        Reason.TOKEN_SCOPE_MISSING: not {TokenScope(scope) for scope in scopes} <= identity.scopes,
        Reason.LAYER_TOO_LARGE: push
        and project is not None
        and (wish.largest_layer or 0) > (project.layer_size_limit or 10**30),
    }
    found = {reason for reason, applies in faults.items() if applies}
    if identity.credential is CredentialKind.FAILED:
        told = {"BadCredentials", "TooManyAttempts", "TokenRevoked", "UserDisabled"}
        found.add(identity.failure if identity.failure and identity.failure in told else Reason.BAD_CREDENTIALS)
    return found


def strongest_level(project: ProjectPolicy | None, wish: AccessRequest, identity: Identity) -> int:
    """The number of the sharing level; 0 for none."""
    if project is None:
        return 0
    if identity.credential is CredentialKind.SERVICE:
        return 4
    local = project.repositories[wish.repository].rules if wish.repository in project.repositories else None
    levels = [0]
    for rule in project.rules if local is None else local:
        everybody = rule.kind is SubjectKind.AUTHENTICATED_USERS
        if identity.credential is CredentialKind.PASSWORD and (everybody or rule.name == identity.name):
            levels.append(int(rule.level))
    return max(levels)


def cases(seed: int, worlds: int = WORLDS) -> list[tuple[Random, Snapshot, Identity, AccessRequest]]:
    """Random decisions to make; the same for the same seed."""
    rng = Random(seed)
    found = []
    for _ in range(worlds):
        snapshot = random_snapshot(rng)
        found += [(rng, snapshot, random_identity(rng), random_request(rng)) for _ in range(REQUESTS)]
    return found


def test_the_chain_agrees_with_a_second_evaluator_and_tells_the_first_reason() -> None:
    order = list(Reason)
    told: Counter[Reason | None] = Counter()
    for _, snapshot, identity, wish in cases(1):
        against = expected(snapshot, identity, wish, NOW)
        decision = decide(snapshot, identity, wish, NOW)
        first = min(against, key=order.index) if against else None
        assert decision.reason is first, (snapshot, identity, wish, against)
        assert decision.allowed is (first is None)
        assert allows(snapshot, identity, wish, NOW) is decision.allowed
        told[first] += 1
    assert set(told) == {None, *WORDINGS} - {Reason.CATALOG_UNAVAILABLE}
    assert min(told.values()) >= 10, told


def test_taking_a_rule_away_never_adds_a_right() -> None:
    for rng, snapshot, identity, wish in cases(2, 1000):
        project = snapshot.projects.get(wish.project)
        if project is None or not project.rules or wish.repository in project.repositories:
            continue
        rules = list(project.rules)
        rules.pop(rng.randrange(len(rules)))
        less = with_project(snapshot, replace(project, rules=tuple(rules)))
        assert allows(snapshot, identity, wish, NOW) or not allows(less, identity, wish, NOW)


def test_a_weaker_rule_scope_or_certification_never_adds_a_right() -> None:
    for rng, snapshot, identity, wish in cases(3, 1000):
        if allows(snapshot, identity, wish, NOW):
            continue
        weaker_identity = replace(identity, scopes=frozenset(list(identity.scopes)[1:]))
        uncertified = {name: replace(user, certified=False) for name, user in snapshot.users.items()}
        lowered = {
            name: replace(
                project,
                rules=tuple(replace(rule, level=Level(rng.randint(1, rule.level))) for rule in project.rules),
            )
            for name, project in snapshot.projects.items()
        }
        assert not allows(snapshot, weaker_identity, wish, NOW)
        assert not allows(replace(snapshot, users=uncertified), identity, wish, NOW)
        assert not allows(replace(snapshot, projects=lowered), identity, wish, NOW)
        assert not allows(snapshot, identity, wish, NOW + SECOND * 5)


def test_the_order_of_rules_and_their_duplicates_do_not_matter() -> None:
    for rng, snapshot, identity, wish in cases(4, 1000):
        shuffled = {}
        for name, project in snapshot.projects.items():
            rules = [*project.rules, *project.rules]
            rng.shuffle(rules)
            shuffled[name] = replace(project, rules=tuple(rules))
        again = replace(snapshot, projects=shuffled)
        assert decide(again, identity, wish, NOW) == decide(snapshot, identity, wish, NOW)


def test_a_stronger_level_includes_every_weaker_one() -> None:
    wishes = {Level.VIEW: Action.VIEW, Level.DOWNLOAD: Action.PULL, Level.EDIT_AND_DELETE: Action.DELETE}
    for _, snapshot, identity, wish in cases(5, 1000):
        allowed = {
            level: allows(snapshot, identity, AccessRequest(action, wish.project, wish.repository), NOW)
            for level, action in wishes.items()
        }
        if identity.scopes == frozenset(TokenScope):
            assert allowed[Level.VIEW] or not allowed[Level.DOWNLOAD]
            assert allowed[Level.DOWNLOAD] or not allowed[Level.EDIT_AND_DELETE]


def test_whoever_may_not_view_gets_the_answer_of_an_empty_installation() -> None:
    seen = 0
    for _, snapshot, identity, wish in cases(6, 1500):
        decision = decide(snapshot, identity, wish, NOW)
        if decision.reason in (Reason.NOT_FOUND, Reason.NOT_AUTHENTICATED):
            seen += 1
            assert decision == decide(Snapshot(0, users=snapshot.users), identity, wish, NOW)
    assert seen > 1000


def test_every_refusal_has_a_short_plain_sentence() -> None:
    for _, snapshot, identity, wish in cases(7, 1000):
        decision = decide(snapshot, identity, wish, NOW)
        assert bool(decision.sentence) is not decision.allowed
        assert len(decision.sentence) <= 200
        assert decision.sentence.isascii()
        assert decision.sentence.isprintable() or decision.allowed


def test_a_grant_is_the_part_of_what_was_asked_that_is_allowed() -> None:
    actions = ("pull", "push", "delete", "*", "fly")
    for rng, snapshot, identity, _ in cases(8, 500):
        names = rng.sample([f"{project}/{path}" for project in (*PROJECTS, "absent") for path in (*PATHS, "new")], 3)
        scopes = [Scope("repository", name, tuple(rng.sample(actions, rng.randint(0, 5)))) for name in names]
        granted = grant(snapshot, identity, scopes, NOW)
        by_name = {entry.name: entry.actions for entry in granted.access}
        assert len(by_name) == len(granted.access)
        for scope in scopes:
            project, _, repository = scope.name.partition("/")
            allowed = [
                action
                for action in scope.actions
                if action in ("pull", "push", "delete")
                and not expected(snapshot, identity, AccessRequest(Action(action), project, repository), NOW)
            ]
            assert list(by_name.get(scope.name, ())) == allowed
            assert granted.asked[scope.name] == scope.actions


def test_the_list_is_what_may_be_viewed() -> None:
    for _, snapshot, identity, _ in cases(9, 300):
        listed = visible_repositories(snapshot, identity, NOW)
        assert list(listed) == sorted(
            f"{project_id}/{path}"
            for project_id, project in snapshot.projects.items()
            for path, repository in project.repositories.items()
            if repository.has_content
            and not expected(snapshot, identity, AccessRequest(Action.VIEW, project_id, path), NOW)
        )


def with_project(snapshot: Snapshot, project: ProjectPolicy) -> Snapshot:
    return replace(snapshot, projects={**snapshot.projects, project.project_id: project})
