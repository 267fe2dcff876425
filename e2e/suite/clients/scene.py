"""Where every reason to refuse holds at once: people of each sort, and a project for each state."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from berth.api.names import repository_object_name
from e2e.suite.clients.client import Client, Pusher, Reference
from e2e.suite.clients.crane import Crane
from e2e.suite.clients.helm import Helm
from e2e.suite.clients.oras import Oras
from e2e.suite.clients.stage import TAG, Stage
from e2e.suite.world import Person, await_ready, certification, eventually, project_object

ENDED: Final = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
"""When the certification of `Scene.lapsed` ended."""

PLACES: Final[Mapping[str, Mapping[str, Any]]] = {
    "open": {},
    "trashed": {},
    "suspended": {},
    "declared": {"repositoryCreation": "Declared"},
    "narrow": {"limits": {"layerSize": "1M"}},
}
"""The projects by what is refused in them, and what makes them so from the beginning."""

_FILLERS: Final[tuple[Pusher, ...]] = (Crane(), Helm(), Oras())
_FILLED: Final = (("open", "shelf"), ("open", "trashed"), ("trashed", "shelf"), ("suspended", "shelf"))


@dataclass(frozen=True)
class Scene:
    """The people of the stage, somebody whose certification has ended, and somebody who is disabled.

    `projects` are the names of `PLACES`. In `open` there are repositories `shelf-KIND` with content, `trashed-KIND`
    in the trash, and `external`.
    """

    stage: Stage
    lapsed: Person
    disabled: Person
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
    stage.cluster.apply(certification(scene.lapsed.name, ENDED), *projects)
    for name in scene.projects.values():
        await_ready(stage.cluster, name)
    external = {"external": {"image": "example.org/tools/aligner"}}
    metadata = {"name": "external", "namespace": _namespace(scene.projects["open"])}
    stage.cluster.apply(
        {"apiVersion": "berth.dev/v1alpha1", "kind": "DockerRepository", "metadata": metadata, "spec": external}
    )


def _fill(scene: Scene) -> None:
    """What is refused is there: an image, a chart and an artifact."""
    for place, shelf in _FILLED:
        for client in _FILLERS:
            _publish(scene, client, scene.reference(place, f"{shelf}-{{kind}}", client))


def _publish(scene: Scene, client: Pusher, reference: Reference) -> None:
    stage = scene.stage
    eventually(lambda: stage.push(client, stage.curator, reference).must(), f"{reference} is pushed")


def _change(scene: Scene) -> None:
    """Brings about what is refused."""
    cluster, projects = scene.stage.cluster, scene.projects
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
    """Deletes the projects and, as a purge would, their namespaces, which go while other tests run."""
    cluster = scene.stage.cluster
    for name in scene.projects.values():
        cluster.kubectl("delete", "project", name, "--wait=false", "--ignore-not-found").must()
        if cluster.get("project", name):
            cluster.patch("project", name, {"metadata": {"finalizers": []}}).must()
        cluster.kubectl("delete", "namespace", _namespace(name), "--wait=false", "--ignore-not-found").must()


def _namespace(project: str) -> str:
    return f"berth-{project}"
