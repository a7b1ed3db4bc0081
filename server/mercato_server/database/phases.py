"""The execution of migrations beside traffic: bounded waits for locks, and safe restarts after the process is killed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import asyncpg

from mercato_server.database.pool import Conn

Result = TypeVar("Result")

LOCK_TRIES = 60
LOCK_PAUSE_S = 0.5
"""Pause between two tries; calls that queued behind the migration's lock request proceed meanwhile."""
ROWS = 100
"""Rows in the first batch."""
BATCH_S = 0.1
"""Target duration of a batch, which holds the locks of its rows. The runner adjusts the next batch to the duration of the last one."""
REPORT_S = 5.0
"""Interval between two lines of progress."""

LIMIT_LOCKS = "SET LOCAL lock_timeout = '500ms'"


async def in_transaction(conn: "Conn", run: Callable[[], Awaitable[Result]]) -> Result:
    """Run in a transaction, with tries for about a minute. A try that waits 500 ms for a lock rolls back, and calls behind it proceed."""
    tries = 0
    while True:
        tries += 1
        try:
            async with conn.transaction():
                await conn.execute(LIMIT_LOCKS)
                return await run()
        except asyncpg.LockNotAvailableError:
            if tries == LOCK_TRIES:
                raise
        await asyncio.sleep(LOCK_PAUSE_S)


UNLIMIT_LOCKS = "SET lock_timeout = 0"

GET_DROP_OF_INVALID = """
SELECT format('DROP INDEX CONCURRENTLY %s', indexrelid::regclass)
  FROM pg_index
 WHERE indexrelid = to_regclass($1) AND NOT indisvalid
"""


async def build_index(conn: "Conn", name: str, sql: str) -> None:
    """Create an index outside a transaction; first drop the invalid index of an earlier try.

    PostgreSQL waits for all transactions that began before, without a limit, and no writer waits for the index.
    """
    await conn.execute(UNLIMIT_LOCKS)
    if drop := await conn.fetchval(GET_DROP_OF_INVALID, name):
        await conn.execute(drop)
    await conn.execute(sql)


async def backfill(conn: "Conn", sql: str, report: Callable[[str], None]) -> None:
    """Repeat a statement, each time in a separate transaction, until it returns no key.

    The statement changes the next $2 rows after the key $1, NULL at first, and returns the key of the last one.
    """
    key, rows, batches, reported = None, ROWS, 0, time.monotonic()
    while True:
        began = time.monotonic()
        key = await in_transaction(conn, partial(conn.fetchval, sql, key, rows))
        if key is None:
            return
        batches += 1
        ended = time.monotonic()
        took_s = ended - began
        if ended - reported > REPORT_S:
            report(f"{batches} batches, up to {key}; the last one: {rows} rows in {took_s * 1000:.0f} ms")
            reported = ended
        rows = max(1, int(rows * min(2.0, BATCH_S / took_s)))
        await asyncio.sleep(took_s)  # leave at least half of the time to the traffic
