"""Migrations, durability and locks, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from berth.catalog.db.database import Database, migration_config, open_database
from berth.catalog.db.schema import Base

LONGEST_ACCOUNT = f"{'n' * 63}/{'a' * 253}"


async def test_the_migrations_make_the_schema_of_the_models(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        return list(
            compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata)
        )

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_what_was_recorded_before_names_could_be_longer_is_kept_and_longer_ones_fit_then(
    database_url: str,
) -> None:
    columns = "id, kind, project, repository, reference, media_type, by, client, created_at, state, doubtful"
    values = ":id, 'push', 'p', 'r', 'v1', '', :by, '', '2026-11-24 12:00:00', 'open', false"
    added = f"INSERT INTO writes ({columns}) VALUES ({values})"
    async with open_database(database_url) as opened:
        async with opened.engine.begin() as connection:
            await connection.run_sync(lambda sync: command.upgrade(migration_config(sync), "0001"))
            await connection.execute(text(added), {"id": "before", "by": "curator"})
        await opened.migrate()
        async with opened.engine.begin() as connection:
            await connection.execute(text(added), {"id": "after", "by": LONGEST_ACCOUNT})
            kept = (await connection.execute(text("SELECT id, by FROM writes"))).all()
    assert {tuple(row) for row in kept} == {("before", "curator"), ("after", LONGEST_ACCOUNT)}


async def test_migrating_again_changes_nothing(database: Database) -> None:
    await database.migrate()
    async with database.engine.connect() as connection:
        tables = set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))
    assert tables == {*Base.metadata.tables, "alembic_version"}


async def test_replicas_that_start_together_migrate_once(database_url: str) -> None:
    async def start() -> bool:
        async with open_database(database_url) as opened:
            await opened.migrate()
            return await opened.is_reachable()

    async with asyncio.timeout(60):
        assert await asyncio.gather(*(start() for _ in range(4))) == [True] * 4


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    async def fails() -> None:
        async with database.writing() as session:
            await session.execute(
                text("INSERT INTO projects (id, sync_reason, sync_message) VALUES ('genomics', '', '')")
            )
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    async with database.reading() as session:
        assert await session.scalar(text("SELECT count(*) FROM projects")) == 0


async def test_a_lock_has_one_holder_among_replicas(postgres: Any) -> None:
    url = postgres.create("locks")
    async with open_database(url) as one, open_database(url) as other:
        async with one.exclusive("walk") as first, other.exclusive("walk") as second, other.exclusive("else") as third:
            assert (first, second, third) == (True, False, True)
        async with other.exclusive("walk") as after:
            assert after


async def test_a_lock_has_one_holder_within_a_process(database: Database) -> None:
    async with database.exclusive("walk") as first, database.exclusive("walk") as second:
        assert (first, second) == (True, False)
    async with database.exclusive("walk") as after:
        assert after


async def test_sqlite_keeps_what_it_acknowledged(sqlite: Database) -> None:
    async with sqlite.engine.connect() as connection:
        pragmas = {
            name: await connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


async def test_a_url_of_another_kind_is_refused_without_its_password() -> None:
    with pytest.raises(ValueError, match="use sqlite\\+aiosqlite or postgresql\\+psycopg") as refusal:
        async with open_database("mysql+pymysql://berth:hunter2@db/berth"):
            pass
    assert "hunter2" not in str(refusal.value)


async def test_a_database_that_is_away_is_not_reachable(tmp_path: Any) -> None:
    async with open_database(f"postgresql+psycopg://berth@/berth?host={tmp_path}") as away:
        assert not await away.is_reachable()
