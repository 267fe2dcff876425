"""The example manifests mean what the pages and the demonstration say about them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from berth.api.policy import Action
from berth.api.sharing import SubjectKind
from berth.authz.decide import decide
from berth.authz.explain import explain
from berth.authz.model import AccessRequest, Decision, Subject
from berth.authz.policy.manifests import Source, read_policy
from berth.authz.queries import identity_of
from berth.cli.kubectl.policy.files import sources
from tests.kit.docs.pages import DOCS

EXAMPLES = DOCS / "examples"
NOW = datetime(2026, 12, 1, tzinfo=UTC)


PUSHED = {
    "apiVersion": "berth.dev/v1alpha1",
    "kind": "DockerRepository",
    "metadata": {"name": "aligner", "namespace": "berth-genomics"},
}


def decision_on(who: Subject, action: Action, name: str, *, without: str = "") -> Decision:
    """The decision by all examples together (except `without`), and a pushed repository."""
    files = [path for path in sorted(EXAMPLES.glob("*.yaml")) if path.name != without]
    policy = read_policy([*sources(files), Source("pushed", PUSHED)])
    assert policy.problems == ()
    project, _, repository = name.partition("/")
    return decide(policy.snapshot, identity_of(policy.snapshot, who), AccessRequest(action, project, repository), NOW)


def user(name: str) -> Subject:
    return Subject(SubjectKind.USER, name)


CI = Subject(SubjectKind.SERVICE_ACCOUNT, "builders/ci")


@pytest.mark.parametrize(
    ("who", "action", "name", "reason"),
    [
        (user("curator"), Action.PUSH, "genomics/hello", None),
        (user("analyst"), Action.PULL, "genomics/hello", None),
        (user("analyst"), Action.PUSH, "genomics/hello", "LevelTooLow"),
        (user("newcomer"), Action.PUSH, "genomics/hello", "NotCertified"),
        (user("author"), Action.PUSH, "pipelines/hello", None),
        (user("visitor"), Action.PULL, "pipelines/hello", None),
        (user("visitor"), Action.PUSH, "pipelines/hello", "CertificationExpired"),
        (user("analyst"), Action.PULL, "pipelines/hello", None),
        (CI, Action.PUSH, "pipelines/hello", None),
        (Subject(SubjectKind.ROBOT, "pipelines.pull.analysis"), Action.PULL, "pipelines/hello", None),
        (user("reviewer"), Action.PULL, "pipelines/aligner", None),
        (user("author"), Action.PULL, "pipelines/aligner", "NotFound"),
        (CI, Action.PULL, "pipelines/aligner", "NotFound"),
    ],
)
def test_the_examples_together_give_these_decisions(
    who: Subject, action: Action, name: str, reason: str | None
) -> None:
    decision = decision_on(who, action, name)
    assert (decision.reason and decision.reason.value) == reason


def test_local_sharing_is_why_author_and_analyst_lose_access() -> None:
    for who in ("author", "analyst"):
        assert not decision_on(user(who), Action.PULL, "pipelines/aligner").allowed
        assert decision_on(user(who), Action.PULL, "pipelines/aligner", without="local-sharing.yaml").allowed


def test_the_checks_in_the_manual_are_those_that_are_printed() -> None:
    manual = (DOCS / "cli.md").read_text()
    shown = re.search(r"^push genomics/aligner as User newcomer\n(.+?)^```$", manual, re.DOTALL | re.MULTILINE)
    assert shown is not None
    decision = decision_on(user("newcomer"), Action.PUSH, "genomics/aligner")
    assert [line.removeprefix("  ") for line in shown[1].splitlines()] == list(explain(decision))


def test_every_example_begins_with_its_purpose() -> None:
    for example in sorted(Path(EXAMPLES).glob("*.yaml")):
        assert example.read_text().startswith("# "), example
