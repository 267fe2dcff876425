"""Options of every run of pytest in this repository."""

from __future__ import annotations

import os
from typing import Final

import pytest

from tests.kit import beside

# Seconds for one test with its fixtures: several times what the slowest takes on two busy cores.
TIME_LIMITS: Final = {"tests/unit": 180, "tests/component": 300, "e2e": 900}


def pytest_addoption(parser: pytest.Parser) -> None:
    beside.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    cluster = os.environ.get("BERTH_CLUSTER", "/var/lib/berth-cluster")
    beside.configure(config, {"BERTH_CLUSTER": f"{cluster}-beside"})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    limits = {config.rootpath / folder: seconds for folder, seconds in TIME_LIMITS.items()}
    for item in items:
        for folder, seconds in limits.items():
            if folder in item.path.parents and item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(seconds))
