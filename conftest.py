"""Options of every run of pytest in this repository."""

from __future__ import annotations

import os

import pytest

from tests.kit import beside


def pytest_addoption(parser: pytest.Parser) -> None:
    beside.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    cluster = os.environ.get("BERTH_CLUSTER", "/var/lib/berth-cluster")
    beside.configure(config, {"BERTH_CLUSTER": f"{cluster}-beside"})
