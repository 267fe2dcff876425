"""Fixtures of component tests: one control plane for the session, a namespace of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from berth.api.generate.crd import crds
from tests.kit.control_plane import ControlPlane, running


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real etcd and kube-apiserver, without any of Berth's kinds."""
    with running(tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture(scope="session")
def berth_crds(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with all of Berth's kinds, made from the models."""
    made = crds()
    control_plane.apply(*made.values())
    names = [f"crd/{each['metadata']['name']}" for each in made.values()]
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names, check=True)
    return control_plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    """A namespace that no other test uses."""
    return control_plane.namespace()


@pytest.fixture
def unique() -> str:
    """A short name that no other test uses, for objects without a namespace; a valid project id."""
    return f"t{uuid.uuid4().hex[:10]}"
