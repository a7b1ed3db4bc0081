"""Fixtures of all tests: a real PostgreSQL per test process, a fresh copy of the migrated database per test."""

import support.inherited_environment  # isort: skip - before any module reads the environment
import support.grpc_forks  # noqa: F401 # isort: skip - before any module imports gRPC

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest
import structlog

from mercato_server.config.settings import Settings
from mercato_server.database import migrations
from mercato_server.database.pool import SET_CURRENCY, Pool, create_pool, small_pool
from mercato_server.embedded import accounts
from mercato_server.embedded.postgres import Postgres
from ports import free_port
from support.clusters import cluster_directory
from support.databases import EMPTY, MIGRATED, copied, create, execute
from support.shop import Shop, settings_of, worker

if TYPE_CHECKING:
    from support.s3_server import S3Server

pytest_plugins = (
    "support.fault_report",
    "support.fuzz_report",
    "support.patience",
    "support.run_report",
    "support.schedule",
    "support.watchdog",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--race-rounds", type=int, default=5, help="rounds of each race test")


def pytest_configure() -> None:
    """Make the account of root's servers, so that no test sees the line that reports it, and print stack traces without colours.

    Those of structlog's default take a second of processor time for each error that a worker in this process does not expect.
    """
    if os.geteuid() == 0:
        accounts.find_or_make(accounts.USER)
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.fixture
def race_rounds(request: pytest.FixtureRequest) -> int:
    rounds = request.config.getoption("--race-rounds")
    assert isinstance(rounds, int)
    return rounds


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server with the template of each test's database."""
    with cluster_directory() as directory:
        server = Postgres(directory, durable=False)
        asyncio.run(_start(server))
        yield server
        asyncio.run(server.stop())


async def _start(server: Postgres) -> None:
    """Start it without autovacuum, whose transactions would delay the change feeds of all databases at random."""
    await server.start()
    await execute(server, "ALTER SYSTEM SET autovacuum = off")
    await execute(server, "SELECT pg_reload_conf()")
    url = await create(server, MIGRATED, EMPTY)
    await migrations.migrate(url)
    async with small_pool(url) as pool:
        await pool.execute(SET_CURRENCY, "USD")  # as the first worker of a shop does


@pytest.fixture(scope="session")
def s3() -> Iterator["S3Server"]:
    """A server of S3."""
    from support.s3_server import s3_server  # it imports plugins, which pytest has to load first

    with s3_server() as server:
        yield server


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def own_postgres() -> AsyncIterator[Postgres]:
    """A PostgreSQL server that the test may stop and kill."""
    with cluster_directory() as directory:
        server = Postgres(directory, durable=False)
        await server.start()
        yield server
        await server.stop()


@pytest.fixture
async def empty_database(postgres: Postgres) -> AsyncIterator[str]:
    """The URL of a database without any schema."""
    async with copied(postgres, EMPTY) as url:
        yield url


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[str]:
    """The URL of the test's own migrated database."""
    async with copied(postgres) as url:
        yield url


@pytest.fixture
def settings(database: str) -> Settings:
    """Settings of a worker on the test's database."""
    return settings_of(database)


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator["Pool"]:
    pool = await create_pool(settings)
    yield pool
    pool.terminate()


@pytest.fixture
async def shop(settings: Settings, pool: "Pool") -> AsyncIterator[Shop]:
    """A running worker, reached through a real channel."""
    async with worker(settings, pool) as shop:
        yield shop


@pytest.fixture
async def elsewhere(settings: Settings, pool: "Pool") -> AsyncIterator[Shop]:
    """Another worker of the same shop."""
    async with worker(settings, pool) as shop:
        yield shop
