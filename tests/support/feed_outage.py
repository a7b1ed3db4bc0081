"""Make a change that no worker sees, because the change feed cannot be read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import asyncpg

from mercato_server.database.pool import Pool
from mercato_server.feed.listener import FRESH_S
from support.patience import until

LOCK_EVENTS = "BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE"
POLL_IS_WAITING = """
SELECT count(*)
  FROM pg_locks
 WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND relation = 'events'::regclass AND NOT granted
"""
IS_WAITING = "SELECT count(*) FROM pg_locks WHERE pid = $1 AND NOT granted"


@asynccontextmanager
async def unheard(pool: "Pool", database: str, change: str) -> AsyncIterator[None]:
    """Commit a statement that writes no event once every worker's view of the feed is stale, and keep the feed locked for the block.

    A second lock request waits before the first lock is released, so at most one waiting poll comes between them. That poll began so
    long ago that its worker does not rely on it.
    """
    first, second = await asyncpg.connect(database), await asyncpg.connect(database)
    try:
        await first.execute(LOCK_EVENTS)
        await until(partial(pool.fetchval, POLL_IS_WAITING))
        await asyncio.sleep(FRESH_S)  # at least this long
        locking = asyncio.create_task(second.execute(LOCK_EVENTS))
        await until(partial(pool.fetchval, IS_WAITING, second.get_server_pid()))
        await first.execute(f"{change}; COMMIT")
        await locking
        yield
    finally:
        await first.close()
        await second.close()
