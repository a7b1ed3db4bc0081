"""The background task that deletes expired rows."""

import asyncio

import structlog

from mercato_server.config.settings import Limits
from mercato_server.database.pool import Pool
from mercato_server.domain import backoff
from mercato_server.store import feed_cursors
from mercato_server.store.sweeps import BATCH, sweep

log = structlog.get_logger(__name__)

SWEEP_INTERVAL_S = 60.0


async def keep_sweeping(pool: "Pool", limits: Limits, interval_s: float = SWEEP_INTERVAL_S) -> None:
    """Delete expired rows about once an interval, until cancelled. A consumer that blocks the sweep of events too long is marked lost."""
    while True:
        await asyncio.sleep(backoff.jittered(interval_s))
        for name in await feed_cursors.mark_lost(pool, limits.feed_lost_s):
            log.error("a consumer has not moved for too long; events are swept unread", consumer=name)
        while await sweep(pool) >= BATCH:
            pass
