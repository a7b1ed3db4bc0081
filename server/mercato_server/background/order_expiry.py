"""The background task that cancels orders which were not paid in time, and adopts those of the release before."""

import asyncio

from mercato_server.database.pool import Pool
from mercato_server.domain import backoff
from mercato_server.store.order_states import adopt_unbooked, cancel_overdue

INTERVAL_S = 30.0
BATCH = 100


async def keep_expiring(pool: "Pool", interval_s: float = INTERVAL_S) -> None:
    """Cancel overdue orders about once an interval, until cancelled. Workers may do it at once: each order is cancelled once."""
    while True:
        await asyncio.sleep(backoff.jittered(interval_s))
        while await cancel_overdue(pool, BATCH) == BATCH:
            pass
        while await adopt_unbooked(pool, BATCH) == BATCH:
            pass
