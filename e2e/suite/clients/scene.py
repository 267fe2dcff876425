"""A state with every reason for a refusal at once: people of each kind, and a project for each state."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from berth.api.names import repository_object_name
from e2e.suite.clients import CLIENTS
from e2e.suite.clients.client import Client, Pusher, Reference
from e2e.suite.clients.crane import Crane
from e2e.suite.clients.helm import Helm
from e2e.suite.clients.oras import Oras
from e2e.suite.clients.refusal import with_password
from e2e.suite.clients.stage import TAG, Stage
from e2e.suite.clients.throttled import Throttled
from e2e.suite.tokens import access_token, new_secret
from e2e.suite.world import Person, await_ready, certification, eventually, new_person, project_object

ENDED: Final = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
"""When the certification of `Scene.lapsed`, and one of the tokens, ended."""

PLACES: Final[Mapping[str, Mapping[str, Any]]] = {
    "open": {},
    "trashed": {},
    "suspended": {},
    "declared": {"repositoryCreation": "Declared"},
    "narrow": {"limits": {"layerSize": "1M"}},
}
"""The projects by what is refused in them, and what makes them so from the beginning."""

TOKENS: Final[Mapping[str, tuple[tuple[str, ...], datetime | None]]] = {
    "view": (("view",), None),
    "download": (("download",), None),
    "expired": (("download", "modify"), ENDED),
    "revoked": (("download", "modify"), None),
}
"""The curator's tokens: what they may be used for, and their end."""

_FILLERS: Final[tuple[Pusher, ...]] = (Crane(), Helm(), Oras())
_FILLED: Final = (("open", "shelf"), ("open", "trashed"), ("trashed", "shelf"), ("suspended", "shelf"))


@dataclass(frozen=True)
class Scene:
    """The people of the stage, a user with an ended certification, and a disabled user.

    `tokens` are the curator with a token of `TOKENS` for the password, `throttled` people who failed to log in too
    often. `projects` are the names of `PLACES`. In `open` there are repositories `shelf-KIND` with content,
    `trashed-KIND` in the trash, and `external`.
    """

    stage: Stage
    lapsed: Person
    disabled: Person
    tokens: Mapping[str, Person]
    throttled: Throttled
    projects: Mapping[str, str]

    def reference(self, place: str, repository: str, client: Client) -> Reference:
        """A repository in one of the projects, or in a project that does not exist.

        {kind} and {client} in its name are the client's.
        """
        project = self.projects.get(place, place)
        return Reference(f"{project}/{repository.format(kind=client.kind, client=client.name)}", TAG)


@contextmanager
def scene(stage: Stage, person: Callable[..., Person]) -> Iterator[Scene]:
    """The scene, under names that no other run used; its projects are gone afterwards."""
    run = secrets.token_hex(2)
    opened = Scene(
        stage,
        lapsed=person(f"lapsed-{run}"),
        disabled=person(f"disabled-{run}", certified=True),
        tokens={kind: with_password(stage.curator, new_secret(), stage.folders()) for kind in TOKENS},
        throttled=Throttled(
            stage.cluster,
            {client.name: new_person(stage.folders(), f"throttled-{client.name}-{run}") for client in CLIENTS},
        ),
        projects={place: f"reasons-{place}-{run}" for place in PLACES},
    )
    try:
        _build(opened)
        _fill(opened)
        _change(opened)
        yield opened
    finally:
        _remove(opened)


def _build(scene: Scene) -> None:
    stage = scene.stage
    levels = {
        stage.curator: "Administer",
        stage.editor: "Edit",
        scene.lapsed: "Edit",
        scene.disabled: "Edit",
        stage.downloader: "Download",
        stage.viewer: "View",
    }
    sharing = [{"kind": "User", "name": someone.name, "level": level} for someone, level in levels.items()]
    projects = [project_object(name, sharing, **PLACES[place]) for place, name in scene.projects.items()]
    known = [made for someone in scene.throttled.people.values() for made in someone.objects(certified=False)]
    tokens = [
        access_token(_token(scene, kind), stage.curator, scene.tokens[kind].password, scopes, end)
        for kind, (scopes, end) in TOKENS.items()
    ]
    stage.cluster.apply(certification(scene.lapsed.name, ENDED), *projects, *tokens, *known)
    for name in scene.projects.values():
        await_ready(stage.cluster, name)
    external = {"external": {"image": "example.org/tools/aligner"}}
    metadata = {"name": "external", "namespace": _namespace(scene.projects["open"])}
    stage.cluster.apply(
        {"apiVersion": "berth.dev/v1alpha1", "kind": "DockerRepository", "metadata": metadata, "spec": external}
    )


def _fill(scene: Scene) -> None:
    """Push an image, a chart and an artifact, for the pulls to refuse, with the token that will be revoked."""
    for place, shelf in _FILLED:
        for client in _FILLERS:
            reference = scene.reference(place, f"{shelf}-{{kind}}", client)
            _publish(scene, client, scene.tokens["revoked"], reference)


def _publish(scene: Scene, client: Pusher, person: Person, reference: Reference) -> None:
    eventually(lambda: scene.stage.push(client, person, reference).must(), f"{reference} is pushed")


def _change(scene: Scene) -> None:
    """Change the state to what is refused."""
    cluster, projects = scene.stage.cluster, scene.projects
    cluster.kubectl("delete", "accesstoken", _token(scene, "revoked")).must()
    cluster.patch("registryuser", scene.disabled.name, {"spec": {"disabled": True}}).must()
    cluster.patch("project", projects["trashed"], {"spec": {"trashed": True}}).must()
    cluster.patch("project", projects["suspended"], {"spec": {"suspend": True}}).must()
    for client in _FILLERS:
        _trash(scene, f"trashed-{client.kind}")


def _trash(scene: Scene, repository: str) -> None:
    cluster, name, where = scene.stage.cluster, repository_object_name(repository), _namespace(scene.projects["open"])
    eventually(lambda: cluster.get("dockerrepository", name, where), f"DockerRepository {name} is there")
    cluster.patch("dockerrepository", name, {"spec": {"trashed": True}}, where).must()


def _remove(scene: Scene) -> None:
    """Delete the projects and, as a purge would, their namespaces, which go while other tests run."""
    cluster = scene.stage.cluster
    for name in scene.projects.values():
        cluster.kubectl("delete", "project", name, "--wait=false", "--ignore-not-found").must()
        if cluster.get("project", name):
            cluster.patch("project", name, {"metadata": {"finalizers": []}}).must()
        cluster.kubectl("delete", "namespace", _namespace(name), "--wait=false", "--ignore-not-found").must()


def _token(scene: Scene, kind: str) -> str:
    """The name of its AccessToken, which no other run used."""
    return f"{scene.projects['open']}-{kind}"


def _namespace(project: str) -> str:
    return f"berth-{project}"
