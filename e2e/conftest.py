"""The cluster of the session: booted and installed if none is up, and then taken down at the end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.suite.clients.stage import Engines, Stage, engines, open_stage
from e2e.suite.crowd import Crowd, Projects, gather
from e2e.suite.http import Session, Wire, open_wire
from e2e.suite.world import ROOT, Cluster, Person, make_person


def _script(*command: str, seconds: float) -> None:
    done = subprocess.run(
        [str(ROOT / "e2e" / command[0]), *command[1:]], capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"e2e/{' '.join(command)} exited {done.returncode}:\n{done.stdout}{done.stderr}"


def _is_up() -> bool:
    return subprocess.run([str(ROOT / "e2e" / "in-cluster"), "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster with this tree's images and chart installed."""
    was_up = _is_up()
    _script("cluster/up", seconds=180)
    try:
        _script("install", seconds=300)
        yield Cluster(Path(os.environ.get("BERTH_CLUSTER", "/var/lib/berth-cluster")))
    finally:
        if not was_up:
            _script("cluster/down", seconds=120)


@pytest.fixture(scope="session")
def person(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Person]:
    """Make a person: person("alice", certified=True)."""
    homes = tmp_path_factory.mktemp("homes")

    def make(name: str, *, certified: bool = False) -> Person:
        return make_person(cluster, homes / name, name, certified=certified)

    return make


@pytest.fixture(scope="session")
def running(cluster: Cluster) -> Iterator[Engines]:
    """Engines that start when a client needs them, and are stopped."""
    with engines() as started:
        yield started


@pytest.fixture(scope="session")
def stage(
    cluster: Cluster, running: Engines, person: Callable[..., Person], tmp_path_factory: pytest.TempPathFactory
) -> Stage:
    """The project of the clients' tests with its people."""
    return open_stage(cluster, running, lambda: tmp_path_factory.mktemp("seat"), person)


@pytest.fixture(scope="session")
def wire(cluster: Cluster) -> Iterator[Wire]:
    """Requests byte for byte, from inside the cluster's namespaces."""
    with open_wire() as opened:
        yield opened


@pytest.fixture(scope="session")
def crowd(cluster: Cluster, wire: Wire, person: Callable[..., Person]) -> Crowd:
    """The people of the tests that speak the registry protocol themselves."""
    return gather(cluster, wire, person)


@pytest.fixture(scope="session")
def curator(wire: Wire, crowd: Crowd) -> Session:
    """A certified user with Administer in the projects of these tests."""
    return Session(wire, crowd.curator)


@pytest.fixture(scope="module")
def projects(cluster: Cluster, crowd: Crowd, wire: Wire) -> Iterator[Projects]:
    """Make projects, and remove them at the end of the file."""
    making = Projects(cluster, crowd, wire)
    try:
        yield making
    finally:
        making.remove()
