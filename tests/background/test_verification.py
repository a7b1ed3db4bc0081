"""The periodic check of the invariants: by one worker of all, of what changed, and beside migrations."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import structlog

from mercato_server.background import verification
from mercato_server.background.verification import Verification
from mercato_server.database import migrations
from mercato_server.database.pool import Pool
from mercato_server.store.invariants import INVARIANTS, PRICES
from support.patience import until
from support.shop import Shop

INTERVAL_S = 0.02
NAMES = {invariant.name for invariant in (PRICES, *INVARIANTS)}
CORRUPT = "UPDATE stock_levels SET on_hand = on_hand + $1"
IS_ABSENT = "SELECT NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'extra')"
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mercato verify' AND datname = current_database()"


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[MutableMapping[str, Any]]]:
    """Capture the log, and let passes follow each other at once."""
    monkeypatch.setattr(verification, "REST", 0.0)
    with structlog.testing.capture_logs() as entries:
        yield entries


@asynccontextmanager
async def checking(database: str) -> AsyncIterator[Verification]:
    """Run the task of a worker for a block."""
    worker = Verification(database, INTERVAL_S)
    task = asyncio.create_task(worker.keep())
    try:
        yield worker
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def next_pass(worker: Verification) -> None:
    """Wait for a pass that begins after this call: the second one to end."""
    for _ in range(2):
        earlier = worker.completed_at
        await until(lambda earlier=earlier: worker.completed_at > earlier)  # type: ignore[misc] # the loop's value


async def test_one_worker_checks_and_another_takes_over_when_it_ends(database: str, pool: "Pool") -> None:
    began = time.time()
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(checking(database))
        await until(lambda: first.completed_at)
        assert began <= first.completed_at <= time.time()
        assert first.took_s > 0
        assert first.violations == dict.fromkeys(NAMES, 0)
        async with checking(database) as second:
            for _ in range(3):
                await next_pass(first)
            assert (second.violations, second.completed_at) == ({}, 0)
            await stack.aclose()
            await until(lambda: second.completed_at)
            assert (first.violations, first.completed_at) == ({}, 0)
    await until(lambda: pool.fetchval(f"SELECT ({SESSIONS}) = 0"))


async def test_what_is_violated_is_told_until_a_full_check_finds_it_mended(
    shop: Shop, database: str, pool: "Pool", logs: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.product(await shop.person(admin=True))
    async with checking(database) as worker:
        await until(lambda: worker.completed_at)
        await pool.execute(CORRUPT, 1)
        await until(lambda: worker.violations["stock"] == 1)
        assert {name for name, count in worker.violations.items() if count} == {"stock"}
        for _ in range(3):
            await next_pass(worker)  # a check of changes does not look at the product again
        assert worker.violations["stock"] == 1
        assert [(entry["invariant"], entry["violations"]) for entry in logs if entry["log_level"] == "error"] == [("stock", 1)]
        await pool.execute(CORRUPT, -1)
    monkeypatch.setattr(verification, "EVERYTHING_EVERY_S", 0.0)
    async with checking(database) as worker:
        await until(lambda: worker.completed_at)
        assert set(worker.violations.values()) == {0}
        await pool.execute(CORRUPT, 1)
        await until(lambda: worker.violations["stock"] == 1)
        await pool.execute(CORRUPT, -1)
        await until(lambda: worker.violations["stock"] == 0)


async def test_a_migration_waits_for_a_check_and_no_check_begins_beside_one(database: str, pool: "Pool", tmp_path: Path) -> None:
    migration = tmp_path / "9000_widen.sql"
    migration.write_text("-- phase: expand\nALTER TABLE orders ADD COLUMN extra integer;\n")
    reports: list[str] = []
    async with pool.acquire() as conn, pool.acquire() as other:
        async with migrations.postponed(conn) as may_check:
            assert may_check
            migrating = asyncio.create_task(migrations.migrate(database, [*migrations.migration_files(), migration], reports.append))
            await until(lambda: reports)
            assert await other.fetchval(IS_ABSENT)
        assert await migrating == [migration.name]
        assert not await other.fetchval(IS_ABSENT)
        assert reports[0] == "another process migrates this database, or checks it; waiting for it"
        assert await other.fetchval(migrations.TRY_LOCK, migrations._ADVISORY_LOCK)
        async with migrations.postponed(conn) as may_check:
            assert not may_check
        await other.execute("SELECT pg_advisory_unlock_all()")
        async with migrations.postponed(conn) as may_check:
            assert may_check
