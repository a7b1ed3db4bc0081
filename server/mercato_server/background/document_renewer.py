"""The background task that makes search documents and name keys of older rules anew."""

import asyncio
import time

from mercato_server.database.pool import Pool
from mercato_server.domain import backoff
from mercato_server.store import categories, shipping_zones
from mercato_server.store.search_documents import renew

RENEWAL_INTERVAL_S = 60.0


async def keep_renewing(pool: "Pool", interval_s: float = RENEWAL_INTERVAL_S) -> None:
    """Make documents and keys of older rules anew, about once an interval, until cancelled.

    After a batch it pauses for as long as the batch took, so at least half of the time is left to calls. While workers of the previous
    release run, they write documents of the older rule, which the next interval finds.
    """
    while True:
        await asyncio.sleep(backoff.jittered(interval_s))
        began = time.monotonic()
        while await renew(pool) + await categories.renew_keys(pool) + await shipping_zones.renew_keys(pool):
            await asyncio.sleep(time.monotonic() - began)
            began = time.monotonic()
