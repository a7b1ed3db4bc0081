"""Generate the orders of a past year inside PostgreSQL, with all rows that belong to them. Every invariant holds for them."""

import math

from mercato_server.database.pool import Conn

ORDERS_PER_ACCOUNT = 100
BATCH = 100_000
"""Orders of a statement."""
BYTES_PER_ORDER = 3_000
"""Room on disk, indexes and the write-ahead log included."""

INSERT_ACCOUNTS = """
INSERT INTO accounts (id, email, full_name, role, password_hash)
SELECT lpad(to_hex(number), 32, '0')::uuid, number || '@past.example.com', 'Jo Doe', 'user', 'no login'
  FROM generate_series(1, $1::bigint) AS number
"""

# Products by place, so that a line finds its product by a number.
NUMBER_PRODUCTS = """
CREATE TEMPORARY TABLE sold AS
SELECT row_number() OVER (ORDER BY id) - 1 AS place, id, name, price_minor, currency_code FROM products WHERE deleted_at IS NULL
"""

# The orders $1 to $2 of $3, which are spread over a year and over $4 accounts, the newest last. Each has three lines. Of 20 orders one is
# cancelled, one is unpaid and the others are paid. Only the events of a week and the keys of a day are still there.
INSERT_ORDERS = """
WITH made AS MATERIALIZED (
    SELECT number, placed_at, uuidv7(placed_at - clock_timestamp()) AS id,
           lpad(to_hex(1 + (number + number / $4) % $4), 32, '0')::uuid AS account_id, 'past-' || number AS key,
           CASE number % 20 WHEN 0 THEN 'placed' WHEN 1 THEN 'cancelled' ELSE 'paid' END AS status
      FROM (SELECT number, now() - interval '1 minute' - interval '365 days' * (1 - number::float8 / $3) AS placed_at
              FROM generate_series($1::bigint, $2::bigint) AS number) AS numbered
), line AS MATERIALIZED (
    SELECT made.id AS order_id, product.id AS product_id, product.name, price_minor, currency_code, placed_at, status,
           (1 + number % 3)::integer AS quantity
      FROM made
     CROSS JOIN generate_series(0, 2) AS turn
      JOIN sold AS product ON place = (number * 31 + turn * 7) % (SELECT count(*) FROM sold)
), step AS MATERIALIZED (
    SELECT id, 1 AS version, 'placed' AS status, placed_at AS at, 'buyer' AS actor_kind, account_id AS actor_id, account_id FROM made
     UNION ALL
    SELECT id, 2, status, placed_at + interval '1 minute', CASE status WHEN 'cancelled' THEN 'buyer' ELSE 'system' END,
           CASE status WHEN 'cancelled' THEN account_id END, account_id
      FROM made
     WHERE status <> 'placed'
), lines AS (
    INSERT INTO order_items (order_id, product_id, product_name, unit_price_minor, currency_code, quantity)
    SELECT order_id, product_id, name, price_minor, currency_code, quantity FROM line
), history AS (
    INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason, created_at)
    SELECT id, version, status, actor_kind, actor_id, '', at FROM step
), sales AS (
    INSERT INTO stock_ledger (product_id, order_id, kind, delta, created_at)
    SELECT product_id, order_id, 'sale', -quantity, placed_at FROM line
), restocks AS (
    INSERT INTO stock_ledger (product_id, order_id, kind, delta, actor_kind, created_at)
    SELECT product_id, order_id, 'cancel', quantity, 'buyer', placed_at + interval '1 minute' FROM line WHERE status = 'cancelled'
), happened AS (
    INSERT INTO events (kind, subject_id, payload, created_at)
    SELECT 'order.' || status, id, jsonb_build_object('account_id', account_id), at FROM step WHERE at > now() - interval '7 days'
     UNION ALL
    SELECT 'stock.changed', product_id, '{}', placed_at FROM line WHERE placed_at > now() - interval '7 days'
), stored AS (
    INSERT INTO idempotency_keys (scope_id, key, method, fingerprint, response, created_at)
    SELECT account_id, key, '/mercato.v1.OrderService/Checkout', sha256(convert_to(key, 'UTF8')),
           convert_to(id || repeat('x', 500), 'UTF8'), placed_at
      FROM made
     WHERE placed_at > now() - interval '1 day'
)
INSERT INTO orders (id, account_id, status, currency_code, total_minor, idempotency_key, version, created_at, updated_at)
SELECT id, account_id, status, currency_code, total_minor, key, CASE status WHEN 'placed' THEN 1 ELSE 2 END, placed_at,
       CASE status WHEN 'placed' THEN placed_at ELSE placed_at + interval '1 minute' END
  FROM made
  JOIN (SELECT order_id, min(currency_code) AS currency_code, sum(price_minor * quantity) AS total_minor
          FROM line
         GROUP BY order_id) AS sums ON order_id = id
"""

# The sold units have been delivered, so the stock is as before.
DELIVER = """
INSERT INTO stock_ledger (product_id, kind, delta, actor_kind)
SELECT product_id, 'adjust', -sum(delta), 'system' FROM stock_ledger WHERE order_id IS NOT NULL GROUP BY product_id
"""

ORDER_TABLES = ("orders", "order_items", "order_history", "stock_ledger", "events", "idempotency_keys", "accounts")


async def make(conn: "Conn", count: int) -> int:
    """Make that many orders of the products on sale, and their accounts, whose ids are the numbers from 1 on; return how many accounts.

    The connection may skip the checks of foreign keys: the rows refer to each other.
    """
    accounts = math.ceil(count / ORDERS_PER_ACCOUNT)
    await conn.execute("SET session_replication_role = replica")
    await conn.execute(INSERT_ACCOUNTS, accounts)
    await conn.execute(NUMBER_PRODUCTS)
    await conn.execute("ANALYZE sold")
    for first in range(1, count + 1, BATCH):
        await conn.execute(INSERT_ORDERS, first, min(first + BATCH - 1, count), count, accounts)
    await conn.execute(DELIVER)
    await conn.execute("DROP TABLE sold")
    await conn.execute("RESET session_replication_role")
    await conn.execute(f"VACUUM ANALYZE {', '.join(ORDER_TABLES)}")
    return accounts
