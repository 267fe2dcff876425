"""Fixtures of unit tests: no network, and the installation that the tests of the access service share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from pytest_socket import disable_socket, enable_socket

from tests.kit.access.world import World

# The same examples in every run, on any machine, however slow. Explanations of a failure take longer than they help.
hypothesis.settings.register_profile(
    "unit",
    derandomize=True,
    database=None,
    deadline=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate, hypothesis.Phase.shrink],
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("unit")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """ann edits genomics and is certified, bob downloads, dora edits without certification, eve has nothing."""
    made = World(tmp_path)
    yield made
    made.passwords.close()


@pytest.fixture(autouse=True)
def _no_sockets() -> Iterator[None]:
    """No network, and no loopback either; event loops have their pair of Unix sockets."""
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
