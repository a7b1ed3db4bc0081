"""What a worker deletes beside serving calls."""

import asyncio
import random

from mercato_server.database.pool import Pool
from mercato_server.store.sweeps import BATCH, sweep

SWEEP_INTERVAL_S = 60.0


async def keep_sweeping(pool: "Pool", interval_s: float = SWEEP_INTERVAL_S) -> None:
    """Sweep what is too old about once an interval, until cancelled."""
    while True:
        await asyncio.sleep(interval_s * random.uniform(0.5, 1.5))  # noqa: S311 - so that workers take turns
        while await sweep(pool) >= BATCH:
            pass
