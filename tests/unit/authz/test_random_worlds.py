"""Random policies: the chain against a second evaluator, and rules that must hold in every world."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from berth.api.policy import Action
from berth.api.reasons import Reason
from berth.api.sharing import SubjectKind
from berth.authz.actor import actor_of
from berth.authz.decide import decide, depends_on_content, is_allowed, visible_repositories
from berth.authz.grant import grant
from berth.authz.messages import REASON_TEXTS
from berth.authz.model import ALL_SCOPES, AccessRequest, CredentialKind, Rule, Snapshot
from berth.oci.scope import Scope
from tests.kit.authz.evaluator import expected
from tests.kit.authz.random_worlds import LEVELS, PATHS, PROJECTS, Case, Dice, cases
from tests.kit.authz.worlds import NOW, SECOND

WORLDS = 100_000
ORDER = list(Reason)
MADE_ELSEWHERE = {Reason.CATALOG_UNAVAILABLE}
"""Reasons that no policy gives: they come from what happens while a request is carried out."""


def allowed(case: Case, snapshot: Snapshot | None = None) -> bool:
    world = snapshot or case.snapshot
    return is_allowed(world, actor_of(world, case.identity, NOW), case.request, NOW)


def with_rules(snapshot: Snapshot, change: Callable[[tuple[Rule, ...]], tuple[Rule, ...]]) -> Snapshot:
    """The same world with every list of rules changed, local ones too; none becomes or ceases to be local."""
    projects = {}
    for name, project in snapshot.projects.items():
        repositories = {
            path: replace(found, rules=None if found.rules is None else change(found.rules))
            for path, found in project.repositories.items()
        }
        projects[name] = replace(project, rules=change(project.rules), repositories=repositories)
    return replace(snapshot, projects=projects)


def test_the_chain_agrees_with_a_second_evaluator_and_gives_the_first_reason() -> None:
    reasons: Counter[Reason | None] = Counter()
    allowed_by: Counter[SubjectKind | None] = Counter()
    for case in cases(1, WORLDS):
        against = expected(case.snapshot, case.identity, case.request, NOW)
        first = min(against, key=ORDER.index) if against else None
        decision = decide(case.snapshot, case.identity, case.request, NOW)
        assert decision.reason is first, (case, against, decision)
        assert decision.allowed is (first is None)
        reasons[first] += 1
        if decision.allowed and decision.effective_level is not None:
            allowed_by[decision.effective_level.rule.kind if decision.effective_level.rule else None] += 1
    assert set(reasons) == {None, *REASON_TEXTS} - MADE_ELSEWHERE
    assert min(reasons.values()) >= 100, reasons
    assert set(allowed_by) == {None, *SubjectKind}
    assert min(allowed_by.values()) >= 100, allowed_by


def test_is_allowed_agrees_with_decide() -> None:
    for case in cases(2, 3000):
        assert allowed(case) is decide(case.snapshot, case.identity, case.request, NOW).allowed


def test_taking_a_rule_away_never_adds_a_right() -> None:
    dice = Dice(30)
    for case in cases(3, 3000):
        less = with_rules(case.snapshot, lambda rules: tuple(rule for rule in rules if dice.chance(0.7)))
        assert allowed(case) or not allowed(case, less)


def test_taking_anything_from_a_person_never_adds_a_right() -> None:
    dice, taken = Dice(40), 0
    for case in cases(4, 3000):
        world = case.snapshot
        less = [
            replace(world, teams_of={key: value for key, value in world.teams_of.items() if dice.chance(0.5)}),
            replace(world, tokens={}),
            replace(world, certifications={}),
            replace(world, public_allowed=False),
            replace(world, fresh_until=NOW),
            replace(world, users={name: replace(user, disabled=True) for name, user in world.users.items()}),
        ]
        before = allowed(case)
        after = [allowed(case, changed) for changed in less]
        assert before or not any(after), (case, after)
        taken += before and not all(after)
        weaker = replace(case.identity, scopes=frozenset(list(case.identity.scopes)[1:]), groups=frozenset())
        assert before or not is_allowed(world, actor_of(world, weaker, NOW), case.request, NOW)
        later = NOW + 5 * SECOND
        assert before or not is_allowed(world, actor_of(world, case.identity, later), case.request, later)
    assert taken > 100


def test_a_weaker_level_never_adds_a_right() -> None:
    dice = Dice(50)

    def weaker(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        return tuple(replace(rule, level=LEVELS[int(dice.random() * rule.level.rank)]) for rule in rules)

    for case in cases(5, 3000):
        assert allowed(case) or not allowed(case, with_rules(case.snapshot, weaker))


def test_the_order_of_rules_and_their_duplicates_do_not_matter() -> None:
    dice = Dice(60)

    def shuffled(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        return tuple(sorted((*rules, *rules), key=lambda rule: dice.random()))

    for case in cases(6, 3000):
        again = with_rules(case.snapshot, shuffled)
        assert decide(again, case.identity, case.request, NOW) == decide(
            case.snapshot, case.identity, case.request, NOW
        )


def test_a_stronger_level_includes_every_weaker_one() -> None:
    order = (Action.VIEW, Action.PULL, Action.DELETE, Action.ADMINISTER)
    for case in cases(7, 3000):
        everything = replace(case.identity, scopes=ALL_SCOPES)
        if case.identity.credential is CredentialKind.ACCESS_TOKEN:
            continue  # its scopes are those of its object
        requests = [AccessRequest(action, case.request.project, "x") for action in order]
        answers = [
            decide(case.snapshot, everything, request, NOW).reason in (None, Reason.POLICY_STALE)
            for request in requests
        ]
        external = decide(case.snapshot, everything, requests[1], NOW).reason is Reason.EXTERNAL_REPOSITORY
        assert external or answers == sorted(answers, reverse=True), (case, answers)


def test_without_view_the_decision_is_that_of_an_empty_installation() -> None:
    seen = 0
    for case in cases(8, 3000):
        decision = decide(case.snapshot, case.identity, case.request, NOW)
        if decision.reason in (Reason.NOT_FOUND, Reason.NOT_AUTHENTICATED) and decision.effective_level is None:
            seen += 1
            empty = replace(case.snapshot, projects={})
            assert decision == decide(empty, case.identity, case.request, NOW)
    assert seen > 500


def test_a_hidden_repository_looks_absent_to_an_actor_that_could_not_create_it() -> None:
    seen, dice = Counter[bool](), Dice(120)
    for case in cases(12, 20_000):
        project = case.snapshot.projects.get(case.request.project)
        if project is None or case.request.repository not in project.repositories:
            continue
        request = replace(case.request, absent=dice.chance(0.5))
        hidden = replace(project.repositories[request.repository], rules=())
        others = {path: found for path, found in project.repositories.items() if path != request.repository}
        worlds = [
            replace(
                case.snapshot,
                projects={**case.snapshot.projects, request.project: replace(project, repositories=repositories)},
            )
            for repositories in ({**others, request.repository: hidden}, others)
        ]
        if case.identity.credential is CredentialKind.SERVICE:
            continue
        there = decide(worlds[0], case.identity, request, NOW)
        absent = decide(worlds[1], case.identity, replace(request, absent=True), NOW)
        first_push = AccessRequest(Action.PUSH, request.project, request.repository)
        creates = is_allowed(worlds[1], actor_of(worlds[1], case.identity, NOW), first_push, NOW)
        seen[creates] += 1
        assert not there.allowed
        if not creates:
            assert there == absent
        actors = [actor_of(world, case.identity, NOW) for world in worlds]
        questions = {
            depends_on_content(world, actor, request, NOW) for world, actor in zip(worlds, actors, strict=True)
        }
        assert len(questions) == 1
    assert min(seen.values()) > 100, seen


def test_every_refusal_has_a_short_plain_sentence() -> None:
    for case in cases(9, 3000):
        decision = decide(case.snapshot, case.identity, case.request, NOW)
        assert bool(decision.sentence) is not decision.allowed
        assert len(decision.sentence) <= 200
        assert decision.sentence.isascii()
        assert decision.sentence.isprintable() or decision.allowed


def test_a_grant_is_the_allowed_part_of_the_request() -> None:
    dice, actions = Dice(100), ("pull", "push", "delete", "*", "fly")
    names = [f"{project}/{path}" for project in (*PROJECTS, "absent") for path in (*PATHS, "new")]
    for case in cases(10, 2000):
        scopes = [Scope("repository", name, tuple(dice.some(actions, 0.5))) for name in dice.some(names, 0.4)]
        granted = grant(case.snapshot, case.identity, scopes, NOW)
        by_name = {entry.name: entry.actions for entry in granted.access}
        assert len(by_name) == len(granted.access)
        for scope in scopes:
            project, _, path = scope.name.partition("/")
            wanted = [
                action
                for action in expanded(scope)
                if action in ("pull", "push", "delete")
                and not expected(case.snapshot, case.identity, AccessRequest(Action(action), project, path), NOW)
            ]
            assert list(by_name.get(scope.name, ())) == wanted
            assert list(granted.requested[scope.name]) == expanded(scope)


def expanded(scope: Scope) -> list[str]:
    """The actions in the requested order, and at the end those that a `*` adds."""
    requested = [action for action in scope.actions if action != "*"]
    return requested + [more for more in ("pull", "push", "delete") if "*" in scope.actions and more not in requested]


def test_the_list_is_what_may_be_viewed_and_has_content() -> None:
    for case in cases(11, 2000):
        listed = visible_repositories(case.snapshot, case.identity, NOW)
        assert list(listed) == sorted(
            f"{name}/{path}"
            for name, project in case.snapshot.projects.items()
            for path, repository in project.repositories.items()
            if repository.has_content
            and not expected(case.snapshot, case.identity, AccessRequest(Action.VIEW, name, path), NOW)
        )
