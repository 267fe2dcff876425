"""The catalog's database: connections, transactions, migrations, and locks between replicas.

SQLite for one replica on a volume, PostgreSQL for many. An acknowledged transaction survives the death of the process
and of the machine: SQLite runs with `synchronous=FULL` on a write-ahead log.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

BUSY_TIMEOUT_SECONDS: Final = 5.0
"""How long a transaction waits for another one, or for a connection."""
_READ_ONLY: Final = "berth_read_only"
_MIGRATIONS: Final = "berth.catalog:migrations"


class Database:
    """One pool of connections, created by `open_database`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._read = async_sessionmaker(engine.execution_options(**{_READ_ONLY: True}), expire_on_commit=False)
        self._write = async_sessionmaker(engine, expire_on_commit=False)
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def is_postgresql(self) -> bool:
        """Whether several replicas may share this database."""
        return self.engine.dialect.name == "postgresql"

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A read-only transaction: one consistent snapshot, and changes are discarded."""
        async with self._read() as session:
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A transaction: committed when the block succeeds, else rolled back."""
        async with self._write() as session, session.begin():
            yield session

    async def migrate(self) -> None:
        """Migrate the schema to this version in one transaction. Replicas that start together take turns."""
        async with self.engine.begin() as connection:
            if self.is_postgresql:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _lock_key("migrate")})
            await connection.run_sync(_upgrade)

    async def is_reachable(self) -> bool:
        """Whether the database responds."""
        try:
            async with self.reading() as session:
                await session.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError):
            return False
        return True

    @asynccontextmanager
    async def exclusive(self, name: str) -> AsyncIterator[bool]:
        """Try to take the lock `name` among all replicas; yields at once whether it was acquired.

        On PostgreSQL the lock belongs to a connection, so it ends with its process.
        """
        lock = self._locks.setdefault(name, asyncio.Lock())
        if lock.locked():
            yield False
            return
        async with lock:
            if not self.is_postgresql:
                yield True
                return
            async with self.engine.connect() as connection:
                autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
                key = {"key": _lock_key(name)}
                held = bool(await autocommit.scalar(text("SELECT pg_try_advisory_lock(:key)"), key))
                try:
                    yield held
                finally:
                    if held:
                        await autocommit.execute(text("SELECT pg_advisory_unlock(:key)"), key)


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """Open the database at a SQLAlchemy URL: `sqlite+aiosqlite:///…` or `postgresql+psycopg://…`.

    Raises ValueError for any other driver; the message does not contain the URL's password.
    """
    parsed = make_url(url)
    if parsed.drivername == "sqlite+aiosqlite":
        engine = create_async_engine(parsed, pool_timeout=BUSY_TIMEOUT_SECONDS)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    elif parsed.drivername == "postgresql+psycopg":
        engine = create_async_engine(parsed, pool_pre_ping=True, pool_timeout=BUSY_TIMEOUT_SECONDS)
    else:
        raise ValueError(
            f"The database URL starts with {parsed.drivername!r}; use sqlite+aiosqlite or postgresql+psycopg."
        )
    try:
        yield Database(engine)
    finally:
        await engine.dispose()


def migration_config(connection: Connection) -> Config:
    """Alembic configuration for this package's migrations on an open connection."""
    config = Config()
    config.set_main_option("script_location", _MIGRATIONS)
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    command.upgrade(migration_config(connection), "head")


def _lock_key(name: str) -> int:
    """The 64-bit number of a PostgreSQL advisory lock."""
    return int.from_bytes(hashlib.sha256(f"berth-catalog/{name}".encode()).digest()[:8], "big", signed=True)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # `_begin_sqlite` starts transactions, not the driver
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={int(BUSY_TIMEOUT_SECONDS * 1000)}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # SQLite cannot upgrade a reading transaction to a writing one while another writes, so writers lock at the start.
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
