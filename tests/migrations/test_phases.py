"""Migrations of every phase whose process is killed, runs beside others, or finds the remains of an earlier try."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from mercato_server.database import migrations
from mercato_server.database.pool import Conn
from support import mortal
from support.patience import until

FILES = {
    "0001_things.sql": "-- phase: expand\nCREATE TABLE things (id int PRIMARY KEY, old int);\n"
    "INSERT INTO things SELECT generate_series(1, 5), 7;\nALTER TABLE things ADD COLUMN new int, ADD COLUMN filled int NOT NULL DEFAULT 0;",
    "0002_fill.sql": "-- phase: backfill\n"
    "WITH batch AS (SELECT id FROM things WHERE id > coalesce($1, 0) AND new IS NULL ORDER BY id LIMIT least($2, 2) FOR NO KEY UPDATE),\n"
    "     changed AS (UPDATE things SET new = old, filled = filled + 1 FROM batch WHERE things.id = batch.id)\n"
    "SELECT max(id) FROM batch;",
    "0003_things_by_new.sql": "-- phase: index\nCREATE INDEX CONCURRENTLY IF NOT EXISTS things_by_new ON things (new, id);",
    "0004_things.sql": "-- phase: contract\nALTER TABLE things DROP COLUMN old;",
}
STATEMENTS = 45
"""More statements than the runner sends for all files."""
GET_INDEXES = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'things'::regclass ORDER BY 1"
IS_BUILDING = "SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for%'"
MIGRATE = (
    "import asyncio, sys; from pathlib import Path; from mercato_server.database import migrations;"
    "asyncio.run(migrations.migrate(sys.argv[1], sorted(Path(sys.argv[2]).glob('*.sql'))))"
)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    return sorted(tmp_path.glob("*.sql"))


@pytest.fixture
async def conn(empty_database: str) -> AsyncIterator["Conn"]:
    connection = await asyncpg.connect(empty_database)
    yield connection
    await connection.close()


async def require_all_applied_once(conn: "Conn") -> None:
    things = await conn.fetch("SELECT id, new, filled FROM things ORDER BY id")
    assert [tuple(row) for row in things] == [(number, 7, 1) for number in range(1, 6)]
    assert [tuple(row) for row in await conn.fetch(GET_INDEXES)] == [("things_by_new", True), ("things_pkey", True)]
    assert [row["name"] for row in await conn.fetch("SELECT name FROM schema_migrations ORDER BY applied_at")] == list(FILES)


@asynccontextmanager
async def process(database_url: str, directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Migrate in a process, which is killed at the end of the block."""
    migrating = await asyncio.create_subprocess_exec(sys.executable, "-P", "-c", MIGRATE, database_url, directory)
    try:
        yield migrating
    finally:
        migrating.kill()
        await migrating.wait()


async def test_a_process_killed_after_any_statement_leaves_the_next_one_what_it_needs(
    empty_database: str, conn: "Conn", files: list[Path]
) -> None:
    schemas = [f"killed_{number}" for number in range(1, STATEMENTS + 1)]
    await conn.execute("".join(f"CREATE SCHEMA {schema};" for schema in schemas))
    urls = [f"{empty_database}&search_path={schema}" for schema in schemas]
    killing = await asyncio.create_subprocess_exec(
        sys.executable, "-P", mortal.__file__, files[0].parent, *urls, stdout=asyncio.subprocess.PIPE
    )
    ends = [int(line) for line in (await killing.communicate())[0].split()]
    killed = ends.count(-9)
    assert killed > len(FILES)
    assert ends == [-9] * killed + [0] * (STATEMENTS - killed)
    for schema, url in zip(schemas, urls, strict=True):
        await migrations.migrate(url, files)
        await conn.execute(f"SET search_path = {schema}")
        await require_all_applied_once(conn)


async def test_the_next_process_waits_for_an_index_that_a_killed_one_had_begun(
    empty_database: str, conn: "Conn", files: list[Path]
) -> None:
    await migrations.migrate(empty_database, files[:2])
    blocker = await asyncpg.connect(empty_database)
    reports: list[str] = []
    async with blocker.transaction():
        await blocker.execute("UPDATE things SET filled = filled WHERE id = 1")
        async with process(empty_database, files[0].parent):
            await until(lambda: conn.fetchval(IS_BUILDING))
        assert await conn.fetchval(IS_BUILDING)
        migrating = asyncio.create_task(migrations.migrate(empty_database, files, reports.append))
        await until(lambda: reports)
    assert await migrating == [path.name for path in files[2:]]
    assert reports[0] == "another process migrates this database, or checks it; waiting for it"
    await blocker.close()
    await require_all_applied_once(conn)


async def test_processes_that_migrate_at_once_do_not_block_the_index_that_one_of_them_builds(
    empty_database: str, conn: "Conn", files: list[Path]
) -> None:
    await migrations.migrate(empty_database, files[:2])
    blocker = await asyncpg.connect(empty_database)
    reports: list[str] = []
    async with blocker.transaction():
        await blocker.execute("UPDATE things SET filled = filled WHERE id = 1")
        first = asyncio.create_task(migrations.migrate(empty_database, files))
        await until(lambda: conn.fetchval(IS_BUILDING))
        second = asyncio.create_task(migrations.migrate(empty_database, files, reports.append))
        await until(lambda: reports)
    assert await first == [path.name for path in files[2:]]
    assert await second == []
    await blocker.close()
    await require_all_applied_once(conn)


async def test_an_index_that_an_earlier_try_left_invalid_is_built_again(empty_database: str, conn: "Conn", files: list[Path]) -> None:
    await migrations.migrate(empty_database, files[:2])
    blocker = await asyncpg.connect(empty_database)
    async with blocker.transaction():
        await blocker.execute("UPDATE things SET filled = filled WHERE id = 1")
        failing = asyncio.create_task(migrations.migrate(empty_database, files))
        await until(lambda: conn.fetchval(IS_BUILDING))
        await conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index")
        with suppress(asyncpg.PostgresError, ConnectionError):
            await failing
    await blocker.close()
    assert ("things_by_new", False) in [tuple(row) for row in await conn.fetch(GET_INDEXES)]
    assert await migrations.migrate(empty_database, files) == [path.name for path in files[2:]]
    await require_all_applied_once(conn)


async def test_a_backfill_that_was_killed_goes_on_with_the_rows_that_are_left(empty_database: str, conn: "Conn", files: list[Path]) -> None:
    await migrations.migrate(empty_database, files[:1])
    blocker = await asyncpg.connect(empty_database)
    async with blocker.transaction():
        await blocker.execute("UPDATE things SET filled = filled WHERE id = 4")
        async with process(empty_database, files[0].parent):
            await until(lambda: conn.fetchval("SELECT count(*) > 0 FROM things WHERE filled > 0"))
        assert await conn.fetchval("SELECT array_agg(id ORDER BY id) FROM things WHERE filled = 1") == [1, 2]
    await blocker.close()
    assert await migrations.migrate(empty_database, files) == [path.name for path in files[1:]]
    await require_all_applied_once(conn)


async def test_a_backfill_of_two_statements_is_refused_and_changes_nothing(empty_database: str, conn: "Conn", files: list[Path]) -> None:
    files[1].write_text("-- phase: backfill\nUPDATE things SET new = 1; SELECT NULL;")
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await migrations.migrate(empty_database, files)
    assert await conn.fetchval("SELECT count(*) FROM things WHERE new IS NULL") == 5
    assert await conn.fetchval("SELECT max(name) FROM schema_migrations") == files[0].name
