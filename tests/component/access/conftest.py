"""Fixtures of the access service's component tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit.access.running import install
from tests.kit.access.served import Served, served
from tests.kit.control_plane import ControlPlane


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> Path:
    """A kubeconfig with the rights of access."""
    return install(control_plane)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Served]:
    """The service, served, with the registry of project genomics behind it."""
    async with served(tmp_path) as running:
        yield running
