"""Both databases, and a catalog on them with a clock and ids that the test controls."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from berth.catalog.db.database import Database, open_database
from tests.kit.catalog.cluster import Cluster, project_cluster
from tests.kit.catalog.contents import Catalog
from tests.kit.catalog.postgres import Postgres, running_postgres
from tests.kit.catalog.registries import Registry, registry_with_client
from tests.kit.control_plane import ControlPlane


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL server for the whole run."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def database_names() -> Iterator[int]:
    """Numbers for names of databases that no other test uses."""
    return itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, database_names: Iterator[int]) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/catalog.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create(f"test{next(database_names)}")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url) as opened:
        await opened.migrate()
        yield opened


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    """A migrated SQLite database, where the kind of database does not matter."""
    async with open_database(f"sqlite+aiosqlite:///{tmp_path}/catalog.db") as opened:
        await opened.migrate()
        yield opened


@pytest.fixture
def cluster(berth_crds: ControlPlane, unique: str) -> Cluster:
    return project_cluster(berth_crds, unique)


@pytest.fixture
def catalog(database: Database) -> Catalog:
    return Catalog(database)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    """A real registry with the configuration that Berth gives it, a client of it, and a way to push to it."""
    async with registry_with_client(tmp_path) as running:
        yield running
