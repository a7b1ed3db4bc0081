"""The yardstick of the checkouts, benchmarks/checkout.sql, writes what a checkout writes."""

import asyncio
from typing import Any

import goods
import pgbench
from mercato_server import demo
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.store import orders
from mercato_server.store.demo import load
from mercato_server.store.idempotency import IdempotencyKey, Stored
from mercato_server.store.locked_carts import Checkout
from mercato_server.store.verify import verify
from support.shop import SECRET

ORDERS = """
SELECT to_jsonb(placed) - '{id,account_id,number,idempotency_key,contact_email,created_at,updated_at}'::text[] AS placed,
       number ~ '^[0-9A-Z]{11}$' AS has_number, contact_email = account_id || '@example.com' AS has_contact,
       (SELECT jsonb_agg(to_jsonb(line) - 'order_id' ORDER BY product_id) FROM order_items AS line WHERE order_id = placed.id) AS lines,
       (SELECT jsonb_agg(to_jsonb(step) - '{order_id,actor_id,created_at}'::text[])
          FROM order_history AS step
         WHERE order_id = placed.id) AS steps,
       (SELECT jsonb_agg(jsonb_build_array(product_id, kind, delta) ORDER BY product_id)
          FROM stock_ledger
         WHERE order_id = placed.id) AS booked,
       (SELECT jsonb_agg(jsonb_build_array(kind, payload->>'account_id' = account_id::text))
          FROM events
         WHERE subject_id = placed.id) AS told,
       (SELECT response FROM idempotency_keys WHERE scope_id = account_id AND key = idempotency_key) IS NOT NULL AS is_answered
  FROM orders AS placed
 WHERE account_id = $1
"""


async def written(pool: "Pool", cart: goods.Cart) -> dict[str, Any]:
    """Return the rows of the one order of a cart's account, without the values that differ between orders."""
    [row] = await pool.fetch(ORDERS, cart.account_id)
    return dict(row)


async def test_pgbench_writes_the_rows_of_a_checkout(settings: Settings, pool: "Pool") -> None:
    await load(settings.database_url, "USD", *demo.catalog())
    async with pool.acquire() as conn:
        products = await goods.make_products(conn, goods.LINES)
        of_store, *of_pgbench = await goods.make_carts(conn, SECRET, 1, [tuple(products)] * 3)
    account_id = of_store.account_id
    key = IdempotencyKey(account_id, "key", "/mercato.v1.OrderService/Checkout", b"", lambda _: b"order")
    [placed] = await orders.checkout(pool, [Checkout(account_id, account_id, key)], orders.Shop("USD"))
    assert isinstance(placed, Stored)

    command = [str(pgbench.program()), *pgbench.arguments(of_pgbench, 2, 100), settings.database_url]
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    said, errors = await child.communicate()
    assert (child.returncode, b"processed: 2/2" in said) == (0, True), errors

    expected = await written(pool, of_store)
    assert expected["has_number"]
    assert expected["has_contact"]
    assert expected["is_answered"]
    assert expected["told"] == '[["order.placed", true]]'
    assert [await written(pool, cart) for cart in of_pgbench] == [expected] * 2
    assert await pool.fetchval("SELECT count(*) FROM cart_items") == 0
    async with pool.acquire() as conn:
        violated = [each.invariant.name for each in await verify(conn) if each.violations]
    assert violated == ["stored keys"]  # the responses are bytes, and no orders
