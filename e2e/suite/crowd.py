"""The people and projects of the tests that speak the registry protocol themselves."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from e2e.suite.http import Session, Wire
from e2e.suite.world import Cluster, Person, eventually, make_project


@dataclass(frozen=True)
class Crowd:
    """A certified curator, an editor without certification, a viewer, and an outsider without any sharing."""

    curator: Person
    editor: Person
    viewer: Person
    outsider: Person

    @property
    def sharing(self) -> Sequence[Mapping[str, str]]:
        levels = {self.curator: "Administer", self.editor: "Edit", self.viewer: "View"}
        return [{"kind": "User", "name": someone.name, "level": level} for someone, level in levels.items()]

    @property
    def kubernetes_user(self) -> str:
        """The name under which the cluster knows the curator."""
        return f"{self.curator.name}@example.org"


def gather(cluster: Cluster, wire: Wire, person: Callable[..., Person]) -> Crowd:
    """Make the people and wait until each can log in."""
    crowd = Crowd(
        curator=person("wire-curator", certified=True),
        editor=person("wire-editor"),
        viewer=person("wire-viewer"),
        outsider=person("wire-outsider"),
    )
    identity = {"spec": {"kubernetes": {"users": [crowd.kubernetes_user]}}}
    cluster.patch("registryuser", crowd.curator.name, identity).must()
    for known in (crowd.curator, crowd.editor, crowd.viewer, crowd.outsider):
        eventually(partial(_logs_in, Session(wire, known)), f"{known.name} can log in")
    return crowd


def _logs_in(session: Session) -> bool:
    return session.token_answer().status == 200


@dataclass
class Projects:
    """Makes projects with names of their own, and removes them with their data afterwards."""

    cluster: Cluster
    crowd: Crowd
    wire: Wire
    made: list[str] = field(default_factory=list)

    def name(self, purpose: str) -> str:
        """A project id that no other run used; what gets this name is removed afterwards."""
        self.made.append(f"{purpose}-{secrets.token_hex(3)}")
        return self.made[-1]

    def make(self, purpose: str, **spec: Any) -> str:
        """A Ready project that is shared with the crowd and that the curator can push to."""
        sharing = spec.pop("sharing", self.crowd.sharing)
        name = make_project(self.cluster, self.name(purpose), sharing, **spec)
        curator = Session(self.wire, self.crowd.curator)
        eventually(lambda: curator.start_upload(f"{name}/any").status == 202, f"{name} takes an upload")
        return name

    def remove(self) -> None:
        """Delete the projects and, as a purge would, their namespaces, which go while the next tests run."""
        for name in self.made:
            self.cluster.kubectl("delete", "project", name, "--wait=false", "--ignore-not-found").must()
            if self.cluster.get("project", name):
                self.cluster.patch("project", name, {"metadata": {"finalizers": []}}).must()
            self.cluster.kubectl("delete", "namespace", f"berth-{name}", "--wait=false", "--ignore-not-found").must()
