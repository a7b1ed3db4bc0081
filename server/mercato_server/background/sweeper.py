"""What a worker does beside serving calls."""

import asyncio
import random

import structlog

from mercato_server.database.pool import Pool, refusal
from mercato_server.store.sweeps import BATCH, sweep

log = structlog.get_logger(__name__)

SWEEP_INTERVAL_S = 60.0


async def keep_sweeping(pool: "Pool", interval_s: float = SWEEP_INTERVAL_S) -> None:
    """Sweep what is too old about once an interval, until cancelled; a database that is away is tried again next time."""
    while True:
        await asyncio.sleep(interval_s * random.uniform(0.5, 1.5))  # noqa: S311 - so that workers take turns
        try:
            while await sweep(pool) >= BATCH:
                pass
        except Exception as error:
            if refusal(error) is None:
                raise
            log.warning("cannot sweep now", error=str(error))
