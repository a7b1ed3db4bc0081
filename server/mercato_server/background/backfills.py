"""The background tasks that give rows of earlier releases what this one needs, such as numbers, slugs and search documents."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from mercato_server.database.pool import Pool
from mercato_server.domain import backoff
from mercato_server.store import categories, search_documents, shipping_zones

INTERVAL_S = 30.0
RENEWAL_INTERVAL_S = 60.0


async def keep_filling(pool: "Pool", fill: Callable[["Pool"], Awaitable[int]], interval_s: float = INTERVAL_S) -> None:
    """Call `fill` about once an interval, again until it finds no more rows, until cancelled.

    After a batch it pauses for as long as the batch took, so at least half of the time is left to calls. While workers of the previous
    release run, they write rows that need it, which the next interval finds.
    """
    while True:
        await asyncio.sleep(backoff.jittered(interval_s))
        began = time.monotonic()
        while await fill(pool):
            await asyncio.sleep(time.monotonic() - began)
            began = time.monotonic()


async def renew(pool: "Pool") -> int:
    """Make a batch of search documents and name keys of older rules anew; return how many."""
    return await search_documents.renew(pool) + await categories.renew_keys(pool) + await shipping_zones.renew_keys(pool)
