"""The orders that the benchmark generates are those of a shop that only the server has changed."""

from collections import Counter

import past_orders
from mercato_server import demo
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.store.demo import load
from mercato_server.store.verify import verify

COUNT = """
SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM order_items) AS lines, (SELECT count(*) FROM accounts) AS accounts,
       (SELECT max(number) FROM (SELECT count(*) AS number FROM orders GROUP BY account_id) AS of_account) AS most
"""
STOCK = "SELECT product_id, on_hand FROM stock_levels ORDER BY product_id"


async def test_generated_orders_hold_every_invariant_and_leave_the_stock(settings: Settings, pool: "Pool") -> None:
    await load(settings.database_url, "USD", *demo.catalog())
    async with pool.acquire() as conn:
        before = await conn.fetch(STOCK)
        assert await past_orders.make(conn, 430) == 5
        assert [f"{each.invariant.name}: {each.examples}" for each in await verify(conn) if each.violations] == []
        assert await conn.fetch(STOCK) == before
        row = await conn.fetchrow(COUNT)
        assert row is not None
        orders, lines, accounts, most = row
        assert (orders, lines, accounts) == (430, 3 * 430, 5)
        assert most < 100  # they are spread
        statuses = Counter(row["status"] for row in await conn.fetch("SELECT status FROM orders"))
        assert statuses == {"paid": 387, "cancelled": 22, "placed": 21}
