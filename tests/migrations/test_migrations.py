"""The migration runner against real databases."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

import check
from dump_schema import SCHEMA, dump
from mercato_server.composition import StartupError
from mercato_server.config.environment import ConfigError
from mercato_server.config.settings import Settings
from mercato_server.database import migrations
from mercato_server.database.pool import Pool
from mercato_server.worker import running

RELEASED = Path(__file__).parent / "RELEASED"
A_SHOP = """
CREATE TABLE schema_migrations (name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
INSERT INTO schema_migrations (name, sha256) VALUES ('0001_shop.sql', '0'), ('0002_sessions.sql', '0');
"""
A_LATER_RELEASE = "INSERT INTO schema_migrations (name, sha256) VALUES ('9999_later.sql', '0')"


def write(directory: Path, name: str, sql: str, phase: str = "expand") -> Path:
    path = directory / name
    path.write_text(f"-- phase: {phase}\n{sql}\n")
    return path


async def run(database_url: str, statement: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(statement)
    await connection.close()


async def test_the_schema_file_is_the_schema_after_all_migrations(database: str) -> None:
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
    write(tmp_path, "0001_a.sql", "CREATE TABLE a (id bigint);")
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


@pytest.mark.parametrize(
    "content",
    [
        "CREATE TABLE b (id int);",
        "-- phase: explode\nCREATE TABLE b (id int);",
        "-- A table.\n-- phase: expand\nCREATE TABLE b (id int);",
        "-- phase: index\nCREATE INDEX a_by_id ON a (id);",
        "-- phase: index\nCREATE INDEX CONCURRENTLY a_by_id ON a (id);",
    ],
)
async def test_a_file_that_is_not_of_the_form_of_a_phase_is_refused_and_nothing_is_applied(
    empty_database: str, tmp_path: Path, content: str
) -> None:
    good = write(tmp_path, "0001_a.sql", "CREATE TABLE a (id int);")
    bad = tmp_path / "0002_b.sql"
    bad.write_text(content)
    with pytest.raises(migrations.SchemaError, match=r"migration 0002_b\.sql .*must be"):
        await migrations.migrate(empty_database, [good, bad])
    connection = await asyncpg.connect(empty_database)
    assert await connection.fetchval("SELECT to_regclass('a')") is None
    await connection.close()


async def test_a_database_from_before_the_baseline_is_refused_in_a_line(empty_database: str) -> None:
    await run(empty_database, A_SHOP)
    settings = Settings(database_url=empty_database, secret_key="x" * 32, listen=("127.0.0.1:0",))
    with pytest.raises(migrations.SchemaError, match=r"^the database is from before 0001_baseline\.sql \(it has 0001_shop\.sql\)[^\n]*$"):
        await migrations.migrate(empty_database)
    with pytest.raises(migrations.SchemaError, match=r"from before 0001_baseline\.sql"):
        async with running(settings):
            pass
    connection = await asyncpg.connect(empty_database)
    assert await connection.fetchval("SELECT to_regclass('accounts')") is None
    await connection.close()


async def test_a_worker_serves_on_the_schema_of_a_later_release(settings: Settings) -> None:
    await run(settings.database_url, A_LATER_RELEASE)
    async with running(settings):
        pass
    assert await migrations.migrate(settings.database_url) == []


def test_a_migration_that_blocks_calls_or_drops_too_early_does_not_pass_the_checks(tmp_path: Path) -> None:
    dropping = "ALTER TABLE orders DROP COLUMN gift_note;"
    assert "ban-drop-column" in str(check.migrations([write(tmp_path, "0001_a.sql", dropping)]))
    assert check.migrations([write(tmp_path, "0001_a.sql", dropping, "contract")]) is None
    for phase in ("expand", "contract"):
        blocking = write(tmp_path, "0002_b.sql", "CREATE INDEX orders_by_total ON orders (total_minor);", phase)
        assert "require-concurrent-index-creation" in str(check.migrations([blocking]))


def test_the_last_release_ended_with_one_of_the_migrations() -> None:
    assert RELEASED.read_text().strip() in [path.name for path in migrations.migration_files()]


async def test_a_worker_refuses_a_shop_that_has_another_currency(settings: Settings, pool: "Pool") -> None:
    await pool.execute("DELETE FROM shop")
    async with running(settings):
        pass
    with pytest.raises(ConfigError, match="prices of this shop are in USD"):
        async with running(Settings(database_url=settings.database_url, secret_key="x" * 32, listen=("127.0.0.1:0",), currency="EUR")):
            pass


async def test_a_worker_says_that_its_database_cannot_be_reached() -> None:
    settings = Settings(database_url="postgresql://mercato@127.0.0.1:1/none", secret_key="x" * 32)
    with pytest.raises(StartupError, match="cannot connect"):
        async with running(settings):
            pass
