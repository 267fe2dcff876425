"""A gateway with a stub for access and a stub for a registry behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.gateway.running import gateway_settings, run_gateway, write_certificate
from tests.kit.gateway.stage import Stage, to_registry
from tests.kit.gateway.stub import serve


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with serve() as access, serve() as registry:
        access.respond = to_registry(registry.port)
        write_certificate(tmp_path / "tls")
        with run_gateway(gateway_settings(tmp_path, access.port)) as gateway:
            yield Stage(gateway, access, registry)
