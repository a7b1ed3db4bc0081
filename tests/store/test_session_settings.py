"""The parameters that a worker's sessions need, and those of a server that acknowledges orders too early."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from mercato_server.config.environment import ConfigError
from mercato_server.config.settings import Limits
from mercato_server.database import session_settings
from mercato_server.database.migrations import migrate
from mercato_server.database.pool import Pool, small_pool
from mercato_server.embedded.postgres import Postgres

LIMITS = Limits()
ROLE = "pooled"
LONE, SEVERAL = "postgresql://mercato@a/mercato", "postgresql://mercato@a,b/mercato?target_session_attrs=primary"


@pytest.fixture
async def pooled_url(postgres: Postgres, database: str) -> AsyncIterator[str]:
    """The URL of a role with no parameters, as a pooler connects it."""
    owner = await asyncpg.connect(database)
    await owner.execute(f"DROP ROLE IF EXISTS {ROLE}")
    await owner.execute(f"CREATE ROLE {ROLE} LOGIN")
    yield database
    await owner.execute(f"DROP ROLE {ROLE}")
    await owner.close()


async def plain(url: str, role: str = "") -> "asyncpg.Connection[asyncpg.Record]":
    """Connect without the parameters of a worker, and take the defaults of a role."""
    connection = await asyncpg.connect(url)
    if role:
        for row in await connection.fetch("SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setrole = $1::regrole", role):
            name, _, value = row[0].partition("=")
            await connection.execute(f"SET {name} = '{value}'")
    return connection


async def test_the_sessions_of_a_worker_have_them(pool: "Pool") -> None:
    async with pool.acquire() as conn:
        await session_settings.require(conn, LONE, LIMITS)


async def test_sessions_without_them_are_refused_with_the_cure(pooled_url: str) -> None:
    connection = await plain(pooled_url)
    with pytest.raises(ConfigError) as refused:
        await session_settings.require(connection, LONE, LIMITS)
    for wrong in ("enable_seqscan is on instead of off", "statement_timeout is 0 instead of 10000", "lock_timeout is 0 instead of 4000"):
        assert wrong in str(refused.value)
    assert "mercato migrate --print-role-settings" in str(refused.value)
    await connection.close()


async def test_the_printed_statements_give_them_to_the_role(pooled_url: str) -> None:
    owner = await asyncpg.connect(pooled_url)
    for statement in session_settings.role_statements(ROLE, LIMITS):
        await owner.execute(statement)
    await owner.close()
    connection = await plain(pooled_url, ROLE)
    await session_settings.require(connection, LONE, LIMITS)
    await connection.close()


@pytest.mark.parametrize(
    ("fsync", "commit", "standbys", "danger"),
    [
        ("on", "off", "", "a crash of the server loses orders"),
        ("on", "off", "a", "a crash of the server loses orders"),
        ("on", "local", "a", "a failover can lose orders"),
        ("on", "remote_write", "a", "a failover can lose orders"),
        ("on", "local", "", ""),
        ("on", "on", "a", ""),
        ("on", "remote_apply", "a", ""),
        ("off", "off", "", ""),  # a server for tests, which may lose everything
    ],
)
async def test_a_server_that_could_lose_acknowledged_orders_is_refused(
    database: str, monkeypatch: pytest.MonkeyPatch, fsync: str, commit: str, standbys: str, danger: str
) -> None:
    durability = f"VALUES ('fsync', '{fsync}'), ('synchronous_commit', '{commit}'), ('synchronous_standby_names', '{standbys}')"
    wanted = ", ".join(f"('{name}', '{value}')" for name, value in session_settings.session_settings(LIMITS).items())
    monkeypatch.setattr(
        session_settings,
        "GET_SETTINGS",
        f"SELECT * FROM ({durability}, {wanted}) AS set (name, setting) WHERE name = ANY($1::text[])",  # noqa: S608 - our own text
    )
    connection = await asyncpg.connect(database)
    try:
        if not danger:
            await session_settings.require(connection, LONE, LIMITS)
            return
        with pytest.raises(ConfigError, match=danger):
            await session_settings.require(connection, LONE, LIMITS)
    finally:
        await connection.close()


async def test_several_servers_without_a_synchronous_standby_are_a_warning(pool: "Pool", capsys: pytest.CaptureFixture[str]) -> None:
    async with pool.acquire() as conn:
        await session_settings.require(conn, LONE, LIMITS)
        assert "no standby is synchronous" not in capsys.readouterr().out
        await session_settings.require(conn, SEVERAL, LIMITS)
        assert "no standby is synchronous" in capsys.readouterr().out


async def test_commands_have_no_limits_of_a_workers_role(pooled_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = await asyncpg.connect(pooled_url)
    name = await owner.fetchval("SELECT current_database()")
    for parameter, value in session_settings.session_settings(LIMITS).items():
        await owner.execute(f"ALTER DATABASE {name} SET {parameter} = '{value}'")
    await owner.close()
    async with small_pool(pooled_url) as pool:
        assert await pool.fetchval("SHOW statement_timeout") == "0"
    told: list[str] = []
    monkeypatch.setattr(
        "mercato_server.database.migrations.CREATE_MIGRATIONS", "DO $$ BEGIN ASSERT current_setting('statement_timeout') = '0'; END $$"
    )
    assert await migrate(pooled_url, report=told.append) == []
