"""A refusal reaches the person at every client: the sentence word for word, in the client's own words around it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from e2e.suite.clients import CLIENTS, LOGINS, PUSHERS, able
from e2e.suite.clients.buildkit import BuildKit
from e2e.suite.clients.client import Ability, Client, Login, Outcome, Pusher, Reference
from e2e.suite.clients.cosign import Cosign
from e2e.suite.clients.crane import Crane
from e2e.suite.clients.helm import Helm
from e2e.suite.clients.kubelet import Kubelet
from e2e.suite.clients.oras import Oras
from e2e.suite.clients.refusal import WRONG_PASSWORD, assert_refused, assert_said, forgetful, with_password
from e2e.suite.clients.stage import PROJECT, Stage, each
from e2e.suite.content import Kind
from e2e.suite.world import with_page

Shelf = Mapping[Kind, tuple[Reference, Reference]]


@pytest.fixture(scope="module")
def shelf(stage: Stage) -> Shelf:
    """An image, a chart and an artifact in the project, by tag and by digest, so that what is refused is there."""
    kept: dict[Kind, tuple[Reference, Reference]] = {}
    for client in (Crane(), Helm(), Oras()):
        reference = stage.reference(f"shelf-{client.kind}")
        kept[client.kind] = reference, reference.at(stage.publish(client, reference).digest)
    return kept


@each(PUSHERS)
def test_a_push_by_an_editor_without_certification_is_refused_with_the_sentence(stage: Stage, client: Pusher) -> None:
    reference = stage.reference(f"refused-push-{client.name}")
    before = stage.recorded(reference)
    refused = stage.push(client, stage.editor, reference)
    sentence = (
        f"{stage.editor.name} may edit {reference.path} but is not certified to push; "
        "ask your registry administrators for a Certification."
    )
    assert_refused(refused, client.refusals.push, reference, with_page(sentence, "push", reference.path))
    assert stage.recorded(reference) == before


@each(PUSHERS)
def test_a_push_by_a_downloader_names_the_level_that_is_missing(stage: Stage, client: Pusher, shelf: Shelf) -> None:
    reference = replace(shelf[client.kind][0], tag="2.0.0")
    refused = stage.push(client, stage.downloader, reference)
    sentence = (
        f"{stage.downloader.name} has Download on {reference.path}, and push needs Edit; "
        f"ask someone with Administer on project {PROJECT} for Edit."
    )
    assert_refused(refused, client.refusals.push, reference, with_page(sentence, "push", reference.path))


def test_an_attachment_by_an_editor_without_certification_is_refused_with_the_sentence(
    stage: Stage, shelf: Shelf
) -> None:
    subject, _ = shelf[Kind.IMAGE]
    refused = Oras().attach(stage.seat(stage.editor), subject, stage.content(Kind.ARTIFACT, subject))
    sentence = (
        f"{stage.editor.name} may edit {subject.path} but is not certified to push; "
        "ask your registry administrators for a Certification."
    )
    assert_refused(Outcome(refused), Oras.refusals.push, subject, with_page(sentence, "push", subject.path))


@pytest.fixture(scope="module")
def narrow(stage: Stage) -> str:
    """A project that takes layers of at most 1 MB."""
    return stage.project("clients-narrow", limits={"layerSize": "1M"})


@each(PUSHERS)
def test_a_push_that_is_refused_at_its_very_end_shows_the_reason(stage: Stage, client: Pusher, narrow: str) -> None:
    reference = Reference(f"{narrow}/heavy-{client.name}", tag="1.0.0")
    refused = stage.push(client, stage.curator, reference, size=2 * 10**6)
    sentence = (
        f"The push to {reference.path} has a layer of SIZE, and its project allows 1 MB; "
        "split it, or ask someone with Administer to raise spec.limits.layerSize."
    )
    size = re.search(r"a layer of ([0-9.]+ MB),", refused.said)
    said = sentence.replace("SIZE", size[1] if size else "some MB")
    assert_refused(refused, client.refusals.manifest, reference, said)
    assert stage.recorded(reference) == {}


@each(able(Ability.PUSH_INDEX))
def test_a_push_of_an_index_that_is_refused_pushes_nothing_and_says_why_or_nothing_at_all(
    stage: Stage, client: Pusher
) -> None:
    reference = stage.reference(f"refused-index-{client.name}")
    refused = stage.push(client, stage.editor, reference, Kind.INDEX)
    sentence = (
        f"{stage.editor.name} may edit {reference.path} but is not certified to push; "
        "ask your registry administrators for a Certification."
    )
    assert stage.recorded(reference) == {}
    if client.name == "buildah":
        assert (refused.digest, "denied" in refused.said) == ("", False)
    else:
        assert not refused.result.ok
        assert with_page(sentence, "push", reference.path) in refused.said


@each(CLIENTS)
def test_a_pull_by_a_viewer_by_tag_or_by_digest_is_refused_with_the_sentence(
    stage: Stage, client: Client, shelf: Shelf
) -> None:
    for reference in shelf[client.kind]:
        refused = stage.pull(client, stage.viewer, reference)
        sentence = (
            f"{stage.viewer.name} has View on {reference.path}, and pull needs Download; "
            f"ask someone with Administer on project {PROJECT} for Download."
        )
        assert_refused(
            refused, client.refusals.of_pull(reference), reference, with_page(sentence, "pull", reference.path)
        )


@each(CLIENTS)
def test_a_project_that_is_not_shared_reads_like_one_that_does_not_exist(
    stage: Stage, client: Client, shelf: Shelf
) -> None:
    hidden, _ = shelf[client.kind]
    absent = replace(hidden, path=hidden.path.replace(PROJECT, "no-such", 1))
    for reference, project in ((hidden, PROJECT), (absent, "no-such")):
        sentence = (
            f"{reference.path} does not exist or is not shared with {stage.outsider.name}; "
            f"check the name, or ask someone with Administer on project {project} for access."
        )
        refused = stage.pull(client, stage.outsider, reference)
        assert_refused(refused, client.refusals.pull, reference, sentence)


@each(CLIENTS)
def test_a_stale_password_in_the_login_file_is_reported_at_the_pull(stage: Stage, client: Client, shelf: Shelf) -> None:
    person = forgetful(stage.downloader, stage.folders(), f"puller-{client.name}")
    reference, _ = shelf[client.kind]
    assert_refused(stage.pull(client, person, reference), client.refusals.pull, reference, WRONG_PASSWORD)


@each(CLIENTS)
def test_an_anonymous_pull_says_that_the_user_is_not_logged_in(stage: Stage, client: Client, shelf: Shelf) -> None:
    anonymous = with_password(stage.downloader, "", stage.folders())
    reference, _ = shelf[client.kind]
    sentence = f"You are not logged in, and {reference.path} is not public; log in (docker login) and try again."
    assert_refused(stage.pull(client, anonymous, reference), client.refusals.pull, reference, sentence)


@each(login for login in LOGINS if not login.refusals.login)
def test_a_login_without_a_request_accepts_any_password(stage: Stage, client: Login) -> None:
    client.login(stage.seat(stage.curator), f"forgetful-{client.name}", "wrong").must()


@each(LOGINS)
def test_the_right_password_logs_in(stage: Stage, client: Login) -> None:
    stage.engines.need(client.engine)
    client.login(stage.seat(stage.viewer), stage.viewer.name, stage.viewer.password).must()


def test_the_status_of_a_container_says_why_its_image_is_refused(stage: Stage, shelf: Shelf) -> None:
    reference, _ = shelf[Kind.IMAGE]
    sentence = (
        f"{stage.viewer.name} has View on {reference.path}, and pull needs Download; "
        f"ask someone with Administer on project {PROJECT} for Download."
    )
    waiting = Kubelet().waits(stage.seat(stage.viewer), reference)
    assert_refused(waiting, Kubelet.refused_status, reference, with_page(sentence, "pull", reference.path))


def test_an_export_of_the_build_cache_that_is_refused_says_why(stage: Stage) -> None:
    buildkit, cache = BuildKit(), stage.reference("refused-cache")
    stage.engines.need(buildkit.engine)
    content = stage.content(Kind.IMAGE, cache)
    refused = buildkit.export_cache(stage.seat(stage.editor), content, cache)
    sentence = (
        f"{stage.editor.name} may edit {cache.path} but is not certified to push; "
        "ask your registry administrators for a Certification."
    )
    assert_refused(refused, BuildKit.refused_cache, cache, with_page(sentence, "push", cache.path))


def test_an_import_of_the_build_cache_that_is_refused_warns_why_and_builds_without(stage: Stage) -> None:
    buildkit, cache = BuildKit(), stage.reference("cache")
    stage.engines.need(buildkit.engine)
    content = stage.content(Kind.IMAGE, cache)
    buildkit.export_cache(stage.seat(stage.curator), content, cache).result.must()
    built = buildkit.import_cache(stage.seat(stage.viewer), content, cache)
    sentence = (
        f"{stage.viewer.name} has View on {cache.path}, and pull needs Download; "
        f"ask someone with Administer on project {PROJECT} for Download."
    )
    assert_said(built.result.must().said, BuildKit.warned_cache, cache, with_page(sentence, "pull", cache.path))


def test_a_signature_by_an_editor_without_certification_is_refused_with_the_sentence(
    stage: Stage, shelf: Shelf
) -> None:
    _, image = shelf[Kind.IMAGE]
    seat = stage.seat(stage.editor)
    sentence = (
        f"{stage.editor.name} may edit {image.path} but is not certified to push; "
        "ask your registry administrators for a Certification."
    )
    refused = Cosign().sign(seat, Cosign.keys(seat), image)
    assert_refused(Outcome(refused), Cosign.refused_signature, image, with_page(sentence, "push", image.path))


def test_a_verification_by_a_viewer_is_refused_with_the_sentence(stage: Stage, shelf: Shelf) -> None:
    image, _ = shelf[Kind.IMAGE]
    seat = stage.seat(stage.viewer)
    sentence = (
        f"{stage.viewer.name} has View on {image.path}, and pull needs Download; "
        f"ask someone with Administer on project {PROJECT} for Download."
    )
    refused = Cosign().verify(seat, Cosign.keys(seat), image)
    assert_refused(Outcome(refused), Cosign.refused_verification, image, with_page(sentence, "pull", image.path))
