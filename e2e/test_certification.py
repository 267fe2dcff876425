"""Certification: what the status of a user says of it, and the second at which it ends."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from e2e.suite.crowd import Projects
from e2e.suite.http import Answer, Session, Wire
from e2e.suite.world import Cluster, Person, certification, eventually, now, with_page

LASTS_SECONDS = 8


@pytest.fixture(scope="module")
def editor(person: Callable[..., Person]) -> Person:
    return person(f"editor-{secrets.token_hex(3)}")


@pytest.fixture(scope="module")
def project(projects: Projects, editor: Person) -> str:
    sharing = [*projects.crowd.sharing, {"kind": "User", "name": editor.name, "level": "Edit"}]
    return projects.make("certified", sharing=sharing)


def certified(cluster: Cluster, person: Person) -> tuple[str, str, str]:
    """The condition in the user's status: whether, why, and the sentence."""
    condition = cluster.condition("registryuser", person.name, "Certified")
    return condition.get("status", ""), condition.get("reason", ""), condition.get("message", "")


def rfc3339(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_user_shows_whether_it_is_certified_until_when_and_why_not(cluster: Cluster, editor: Person) -> None:
    none = ("False", "NoCertification", f"No Certification names {editor.name}, so pushes are refused; pulls are not.")
    eventually(lambda: certified(cluster, editor) == none, "the status says that the user is not certified")
    until = (now() + timedelta(days=300)).replace(microsecond=0)
    cluster.apply(certification(editor.name, until))
    dated = ("True", "Certified", f"{editor.name} is certified until {rfc3339(until)}.")
    eventually(lambda: certified(cluster, editor) == dated, "the user is certified until then")
    assert (cluster.get("registryuser", editor.name) or {})["status"]["certifiedUntil"] == rfc3339(until)
    header, row = cluster.kubectl("get", "registryuser", editor.name).must().out.splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "TYPE", "CERTIFIED", "BECAUSE", "UNTIL", "AGE"]
    assert row.split()[:7] == [editor.name, "True", "Ready", "Person", "True", "Certified", rfc3339(until)]
    cluster.kubectl("delete", "certification", f"{editor.name}-certified").must()
    eventually(lambda: certified(cluster, editor) == none, "the withdrawn certification counts no more")


def test_a_certification_ends_for_pushes_at_the_second_that_it_says_and_the_condition_follows(
    cluster: Cluster, wire: Wire, editor: Person, project: str
) -> None:
    until = (now() + timedelta(seconds=LASTS_SECONDS)).replace(microsecond=0)
    cluster.apply(certification(editor.name, until))
    session, repository = Session(wire, editor), f"{project}/lapse"
    eventually(lambda: session.push(repository, "v1", b"layer").must(201), "the editor may push")
    held = session.hold(repository)
    tries = pushes_until(lambda: held.start_upload(repository), until)
    early = [answer.status for _, answered, answer in tries if answered < until]
    late = [answer for sent, _, answer in tries if sent >= until]
    assert set(early) == {202}, early
    assert {answer.refusal for answer in late} == {(403, "DENIED", ended(editor, repository, until))}
    assert held.pull(repository, "v1").status == 200
    over = f"The certification of {editor.name} ended at {rfc3339(until)}, so pushes are refused: certify again."
    eventually(
        lambda: certified(cluster, editor) == ("False", "CertificationExpired", over), "the condition follows", 30
    )
    assert (cluster.get("registryuser", editor.name) or {})["status"]["certifiedUntil"] == rfc3339(until)


def pushes_until(push: Callable[[], Answer], end: datetime) -> list[tuple[datetime, datetime, Answer]]:
    """Try again and again until one was sent after the end: when each was sent and answered, and the answer."""
    tries: list[tuple[datetime, datetime, Answer]] = []
    while not tries or tries[-1][0] < end:
        sent = now()
        answer = push()
        tries.append((sent, now(), answer))
    return tries


def ended(person: Person, repository: str, until: datetime) -> str:
    sentence = (
        f"{person.name} may edit {repository}, but the certification to push ended at "
        f"{until.strftime('%Y-%m-%d %H:%M:%S UTC')}; ask your registry administrators for a new Certification."
    )
    return with_page(sentence, "push", repository)


def test_a_push_shortly_before_the_end_is_answered_with_a_warning_that_names_the_day(
    cluster: Cluster, wire: Wire, person: Callable[..., Person], projects: Projects, project: str
) -> None:
    warned = person(f"warned-{secrets.token_hex(3)}")
    sharing: list[Any] = (cluster.get("project", project) or {})["spec"]["sharing"]
    cluster.patch(
        "project", project, {"spec": {"sharing": [*sharing, {"kind": "User", "name": warned.name, "level": "Edit"}]}}
    ).must()
    until = (now() + timedelta(days=3, minutes=5)).replace(microsecond=0)
    cluster.apply(certification(warned.name, until))
    session = Session(wire, warned)
    pushed = eventually(lambda: session.push(f"{project}/warned", "v1", b"layer").must(201), "the user may push")
    assert pushed.header("warning") == (
        f'299 - "The certification of {warned.name} to push ends in 3 days, at '
        f'{until.strftime("%Y-%m-%d %H:%M:%S UTC")}; ask your registry administrators for a new Certification."'
    )
