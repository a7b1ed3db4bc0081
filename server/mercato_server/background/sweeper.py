"""What a worker deletes beside serving calls."""

import asyncio
import random

import structlog

from mercato_server.config.settings import Limits
from mercato_server.database.pool import Pool
from mercato_server.store import feed_cursors
from mercato_server.store.sweeps import BATCH, sweep

log = structlog.get_logger(__name__)

SWEEP_INTERVAL_S = 60.0


async def keep_sweeping(pool: "Pool", limits: Limits, interval_s: float = SWEEP_INTERVAL_S) -> None:
    """Sweep what is too old about once an interval, until cancelled; a consumer of the feed that holds that up for too long is lost."""
    while True:
        await asyncio.sleep(interval_s * random.uniform(0.5, 1.5))  # noqa: S311 - so that workers take turns
        for name in await feed_cursors.mark_lost(pool, limits.feed_lost_s):
            log.error("a consumer has not moved for too long; events are swept unread", consumer=name)
        while await sweep(pool) >= BATCH:
            pass
