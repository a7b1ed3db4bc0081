"""The background task that gives orders of earlier releases their numbers."""

import asyncio
import time

from mercato_server.database.pool import Pool
from mercato_server.domain import backoff
from mercato_server.store.order_numbers import give_numbers

INTERVAL_S = 30.0


async def keep_numbering(pool: "Pool", interval_s: float = INTERVAL_S) -> None:
    """Number the orders that have no number, about once an interval, until cancelled.

    After a batch it pauses for as long as the batch took. While workers of the previous release run, they place orders without numbers,
    which the next interval finds.
    """
    while True:
        await asyncio.sleep(backoff.jittered(interval_s))
        began = time.monotonic()
        while await give_numbers(pool):
            await asyncio.sleep(time.monotonic() - began)
            began = time.monotonic()
