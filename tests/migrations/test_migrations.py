"""The migration runner against real databases."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from dump_schema import SCHEMA, dump
from mercato_server.composition import StartupError
from mercato_server.config.environment import ConfigError
from mercato_server.config.settings import Settings
from mercato_server.database import migrations
from mercato_server.database.pool import Pool
from mercato_server.worker import running


def write(directory: Path, name: str, sql: str) -> Path:
    path = directory / name
    path.write_text(sql)
    return path


async def test_schema_file_is_what_the_migrations_add_up_to(database: str) -> None:
    assert await asyncio.to_thread(dump, database) == SCHEMA.read_text(), "run: make schema"


async def test_migrating_twice_changes_nothing(empty_database: str) -> None:
    assert await migrations.migrate(empty_database) == [path.name for path in migrations.migration_files()]
    assert await migrations.migrate(empty_database) == []


async def test_migrations_that_run_at_once_apply_each_file_once(empty_database: str) -> None:
    applied = await asyncio.gather(*(migrations.migrate(empty_database) for _ in range(4)))
    assert sorted(name for names in applied for name in names) == [path.name for path in migrations.migration_files()]


async def test_a_file_edited_after_it_was_applied_is_refused_and_nothing_is_applied(empty_database: str, tmp_path: Path) -> None:
    first = write(tmp_path, "0001_a.sql", "CREATE TABLE a (id int);")
    await migrations.migrate(empty_database, [first])
    first.write_text("CREATE TABLE a (id bigint);")
    second = write(tmp_path, "0002_b.sql", "CREATE TABLE b (id int);")
    with pytest.raises(migrations.SchemaError, match=r"0001_a\.sql was edited"):
        await migrations.migrate(empty_database, [first, second])
    connection = await asyncpg.connect(empty_database)
    assert await connection.fetchval("SELECT to_regclass('b')") is None
    await connection.close()


async def test_a_failing_migration_leaves_nothing_of_itself_and_all_before_it(empty_database: str, tmp_path: Path) -> None:
    good = write(tmp_path, "0001_a.sql", "CREATE TABLE a (id int);")
    bad = write(tmp_path, "0002_b.sql", "CREATE TABLE b (id int); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrations.migrate(empty_database, [good, bad])
    connection = await asyncpg.connect(empty_database)
    assert await connection.fetchval("SELECT to_regclass('a') IS NOT NULL AND to_regclass('b') IS NULL")
    assert await connection.fetchval("SELECT array_agg(name) FROM schema_migrations") == ["0001_a.sql"]
    await connection.close()


async def test_a_worker_refuses_a_database_that_lacks_migrations(empty_database: str) -> None:
    settings = Settings(database_url=empty_database, secret_key="x" * 32, listen=("127.0.0.1:0",))
    with pytest.raises(migrations.SchemaError, match="mercato migrate"):
        async with running(settings):
            pass


async def test_a_worker_refuses_a_shop_that_has_another_currency(settings: Settings, pool: "Pool") -> None:
    await pool.execute("DELETE FROM shop")
    async with running(settings):
        pass
    with pytest.raises(ConfigError, match="prices of this shop are in USD"):
        async with running(Settings(database_url=settings.database_url, secret_key="x" * 32, listen=("127.0.0.1:0",), currency="EUR")):
            pass


async def test_a_worker_says_that_its_database_cannot_be_reached() -> None:
    settings = Settings(database_url="postgresql://nobody@127.0.0.1:1/none", secret_key="x" * 32)
    with pytest.raises(StartupError, match="cannot connect"):
        async with running(settings):
            pass
