"""Random policies: the chain against a second evaluator, and rules that must hold in every world."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings

from berth.api.policy import Action
from berth.api.reasons import Reason
from berth.api.sharing import SubjectKind
from berth.authz.actor import actor_of
from berth.authz.decide import decide, depends_on_content, is_allowed, visible_repositories
from berth.authz.grant import grant
from berth.authz.messages import REASON_TEXTS
from berth.authz.model import ALL_SCOPES, AccessRequest, CredentialKind, Decision, Rule, Snapshot
from berth.oci.scope import Scope
from tests.kit.authz.evaluator import expected
from tests.kit.authz.random_worlds import LEVELS, PATHS, PROJECTS, Case, Dice, cases, check_worlds, drawn_cases
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


def decided(case: Case) -> Decision:
    """The decision, which agrees with the second evaluator."""
    against = expected(case.snapshot, case.identity, case.request, NOW)
    first = min(against, key=ORDER.index) if against else None
    decision = decide(case.snapshot, case.identity, case.request, NOW)
    assert decision.reason is first, (case, against, decision)
    assert decision.allowed is (first is None)
    return decision


@settings(max_examples=500)
@given(drawn_cases())
def test_the_chain_agrees_with_a_second_evaluator_in_worlds_that_shrink(case: Case) -> None:
    decided(case)


def test_the_chain_agrees_with_a_second_evaluator_and_gives_the_first_reason() -> None:
    reasons: Counter[Reason | None] = Counter()
    allowed_by: Counter[SubjectKind | None] = Counter()
    for case in cases(1, WORLDS):
        decision = decided(case)
        reasons[decision.reason] += 1
        if decision.allowed and decision.effective_level is not None:
            allowed_by[decision.effective_level.rule.kind if decision.effective_level.rule else None] += 1
    assert set(reasons) == {None, *REASON_TEXTS} - MADE_ELSEWHERE
    assert min(reasons.values()) >= 100, reasons
    assert set(allowed_by) == {None, *SubjectKind}
    assert min(allowed_by.values()) >= 100, allowed_by


def test_is_allowed_agrees_with_decide() -> None:
    def holds(case: Case, _dice: Dice) -> None:
        assert allowed(case) is decide(case.snapshot, case.identity, case.request, NOW).allowed

    check_worlds(holds, seed=2, count=3000)


def test_taking_a_rule_away_never_adds_a_right() -> None:
    def holds(case: Case, dice: Dice) -> None:
        less = with_rules(case.snapshot, lambda rules: tuple(dice.some(rules, 0.7)))
        assert allowed(case) or not allowed(case, less)

    check_worlds(holds, seed=3, count=3000)


def test_taking_anything_from_a_person_never_adds_a_right() -> None:
    def holds(case: Case, dice: Dice) -> bool:
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
        weaker = replace(case.identity, scopes=frozenset(list(case.identity.scopes)[1:]), groups=frozenset())
        assert before or not is_allowed(world, actor_of(world, weaker, NOW), case.request, NOW)
        later = NOW + 5 * SECOND
        assert before or not is_allowed(world, actor_of(world, case.identity, later), case.request, later)
        return before and not all(after)

    taken = check_worlds(holds, seed=4, count=3000)
    assert taken[True] > 100


def test_a_weaker_level_never_adds_a_right() -> None:
    def holds(case: Case, dice: Dice) -> None:
        def weaker(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
            return tuple(replace(rule, level=dice.pick(LEVELS[: rule.level.rank or 1])) for rule in rules)

        assert allowed(case) or not allowed(case, with_rules(case.snapshot, weaker))

    check_worlds(holds, seed=5, count=3000)


def test_the_order_of_rules_and_their_duplicates_do_not_matter() -> None:
    def holds(case: Case, dice: Dice) -> None:
        def shuffled(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
            return tuple(sorted((*rules, *rules), key=lambda rule: dice.fraction()))

        again = with_rules(case.snapshot, shuffled)
        decision = decide(case.snapshot, case.identity, case.request, NOW)
        assert decide(again, case.identity, case.request, NOW) == decision

    check_worlds(holds, seed=6, count=3000)


def test_a_stronger_level_includes_every_weaker_one() -> None:
    order = (Action.VIEW, Action.PULL, Action.DELETE, Action.ADMINISTER)

    def holds(case: Case, _dice: Dice) -> None:
        everything = replace(case.identity, scopes=ALL_SCOPES)
        if case.identity.credential is CredentialKind.ACCESS_TOKEN:
            return  # its scopes are those of its object
        requests = [AccessRequest(action, case.request.project, "x") for action in order]
        answers = [
            decide(case.snapshot, everything, request, NOW).reason in (None, Reason.POLICY_STALE)
            for request in requests
        ]
        external = decide(case.snapshot, everything, requests[1], NOW).reason is Reason.EXTERNAL_REPOSITORY
        assert external or answers == sorted(answers, reverse=True), (case, answers)

    check_worlds(holds, seed=7, count=3000)


def test_without_view_the_decision_is_that_of_an_empty_installation() -> None:
    def holds(case: Case, _dice: Dice) -> bool:
        decision = decide(case.snapshot, case.identity, case.request, NOW)
        if decision.reason in (Reason.NOT_FOUND, Reason.NOT_AUTHENTICATED) and decision.effective_level is None:
            empty = replace(case.snapshot, projects={})
            assert decision == decide(empty, case.identity, case.request, NOW)
            return True
        return False

    assert check_worlds(holds, seed=8, count=3000)[True] > 500


def test_a_hidden_repository_looks_absent_to_an_actor_that_could_not_create_it() -> None:
    def holds(case: Case, dice: Dice) -> bool | None:
        project = case.snapshot.projects.get(case.request.project)
        if project is None or case.request.repository not in project.repositories:
            return None
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
            return None
        there = decide(worlds[0], case.identity, request, NOW)
        absent = decide(worlds[1], case.identity, replace(request, absent=True), NOW)
        first_push = AccessRequest(Action.PUSH, request.project, request.repository)
        creates = is_allowed(worlds[1], actor_of(worlds[1], case.identity, NOW), first_push, NOW)
        assert not there.allowed
        if not creates:
            assert there == absent
        actors = [actor_of(world, case.identity, NOW) for world in worlds]
        questions = {
            depends_on_content(world, actor, request, NOW) for world, actor in zip(worlds, actors, strict=True)
        }
        assert len(questions) == 1
        return creates

    creates = check_worlds(holds, seed=12, count=20_000)
    assert min(creates[True], creates[False]) > 100, creates


def test_every_refusal_has_a_short_plain_sentence() -> None:
    def holds(case: Case, _dice: Dice) -> None:
        decision = decide(case.snapshot, case.identity, case.request, NOW)
        assert bool(decision.sentence) is not decision.allowed
        assert len(decision.sentence) <= 200
        assert decision.sentence.isascii()
        assert decision.sentence.isprintable() or decision.allowed

    check_worlds(holds, seed=9, count=3000)


def test_a_grant_is_the_allowed_part_of_the_request() -> None:
    actions = ("pull", "push", "delete", "*", "fly")
    names = [f"{project}/{path}" for project in (*PROJECTS, "absent") for path in (*PATHS, "new")]

    def holds(case: Case, dice: Dice) -> None:
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

    check_worlds(holds, seed=10, count=2000)


def expanded(scope: Scope) -> list[str]:
    """The actions in the requested order, and at the end those that a `*` adds."""
    requested = [action for action in scope.actions if action != "*"]
    return requested + [more for more in ("pull", "push", "delete") if "*" in scope.actions and more not in requested]


def test_the_list_is_what_may_be_viewed_and_has_content() -> None:
    def holds(case: Case, _dice: Dice) -> None:
        listed = visible_repositories(case.snapshot, case.identity, NOW)
        assert list(listed) == sorted(
            f"{name}/{path}"
            for name, project in case.snapshot.projects.items()
            for path, repository in project.repositories.items()
            if repository.has_content
            and not expected(case.snapshot, case.identity, AccessRequest(Action.VIEW, name, path), NOW)
        )

    check_worlds(holds, seed=11, count=2000)
