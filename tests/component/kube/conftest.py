"""Fixtures of the client's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from berth.kube.client import KubeClient
from tests.kit.control_plane import ControlPlane


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    """A client of the cluster's administrator."""
    async with KubeClient.connect(control_plane.kubeconfig) as connected:
        yield connected
