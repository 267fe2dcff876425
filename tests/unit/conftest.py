"""The installation that the tests of the access service share; a new one for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.access.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """ann edits genomics and is certified, bob downloads, dora edits without certification, eve has nothing."""
    made = World(tmp_path)
    yield made
    made.passwords.close()
