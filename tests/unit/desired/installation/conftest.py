"""Key material of a new installation."""

from __future__ import annotations

import pytest

from berth.desired.installation.manifests import FoundMaterial, Material
from tests.kit.desired.material import completed


@pytest.fixture(scope="module")
def fresh() -> Material:
    return completed(FoundMaterial())
