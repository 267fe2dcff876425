"""Fixtures of the operator's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from berth.kube.client import KubeClient
from tests.kit.control_plane import ControlPlane, running
from tests.kit.operator.harness import Cluster, RunningOperator, install, running_operator


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One for each file: an operator that starts would write about what the tests of another file left behind."""
    with running(tmp_path_factory.mktemp("operator")) as plane:
        yield plane


@pytest.fixture(scope="module")
def operator_kubeconfig(control_plane: ControlPlane) -> Path:
    """Berth's kinds and the operator's rights, once for all tests."""
    return install(control_plane)


@pytest.fixture
async def cluster(control_plane: ControlPlane, operator_kubeconfig: Path) -> AsyncIterator[Cluster]:
    """The cluster, as its administrator sees it."""
    async with KubeClient.connect(control_plane.kubeconfig) as admin:
        yield Cluster(control_plane, admin, operator_kubeconfig)


@pytest.fixture
async def operator(cluster: Cluster) -> AsyncIterator[RunningOperator]:
    """A running operator."""
    async with running_operator(cluster) as running:
        yield running
