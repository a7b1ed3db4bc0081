"""The mails that orders cause."""

import asyncio

from mercato_server.database.pool import Pool
from mercato_server.store import order_mails

POLL_S = 0.2
BATCH = 500


async def follow_orders(pool: "Pool") -> None:
    """Queue the mails of orders, until cancelled."""
    seen = await order_mails.cursor(pool)
    while True:
        end, found = await order_mails.look(pool, seen)
        if not found:
            seen = end
            await asyncio.sleep(POLL_S)
        elif await order_mails.queue(pool, BATCH) < BATCH:
            seen = await order_mails.cursor(pool)
