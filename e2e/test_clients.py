"""Standard clients push and pull, and the cluster shows the result. One table of clients, one test for each case."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from functools import partial

import pytest

from e2e.suite.clients import CLIENTS, COPIERS, LOGINS, able
from e2e.suite.clients.buildah import Buildah
from e2e.suite.clients.client import Ability, Client, Copier, Login, Reference, last_digest
from e2e.suite.clients.cosign import Cosign
from e2e.suite.clients.crane import Crane
from e2e.suite.clients.docker import Docker
from e2e.suite.clients.helm import Helm
from e2e.suite.clients.oras import ARTIFACT_TYPE, Oras
from e2e.suite.clients.podman import Podman
from e2e.suite.clients.refusal import with_password
from e2e.suite.clients.regctl import Regctl
from e2e.suite.clients.skopeo import Skopeo
from e2e.suite.clients.stage import PROJECT, Stage, each, logs_in
from e2e.suite.content import MEDIA_INDEX, Kind
from e2e.suite.tokens import access_token, new_secret
from e2e.suite.world import Person, eventually


def shows(stage: Stage, reference: Reference, digest: str) -> dict[str, str]:
    """Wait until the DockerRepository shows the tag with this digest, pushed by the curator."""
    wanted = {"name": reference.full.rpartition(":")[2], "digest": digest, "pushedBy": stage.curator.name}

    def shown() -> dict[str, str]:
        tag = stage.recorded(reference)
        assert {key: tag.get(key) for key in wanted} == wanted
        return tag

    return dict(eventually(shown, f"the status of {reference.path} shows {wanted}", seconds=15))


def assert_copied(stage: Stage, client: Copier, source: Reference, target: Reference) -> None:
    stage.publish(client, source)
    copied = client.copy(stage.seat(stage.curator), source, target).must()
    shows(stage, target, copied.digest)
    assert stage.pull(client, stage.downloader, target).must().digest == copied.digest


@pytest.fixture(scope="module")
def annex(stage: Stage) -> str:
    """Another project of the same people."""
    return stage.project("clients-annex")


@each(CLIENTS)
def test_what_was_pushed_is_shown_and_is_pulled_by_its_tag_and_by_its_digest(stage: Stage, client: Client) -> None:
    reference = stage.reference(f"round-trip-{client.name}")
    pushed = stage.publish(client, reference)
    shows(stage, reference, pushed.digest)
    assert stage.pull(client, stage.downloader, reference).must().digest == pushed.digest
    assert stage.pull(client, stage.downloader, reference.at(pushed.digest)).must().digest == pushed.digest


@pytest.fixture(scope="module")
def by_token(stage: Stage) -> Iterator[Person]:
    """The curator with a token for the password, under a user name that does not exist."""
    name, holder = (
        f"{PROJECT}-{secrets.token_hex(3)}",
        with_password(stage.curator, new_secret(), stage.folders(), "anything"),
    )
    stage.cluster.apply(access_token(name, stage.curator, holder.password, ("download", "modify")))
    eventually(partial(logs_in, stage.cluster, holder), "the token logs in")
    yield holder
    stage.cluster.kubectl("delete", "accesstoken", name).must()


@each(CLIENTS)
def test_a_token_pushes_and_pulls_for_its_owner_whatever_the_user_name(
    stage: Stage, client: Client, by_token: Person
) -> None:
    reference = stage.reference(f"by-token-{client.name}")
    pushed = stage.publish(client, reference, by=by_token)
    shows(stage, reference, pushed.digest)
    assert stage.pull(client, by_token, reference).must().digest == pushed.digest


@each(LOGINS)
def test_a_token_logs_in_whatever_the_user_name(stage: Stage, client: Login, by_token: Person) -> None:
    stage.engines.need(client.engine)
    client.login(stage.seat(by_token), by_token.name, by_token.password).must()


@each(able(Ability.DEFAULT_TAG))
def test_without_a_tag_a_client_means_latest(stage: Stage, client: Client) -> None:
    reference = stage.reference(f"no-tag-{client.name}", tag="")
    pushed = stage.publish(client, reference)
    shows(stage, reference, pushed.digest)
    assert stage.pull(client, stage.downloader, reference).must().digest == pushed.digest


@each(CLIENTS)
def test_a_moved_tag_is_its_new_digest_and_the_old_digest_can_still_be_pulled(stage: Stage, client: Client) -> None:
    reference = stage.reference(f"moved-{client.name}")
    old, new = stage.publish(client, reference), stage.publish(client, reference)
    assert old.digest != new.digest
    shows(stage, reference, new.digest)
    assert stage.pull(client, stage.downloader, reference).must().digest == new.digest
    assert stage.pull(client, stage.downloader, reference.at(old.digest)).must().digest == old.digest


@each(CLIENTS)
def test_a_path_of_several_components_is_one_repository(stage: Stage, client: Client) -> None:
    reference = stage.reference(f"nested/deep_er/a.b__c/{client.name}")
    pushed = stage.publish(client, reference)
    shows(stage, reference, pushed.digest)
    assert stage.pull(client, stage.downloader, reference).must().digest == pushed.digest


@each(able(Ability.PULL_INDEX))
def test_an_index_of_two_architectures_is_shown_and_pulled_as_one(stage: Stage, client: Client) -> None:
    reference = stage.reference(f"index-{client.name}")
    pushed = stage.publish(client, reference, Kind.INDEX)
    assert shows(stage, reference, pushed.digest)["mediaType"] == MEDIA_INDEX
    assert stage.pull(client, stage.downloader, reference).must().digest == pushed.digest


def test_an_artifact_is_recorded_as_it_was_pushed(stage: Stage) -> None:
    reference = stage.reference("artifact")
    pushed = stage.publish(Oras(), reference)
    shows(stage, reference, pushed.digest)
    manifest = stage.seat(stage.downloader).run("crane", "manifest", str(reference)).must().out
    assert json.loads(manifest)["artifactType"] == ARTIFACT_TYPE


def test_helm_without_a_version_pulls_the_newest_from_the_list_of_tags(stage: Stage) -> None:
    helm = Helm()
    pushed = {
        version: stage.publish(helm, stage.reference("newest", version)).digest
        for version in ("1.9.0", "1.10.0", "1.2.0")
    }
    pulled = stage.pull(helm, stage.downloader, stage.reference("newest", tag="")).must()
    assert pulled.digest == pushed["1.10.0"]


def test_what_is_attached_to_an_image_is_found_at_it(stage: Stage) -> None:
    image = stage.reference("signed")
    stage.publish(Crane(), image)
    attached = Oras().attach(stage.seat(stage.curator), image, stage.content(Kind.ARTIFACT, image)).must()
    found = stage.seat(stage.downloader).run("oras", "discover", "--format=json", str(image)).must().out
    referrer = json.loads(found)["referrers"][0]
    assert (referrer["digest"], referrer["artifactType"]) == (last_digest(attached.out), ARTIFACT_TYPE)


def test_an_image_that_was_signed_is_verified_by_a_user_who_may_pull_it(stage: Stage) -> None:
    image = stage.reference("signed-by-cosign")
    digest = stage.publish(Crane(), image).digest
    cosign, keys = Cosign(), Cosign.keys(stage.seat(stage.curator))
    assert not cosign.verify(stage.seat(stage.downloader), keys, image).ok
    cosign.sign(stage.seat(stage.curator), keys, image.at(digest)).must()
    verified = cosign.verify(stage.seat(stage.downloader), keys, image).must()
    assert f'"docker-manifest-digest":"{digest}"' in verified.out


@each(COPIERS)
def test_a_copy_to_another_repository_of_the_project_is_pulled_from_there(stage: Stage, client: Copier) -> None:
    source, target = stage.reference(f"copied-{client.name}"), stage.reference(f"copy-of-{client.name}")
    assert_copied(stage, client, source, target)


@each(COPIERS)
def test_a_copy_to_another_project_is_pulled_from_there(stage: Stage, client: Copier, annex: str) -> None:
    source = stage.reference(f"lent-{client.name}")
    assert_copied(stage, client, source, Reference(f"{annex}/borrowed-{client.name}", source.tag))


@each((Docker(classic=True), Podman(), Buildah(), Skopeo(), Regctl()))
def test_an_upload_that_a_client_gives_up_for_another_is_cancelled(stage: Stage, client: Copier, annex: str) -> None:
    """They ask for a mount from another project, which is another registry, and give up the upload that they get."""
    source = stage.reference(f"lent-again-{client.name}")
    target = Reference(f"{annex}/borrowed-again-{client.name}", source.tag)
    stage.publish(client, source)
    client.copy(stage.seat(stage.curator), source, target).must()
    log = stage.cluster.kubectl("logs", f"--namespace=berth-{annex}", "deployment/registry").must().out
    answers = [
        json.loads(line) for line in log.splitlines() if '"http.response.status"' in line and target.path in line
    ]
    cancelled = [a["http.response.status"] for a in answers if a["http.request.method"] == "DELETE"]
    assert cancelled
    assert set(cancelled) == {204}


@each((Docker(classic=False), Docker(classic=True), Podman()))
def test_a_large_layer_arrives_whole_in_every_style_of_upload(stage: Stage, client: Client) -> None:
    """One PUT, PATCHes of unknown length, PATCHes with a length."""
    reference = stage.reference(f"large-{client.name}")
    pushed = stage.publish(client, reference, size=24 * 2**20)
    assert stage.pull(client, stage.downloader, reference).must().digest == pushed.digest
