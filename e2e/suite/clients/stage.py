"""The project of the clients' tests: five people, and engines that start when a client first needs them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from e2e.suite import content
from e2e.suite.clients import SEEDER
from e2e.suite.clients.client import Ability, Client, Login, Outcome, Pusher, Reference, Seat
from e2e.suite.content import RANDOM_BYTES, Content, Kind
from e2e.suite.world import COMMAND_SECONDS, HOST, ROOT, Cluster, Person, eventually, make_project

PROJECT = "clients"
TAG = "1.0.0"


def each(clients: Iterable[Client]) -> pytest.MarkDecorator:
    """Run a test once for each of these clients."""
    return pytest.mark.parametrize("client", [pytest.param(client, id=client.name) for client in clients])


@dataclass
class Engines:
    """What runs on the node for some clients only."""

    started: list[str] = field(default_factory=list)

    def need(self, name: str) -> None:
        """Start an engine unless it is none or runs already."""
        if name and name not in self.started:
            self.started.append(name)
            self._command(name, "start")

    def stop(self) -> None:
        while self.started:
            self._command(self.started.pop(), "stop")

    @staticmethod
    def _command(name: str, action: str) -> None:
        program, *options = name.split()
        words = [str(ROOT / "e2e" / "cluster" / program), action, *options]
        done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        assert done.returncode == 0, f"{' '.join(words)} exited {done.returncode}:\n{done.stdout}{done.stderr}"


@contextmanager
def engines() -> Iterator[Engines]:
    """Engines that are always stopped at the end."""
    running = Engines()
    try:
        yield running
    finally:
        running.stop()


@dataclass(frozen=True)
class Stage:
    """The project `clients`: a certified curator, an editor without certification, a downloader, a viewer, and an
    outsider without any sharing. Their names begin with the project's: the whole cluster knows people.
    `folders` makes an empty folder."""

    cluster: Cluster
    engines: Engines
    folders: Callable[[], Path]
    curator: Person
    editor: Person
    downloader: Person
    viewer: Person
    outsider: Person

    def seat(self, person: Person) -> Seat:
        return Seat(self.cluster, person, self.folders())

    def project(self, name: str, **spec: Any) -> str:
        """Make a project that is shared with these people as the stage is."""
        levels = {self.curator: "Administer", self.editor: "Edit", self.downloader: "Download", self.viewer: "View"}
        sharing = [{"kind": "User", "name": someone.name, "level": level} for someone, level in levels.items()]
        return make_project(self.cluster, name, sharing, **spec)

    def content(self, kind: Kind, reference: Reference, size: int = RANDOM_BYTES) -> Content:
        """New content for a reference; a chart is named by it."""
        name = reference.path.rpartition("/")[2]
        return content.make(kind, self.folders(), name, reference.tag or TAG, size)

    def reference(self, path: str, tag: str = TAG) -> Reference:
        """A repository of the project that no other test uses, at a tag."""
        return Reference(f"{PROJECT}/{path}", tag)

    def publish(
        self,
        client: Client,
        reference: Reference,
        kind: Kind | None = None,
        size: int = RANDOM_BYTES,
        by: Person | None = None,
    ) -> Outcome:
        """The curator, or `by`, pushes new content with the client, or for it if it cannot push this kind
        itself."""
        wanted = kind or client.kind
        pushes = isinstance(client, Pusher) and (wanted is not Kind.INDEX or Ability.PUSH_INDEX in client.abilities)
        pusher = client if pushes and isinstance(client, Pusher) else SEEDER
        return self.push(pusher, by or self.curator, reference, wanted, size).must()

    def push(
        self,
        client: Pusher,
        person: Person,
        reference: Reference,
        kind: Kind | None = None,
        size: int = RANDOM_BYTES,
    ) -> Outcome:
        self.engines.need(client.engine)
        return client.push(self.seat(person), self.content(kind or client.kind, reference, size), reference)

    def pull(self, client: Client, person: Person, reference: Reference) -> Outcome:
        self.engines.need(client.engine)
        return client.pull(self.seat(person), reference)

    def log_in(self, client: Login, person: Person) -> Outcome:
        self.engines.need(client.engine)
        return Outcome(client.login(self.seat(person), person.name, person.password))

    def recorded(self, reference: Reference) -> dict[str, Any]:
        """The tag in the status of the reference's DockerRepository, or an empty mapping."""
        tags = self._status(*reference.path.split("/", 1)).get("tags", [])
        name = reference.full.rpartition(":")[2]
        return next((dict(tag) for tag in tags if tag["name"] == name), {})

    def _status(self, project: str, repository: str) -> dict[str, Any]:
        listed = self.cluster.kubectl("get", "dockerrepositories", f"--namespace=berth-{project}", "--output=json")
        for found in json_items(listed.must().out):
            if found["spec"].get("repository", found["metadata"]["name"]) == repository:
                return dict(found.get("status", {}))
        return {}


def json_items(text: str) -> list[dict[str, Any]]:
    """The items of a list as kubectl prints it."""
    return list(json.loads(text)["items"])


def open_stage(cluster: Cluster, running: Engines, folders: Callable[[], Path], person: Callable[..., Person]) -> Stage:
    """Make the people and the project, and wait until the registry knows them all."""
    stage = Stage(
        cluster,
        running,
        folders,
        curator=person(f"{PROJECT}-curator", certified=True),
        editor=person(f"{PROJECT}-editor"),
        downloader=person(f"{PROJECT}-downloader"),
        viewer=person(f"{PROJECT}-viewer"),
        outsider=person(f"{PROJECT}-outsider"),
    )
    stage.project(PROJECT)
    for known in (stage.curator, stage.editor, stage.downloader, stage.viewer, stage.outsider):
        eventually(partial(logs_in, cluster, known), f"{known.name} can log in")
    first = stage.reference("first-push")
    eventually(lambda: stage.push(SEEDER, stage.curator, first).must(), "the curator can push")
    return stage


def logs_in(cluster: Cluster, person: Person) -> bool:
    """Whether the registry takes the login of the person's folder."""
    url = f"https://{HOST}/token?service={HOST}"
    return cluster.run("curl", "--fail", "--silent", "--user", f"{person.name}:{person.password}", url).ok
