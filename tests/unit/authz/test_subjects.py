"""The identities that a rule applies to, and the rights of each credential: a table for each, on one world."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from berth.api.policy import Action, RuleSource
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel, SubjectKind
from berth.api.token import TokenScope
from berth.authz.decide import decide
from berth.authz.explain import certification_warning, decision_document, explain
from berth.authz.model import (
    ANONYMOUS,
    AccessRequest,
    AccessTokenRecord,
    CredentialKind,
    Decision,
    Identity,
    ProjectPolicy,
    RepositoryPolicy,
    Rule,
    Snapshot,
    Subject,
    User,
)
from tests.kit.authz.worlds import NOW, SECOND

PASSWORD, TOKEN, ACCOUNT, OIDC = (
    CredentialKind.PASSWORD,
    CredentialKind.ACCESS_TOKEN,
    CredentialKind.SERVICE_ACCOUNT,
    CredentialKind.OIDC,
)
CI = Identity(ACCOUNT, "builders/ci", kind=SubjectKind.SERVICE_ACCOUNT)
WEB = Identity(ACCOUNT, "shop/web", kind=SubjectKind.SERVICE_ACCOUNT)
ANN = Identity(PASSWORD, "ann")
NIGHTLY = Identity(PASSWORD, "nightly", kind=SubjectKind.ROBOT)
LAPTOP = Identity(TOKEN, "ann", token="laptop", token_sha256="h1")
OUTSIDE_ANN = Identity(OIDC, "ann@example.org")
STRANGER = Identity(OIDC, "carl", groups=frozenset({"idp:lab"}))
WITHOUT_GROUP = Identity(OIDC, "carl")
EVERYBODY = (ANN, NIGHTLY, LAPTOP, CI, WEB, OUTSIDE_ANN, STRANGER, WITHOUT_GROUP)


def world(*rules: Rule, local: tuple[Rule, ...] | None = None) -> Snapshot:
    ann = Subject(SubjectKind.USER, "ann")
    return Snapshot(
        1,
        {"p": ProjectPolicy("p", rules, repositories={"r": RepositoryPolicy("r", rules=local)})},
        {"ann": User("ann"), "nightly": User("nightly", robot=True)},
        tokens={"h1": AccessTokenRecord("laptop", ann, frozenset(TokenScope))},
        teams_of={
            ann: frozenset({"authors"}),
            Subject(SubjectKind.SERVICE_ACCOUNT, "shop/web"): frozenset({"authors"}),
            Subject(SubjectKind.GROUP, "idp:lab"): frozenset({"authors"}),
        },
        aliases={
            Subject(SubjectKind.SERVICE_ACCOUNT, "builders/ci"): frozenset({"nightly"}),
            Subject(SubjectKind.USER, "ann@example.org"): frozenset({"ann"}),
        },
    )


def ask(snapshot: Snapshot, identity: Identity, action: Action = Action.PULL) -> Decision:
    return decide(snapshot, identity, AccessRequest(action, "p", "r"), NOW)


def shared_with(kind: SubjectKind, name: str = "", level: SharingLevel = SharingLevel.DOWNLOAD) -> Rule:
    return Rule(kind, name, level)


@pytest.mark.parametrize(
    ("rule", "meant"),
    [
        (shared_with(SubjectKind.USER, "ann"), (ANN, LAPTOP, OUTSIDE_ANN)),
        (shared_with(SubjectKind.ROBOT, "nightly"), (NIGHTLY, CI)),
        (shared_with(SubjectKind.USER, "nightly"), ()),
        (shared_with(SubjectKind.ROBOT, "ann"), ()),
        (shared_with(SubjectKind.USER, "carl"), (STRANGER, WITHOUT_GROUP)),
        (shared_with(SubjectKind.USER, "ann@example.org"), (OUTSIDE_ANN,)),
        (shared_with(SubjectKind.SERVICE_ACCOUNT, "builders/ci"), (CI,)),
        (shared_with(SubjectKind.USER, "builders/ci"), ()),
        (shared_with(SubjectKind.GROUP, "idp:lab"), (STRANGER,)),
        (shared_with(SubjectKind.GROUP, "lab"), ()),
        (shared_with(SubjectKind.TEAM, "authors"), (ANN, LAPTOP, WEB, OUTSIDE_ANN, STRANGER)),
        (shared_with(SubjectKind.TEAM, "others"), ()),
        (shared_with(SubjectKind.AUTHENTICATED_USERS), EVERYBODY),
        (shared_with(SubjectKind.PUBLIC), ()),
    ],
)
def test_a_rule_applies_to_these_identities_alone(rule: Rule, meant: tuple[Identity, ...]) -> None:
    assert tuple(identity for identity in EVERYBODY if ask(world(rule), identity).allowed) == meant
    assert ask(world(rule), ANONYMOUS).reason is Reason.NOT_AUTHENTICATED


def test_local_sharing_takes_every_kind_of_subject_too_and_replaces() -> None:
    local = (shared_with(SubjectKind.TEAM, "authors"),)
    snapshot = world(shared_with(SubjectKind.ROBOT, "nightly"), local=local)
    assert ask(snapshot, WEB).allowed
    assert ask(snapshot, NIGHTLY).reason is Reason.NOT_FOUND


# the public


def test_public_means_everybody_where_the_installation_allows_it() -> None:
    snapshot = replace(world(shared_with(SubjectKind.PUBLIC)), public_allowed=True)
    assert all(ask(snapshot, identity).allowed for identity in (*EVERYBODY, ANONYMOUS))


def test_public_gives_no_more_than_download_whatever_a_rule_says() -> None:
    snapshot = replace(world(shared_with(SubjectKind.PUBLIC, level=SharingLevel.ADMINISTER)), public_allowed=True)
    for action in (Action.PUSH, Action.DELETE, Action.ADMINISTER):
        assert ask(snapshot, ANN, action).reason is Reason.LEVEL_TOO_LOW


def test_an_anonymous_denial_names_the_public_level_and_the_login() -> None:
    snapshot = replace(world(shared_with(SubjectKind.PUBLIC)), public_allowed=True)
    decision = ask(snapshot, ANONYMOUS, Action.PUSH)
    assert decision.reason is Reason.LEVEL_TOO_LOW
    assert "Public has Download" in decision.sentence
    assert "log in (docker login)" in decision.sentence


def test_wrong_credentials_are_refused_where_none_would_do() -> None:
    snapshot = replace(world(shared_with(SubjectKind.PUBLIC)), public_allowed=True)
    wrong = Identity(CredentialKind.FAILED, failure=Reason.BAD_CREDENTIALS)
    assert ask(snapshot, wrong).reason is Reason.BAD_CREDENTIALS


# credentials

OPEN = shared_with(SubjectKind.AUTHENTICATED_USERS, level=SharingLevel.ADMINISTER)


def test_a_token_holds_for_its_owner_until_it_is_deleted_expires_or_changes_hands() -> None:
    record = world().tokens["h1"]
    worlds = {
        None: {"h1": record},
        Reason.TOKEN_REVOKED: {},
        Reason.TOKEN_EXPIRED: {"h1": replace(record, expires_at=NOW)},
    }
    for reason, tokens in worlds.items():
        assert ask(replace(world(OPEN), tokens=tokens), LAPTOP).reason is reason
    later = replace(world(OPEN), tokens={"h1": replace(record, expires_at=NOW + SECOND)})
    assert ask(later, LAPTOP).allowed
    for owner in (Subject(SubjectKind.USER, "bob"), Subject(SubjectKind.ROBOT, "ann")):
        stolen = replace(world(OPEN), tokens={"h1": replace(record, owner=owner)})
        assert ask(stolen, LAPTOP).reason is Reason.TOKEN_REVOKED


def test_a_token_goes_with_its_owner() -> None:
    assert ask(replace(world(OPEN), users={}), LAPTOP).reason is Reason.TOKEN_REVOKED
    disabled = replace(world(OPEN), users={"ann": User("ann", disabled=True)})
    assert ask(disabled, LAPTOP).reason is Reason.USER_DISABLED


def test_a_token_may_be_used_for_no_more_than_its_object_says_now() -> None:
    record = replace(world().tokens["h1"], scopes=frozenset({TokenScope.DOWNLOAD}))
    snapshot = replace(world(OPEN), tokens={"h1": record})
    assert ask(snapshot, LAPTOP).allowed
    assert ask(snapshot, LAPTOP, Action.DELETE).reason is Reason.TOKEN_SCOPE_MISSING
    narrower = replace(LAPTOP, scopes=frozenset({TokenScope.MODIFY}))
    assert ask(snapshot, narrower).reason is Reason.TOKEN_SCOPE_MISSING


@pytest.mark.parametrize("identity", [CI, STRANGER])
def test_a_token_of_others_ends_at_the_second_that_its_issuer_wrote(identity: Identity) -> None:
    assert ask(world(OPEN), replace(identity, expires_at=NOW + SECOND)).allowed
    assert ask(world(OPEN), replace(identity, expires_at=NOW)).reason is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize(("identity", "name"), [(CI, "nightly"), (OUTSIDE_ANN, "ann"), (Identity(OIDC, "ann"), "ann")])
def test_an_identity_that_acts_as_a_disabled_user_is_refused_with_its_name(identity: Identity, name: str) -> None:
    snapshot = replace(world(OPEN), users={name: User(name, disabled=True)})
    decision = ask(snapshot, identity)
    assert decision.reason is Reason.USER_DISABLED
    assert f"The user {name} is disabled" in decision.sentence


# certification


@pytest.mark.parametrize(
    ("person", "certified"),
    [
        (Subject(SubjectKind.USER, "ann"), (ANN, LAPTOP, OUTSIDE_ANN)),
        (Subject(SubjectKind.ROBOT, "nightly"), (NIGHTLY, CI)),
        (Subject(SubjectKind.SERVICE_ACCOUNT, "builders/ci"), (CI,)),
        (Subject(SubjectKind.ROBOT, "ann"), ()),
    ],
)
def test_a_certification_is_that_of_a_person_robot_or_account(person: Subject, certified: tuple[Identity, ...]) -> None:
    snapshot = replace(world(OPEN), certifications={person: None})
    assert tuple(who for who in EVERYBODY if ask(snapshot, who, Action.PUSH).allowed) == certified


def test_of_several_certifications_the_latest_counts() -> None:
    account, robot = Subject(SubjectKind.SERVICE_ACCOUNT, "builders/ci"), Subject(SubjectKind.ROBOT, "nightly")
    for ends, reason in (
        ({account: NOW, robot: NOW + SECOND}, None),
        ({account: None, robot: NOW}, None),
        ({account: NOW, robot: NOW - SECOND}, Reason.CERTIFICATION_EXPIRED),
    ):
        assert ask(replace(world(OPEN), certifications=ends), CI, Action.PUSH).reason is reason


@pytest.mark.parametrize(
    ("left", "warned"),
    [
        (timedelta(days=14), "in 14 days"),
        (timedelta(days=1), "in 1 day,"),
        (timedelta(seconds=1), "today"),
        (timedelta(days=14, seconds=1), ""),
        (timedelta(0), ""),
        (None, ""),
    ],
)
def test_a_push_in_the_last_days_of_a_certification_is_warned(left: timedelta | None, warned: str) -> None:
    end = NOW + left if left is not None else None
    snapshot = replace(world(OPEN), certifications={Subject(SubjectKind.USER, "ann"): end})
    warning = certification_warning(snapshot, ANN, NOW, 14)
    assert warned in warning
    assert bool(warning) is bool(warned)
    assert len(warning) <= 200
    assert certification_warning(snapshot, NIGHTLY, NOW, 14) == ""


# an old policy


def test_a_policy_that_is_too_old_lets_nothing_be_changed_and_everything_be_read() -> None:
    snapshot = replace(world(OPEN), fresh_until=NOW, certifications={Subject(SubjectKind.USER, "ann"): None})
    for action in (Action.PUSH, Action.DELETE, Action.ADMINISTER):
        assert ask(snapshot, ANN, action).reason is Reason.POLICY_STALE
        assert ask(replace(snapshot, fresh_until=NOW + SECOND), ANN, action).allowed
    assert ask(snapshot, ANN, Action.PULL).allowed
    assert ask(snapshot, ANN, Action.VIEW).allowed


# the explanation


@pytest.mark.parametrize(
    ("rule", "identity", "line"),
    [
        (shared_with(SubjectKind.USER, "ann"), ANN, "User ann has Download by Sharing"),
        (
            shared_with(SubjectKind.TEAM, "authors"),
            STRANGER,
            "Team authors (as its member Group idp:lab) has Download by Sharing",
        ),
        (shared_with(SubjectKind.GROUP, "idp:lab"), STRANGER, "Group idp:lab has Download by Sharing"),
        (shared_with(SubjectKind.AUTHENTICATED_USERS), WEB, "AuthenticatedUsers has Download by Sharing"),
        (shared_with(SubjectKind.ROBOT, "nightly"), CI, "Robot nightly has Download by Sharing"),
    ],
)
def test_an_explanation_says_by_which_subject_and_field_the_level_came(
    rule: Rule, identity: Identity, line: str
) -> None:
    assert f"ok   visible: {line}" in explain(ask(world(rule), identity))
    local = ask(world(local=(rule,)), identity)
    assert f"ok   visible: {line.replace('Sharing', 'LocalSharing')}" in explain(local)


def test_the_document_of_a_decision_has_the_rule_and_every_check() -> None:
    request = AccessRequest(Action.DELETE, "p", "r")
    decision = decide(world(shared_with(SubjectKind.TEAM, "authors")), LAPTOP, request, NOW)
    document = decision_document(LAPTOP, request, decision)
    assert document["standing"] == {
        "level": "Download",
        "subject": "Team authors",
        "source": "Sharing",
        "member": "User ann",
    }
    assert (document["allowed"], document["reason"], document["name"]) == (False, "LevelTooLow", "p/r")
    assert document["checks"][-1] == {"check": "level", "passed": False, "detail": decision.sentence}
    assert "h1" not in str(document)


def test_the_explanation_of_what_is_not_visible_says_nothing_of_it() -> None:
    hidden, absent = ask(world(), ANN), ask(Snapshot(1, users=world().users), ANN)
    assert explain(hidden) == explain(absent)
    assert hidden.effective_level is None


def test_the_source_is_the_field_of_the_rule() -> None:
    robot = Rule(SubjectKind.ROBOT, "nightly", SharingLevel.DOWNLOAD, RuleSource.PULL_SECRET)
    given = ask(world(robot), NIGHTLY)
    assert given.effective_level is not None
    assert given.effective_level.source is RuleSource.PULL_SECRET
    assert_detail(ask(world(robot), NIGHTLY), "Robot nightly has Download by PullSecret")


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_rules_for_one_robot_the_stronger_counts_and_of_equal_ones_that_of_the_sharing(order: int) -> None:
    pull_secret = Rule(SubjectKind.ROBOT, "nightly", SharingLevel.DOWNLOAD, RuleSource.PULL_SECRET)
    for level in (SharingLevel.DOWNLOAD, SharingLevel.EDIT):
        shared = shared_with(SubjectKind.ROBOT, "nightly", level)
        assert_detail(
            ask(world(*(pull_secret, shared)[::order]), NIGHTLY), f"Robot nightly has {level.value} by Sharing"
        )
    weaker = shared_with(SubjectKind.ROBOT, "nightly", SharingLevel.VIEW)
    assert_detail(ask(world(*(pull_secret, weaker)[::order]), NIGHTLY), "Robot nightly has Download by PullSecret")


def test_a_rule_of_local_sharing_has_that_source() -> None:
    local = (shared_with(SubjectKind.ROBOT, "nightly"),)
    assert_detail(ask(world(local=local), NIGHTLY), "Robot nightly has Download by LocalSharing")


def assert_detail(decision: Decision, detail: str) -> None:
    """The trace says who has which level from where."""
    assert [step.detail for step in decision.trace if step.check == "visible"] == [detail]
