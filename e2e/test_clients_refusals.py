"""A refusal reaches the person at every client: the sentence word for word, in the client's own words around it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.suite.clients import CLIENTS, LOGINS, PUSHERS
from e2e.suite.clients.client import Client, Login, Outcome, Pusher, Reference, Refusals, with_page
from e2e.suite.clients.crane import Crane
from e2e.suite.clients.helm import Helm
from e2e.suite.clients.oras import Oras
from e2e.suite.clients.stage import PROJECT, Stage, each
from e2e.suite.content import Kind
from e2e.suite.world import HOST, Person

Shelf = Mapping[Kind, tuple[Reference, Reference]]
WRONG_PASSWORD = "The user name or password is wrong; log in again with your own user name and password."


@pytest.fixture(scope="module")
def shelf(stage: Stage) -> Shelf:
    """An image, a chart and an artifact in the project, by tag and by digest, so that what is refused is there."""
    kept: dict[Kind, tuple[Reference, Reference]] = {}
    for client in (Crane(), Helm(), Oras()):
        reference = stage.reference(f"shelf-{client.kind}")
        kept[client.kind] = reference, reference.at(stage.publish(client, reference).digest)
    return kept


def assert_refused(outcome: Outcome, template: str, reference: Reference, sentence: str) -> None:
    """The client failed, and its last words are the template's, with nothing added after the sentence."""
    expected = Refusals.fill(template, reference, sentence)
    assert not outcome.result.ok, outcome.said
    assert f"{expected}\n" in f"{outcome.said.rstrip()}\n", f"expected:\n{expected}\n\nsaid:\n{outcome.said}"


def with_password(person: Person, password: str, home: Path) -> Person:
    """The same person with another password in the login file; with an empty one, nobody is logged in."""
    changed = replace(person, password=password, home=home)
    auth = base64.b64encode(f"{person.name}:{password}".encode()).decode()
    changed.auth_file.write_text(json.dumps({"auths": {HOST: {"auth": auth}} if password else {}}))
    return changed


@each(PUSHERS)
def test_a_push_by_an_editor_without_certification_is_refused_with_the_sentence(stage: Stage, client: Pusher) -> None:
    reference = stage.reference(f"refused-push-{client.name}")
    before = stage.recorded(reference)
    refused = stage.push(client, stage.editor, reference)
    sentence = (
        f"{stage.editor.name} may edit {reference.path} but is not certified to push; "
        "ask your registry office for a Certification."
    )
    assert_refused(refused, client.refusals.push, reference, with_page(sentence, "push", reference.path))
    assert stage.recorded(reference) == before


@each(PUSHERS)
def test_a_push_by_a_downloader_names_the_level_that_is_missing(stage: Stage, client: Pusher, shelf: Shelf) -> None:
    reference = replace(shelf[client.kind][0], tag="2.0.0")
    refused = stage.push(client, stage.downloader, reference)
    sentence = (
        f"{stage.downloader.name} has Download on {reference.path}, and push needs Edit; "
        f"ask somebody with Administer on project {PROJECT} for Edit."
    )
    assert_refused(refused, client.refusals.push, reference, with_page(sentence, "push", reference.path))


def test_an_attachment_by_an_editor_without_certification_is_refused_with_the_sentence(
    stage: Stage, shelf: Shelf
) -> None:
    subject, _ = shelf[Kind.IMAGE]
    refused = Oras().attach(stage.seat(stage.editor), subject, stage.content(Kind.ARTIFACT, subject))
    sentence = (
        f"{stage.editor.name} may edit {subject.path} but is not certified to push; "
        "ask your registry office for a Certification."
    )
    assert_refused(Outcome(refused), Oras.refusals.push, subject, with_page(sentence, "push", subject.path))


@pytest.fixture(scope="module")
def narrow(stage: Stage) -> str:
    """A project that takes layers of at most 1 MB."""
    return stage.project("clients-narrow", limits={"layerSize": "1M"})


@each(PUSHERS)
def test_a_push_that_is_refused_at_its_very_end_is_told_the_reason(stage: Stage, client: Pusher, narrow: str) -> None:
    reference = Reference(f"{narrow}/heavy-{client.name}", tag="1.0.0")
    refused = stage.push(client, stage.curator, reference, size=2 * 10**6)
    sentence = (
        f"{reference.path} got a layer of SIZE, and its project allows 1 MB; "
        "split it, or ask somebody with Administer to raise spec.limits.layerSize."
    )
    size = re.search(r"a layer of ([0-9.]+ MB),", refused.said)
    said = sentence.replace("SIZE", size[1] if size else "some MB")
    assert_refused(refused, client.refusals.manifest, reference, said)
    assert stage.recorded(reference) == {}


@each(CLIENTS)
def test_a_pull_by_a_viewer_by_tag_or_by_digest_is_refused_with_the_sentence(
    stage: Stage, client: Client, shelf: Shelf
) -> None:
    for reference in shelf[client.kind]:
        refused = stage.pull(client, stage.viewer, reference)
        sentence = (
            f"{stage.viewer.name} has View on {reference.path}, and pull needs Download; "
            f"ask somebody with Administer on project {PROJECT} for Download."
        )
        assert_refused(refused, client.refusals.pull, reference, with_page(sentence, "pull", reference.path))


@each(CLIENTS)
def test_a_project_that_is_not_shared_reads_like_one_that_does_not_exist(
    stage: Stage, client: Client, shelf: Shelf
) -> None:
    hidden, _ = shelf[client.kind]
    absent = replace(hidden, path=hidden.path.replace(PROJECT, "no-such", 1))
    for reference, project in ((hidden, PROJECT), (absent, "no-such")):
        sentence = (
            f"{reference.path} does not exist or is not shared with {stage.outsider.name}; "
            f"check the name, or ask somebody with Administer on project {project} for access."
        )
        refused = stage.pull(client, stage.outsider, reference)
        assert_refused(refused, client.refusals.pull, reference, sentence)


@each(CLIENTS)
def test_a_stale_password_in_the_login_file_is_told_at_the_pull(stage: Stage, client: Client, shelf: Shelf) -> None:
    forgetful = with_password(stage.downloader, "wrong", stage.folders())
    reference, _ = shelf[client.kind]
    assert_refused(stage.pull(client, forgetful, reference), client.refusals.pull, reference, WRONG_PASSWORD)


@each(CLIENTS)
def test_who_is_not_logged_in_is_told_so_at_the_pull(stage: Stage, client: Client, shelf: Shelf) -> None:
    nobody = with_password(stage.downloader, "", stage.folders())
    reference, _ = shelf[client.kind]
    sentence = f"Nobody is logged in, and {reference.path} is not public; log in (docker login) and try again."
    assert_refused(stage.pull(client, nobody, reference), client.refusals.pull, reference, sentence)


@each(LOGINS)
def test_a_wrong_password_at_login_is_told(stage: Stage, client: Login) -> None:
    stage.engines.need(client.engine)
    refused = client.login(stage.seat(stage.curator), stage.curator.name, "wrong")
    assert_refused(Outcome(refused), client.refusals.login, stage.reference(""), WRONG_PASSWORD)


@each(LOGINS)
def test_the_right_password_logs_in(stage: Stage, client: Login) -> None:
    stage.engines.need(client.engine)
    client.login(stage.seat(stage.viewer), stage.viewer.name, stage.viewer.password).must()
