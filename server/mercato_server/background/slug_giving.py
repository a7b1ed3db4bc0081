"""The background task that gives products and categories of earlier releases their slugs."""

import asyncio
import time

from mercato_server.database.pool import Pool
from mercato_server.domain import backoff
from mercato_server.store.slugs import give_missing

INTERVAL_S = 30.0


async def keep_giving(pool: "Pool", interval_s: float = INTERVAL_S) -> None:
    """Give slugs to the products and categories that have none, about once an interval, until cancelled.

    After a batch it pauses for as long as the batch took. While workers of the previous release run, they create products without slugs,
    which the next interval finds.
    """
    while True:
        await asyncio.sleep(backoff.jittered(interval_s))
        began = time.monotonic()
        while await give_missing(pool):
            await asyncio.sleep(time.monotonic() - began)
            began = time.monotonic()
