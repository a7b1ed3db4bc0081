"""Stock: the only module that locks and changes stock levels and writes their ledger; docs/stock.md has the design.

Each change writes the level and the ledger together. Other modules can build the parts LOCKED and SOLD into their statements, so that one
statement places orders. All transactions lock levels in the order of the product ids.
"""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from mercato_server.database.pool import Conn
from mercato_server.domain.accounts import Actor
from mercato_server.domain.order_books import StockMove

# Part of a statement: locks the levels of the products of `wanted`, after `wanted` has been read completely (and locked, if it locks).
# It is an array, not a join: PostgreSQL checks a row again that changed during the wait, and the check must not run `wanted` again.
LOCKED = """locked AS MATERIALIZED (
    SELECT product_id, on_hand, version
      FROM stock_levels
     WHERE product_id = ANY(ARRAY(SELECT product_id FROM wanted)) AND location_id = 1
     ORDER BY product_id  -- one lock order for all transactions, so that carts cannot deadlock
       FOR NO KEY UPDATE
)"""

# Part of a statement: takes the units of order lines, `line (order_id, product_id, quantity)`, from levels that are locked.
SOLD = """booked AS (
    INSERT INTO stock_ledger (product_id, order_id, kind, delta)
    SELECT product_id, order_id, 'sale', -quantity FROM line
), sold AS (
    UPDATE stock_levels AS level
       SET on_hand = level.on_hand - units.quantity, version = level.version + 1, updated_at = greatest(level.updated_at, now())
      FROM (SELECT product_id, sum(quantity)::integer AS quantity FROM line GROUP BY product_id) AS units
     WHERE level.product_id = units.product_id AND level.location_id = 1
    RETURNING level.product_id
)"""

OPEN_LEVELS = """
WITH added AS (
    SELECT product_id, on_hand FROM unnest($1::uuid[], $2::integer[]) AS added (product_id, on_hand)
), booked AS (
    INSERT INTO stock_ledger (product_id, kind, delta, actor_kind, actor_id, reason)
    SELECT product_id, 'initial', on_hand, $3, $4, $5 FROM added
)
INSERT INTO stock_levels (product_id, on_hand) SELECT product_id, on_hand FROM added
"""


async def open_levels(conn: "Conn", stock: Mapping[UUID, int], actor: Actor, reason: str = "") -> None:
    """Create the stock levels of new products, in the transaction that creates the products."""
    await conn.execute(OPEN_LEVELS, list(stock), list(stock.values()), actor.kind, actor.id, reason)


LOCK_LEVELS = f"""
WITH wanted AS MATERIALIZED (
    SELECT unnest($1::uuid[]) AS product_id
), {LOCKED}
SELECT product_id, on_hand FROM locked
"""  # noqa: S608 - constants


async def lock(conn: "Conn", product_ids: Collection[UUID]) -> dict[UUID, int]:
    """Lock the levels of products and return their units; a transaction locks products, then their levels, then writes to both."""
    return {row["product_id"]: row["on_hand"] for row in await conn.fetch(LOCK_LEVELS, list(product_ids))}


ADJUST_LEVELS = """
WITH change AS (
    SELECT product_id, delta FROM unnest($1::uuid[], $2::integer[]) AS change (product_id, delta)
), booked AS (
    INSERT INTO stock_ledger (product_id, kind, delta, actor_kind, actor_id, reason)
    SELECT product_id, 'adjust', delta, $3, $4, $5 FROM change
)
UPDATE stock_levels AS level
   SET on_hand = level.on_hand + change.delta, version = level.version + 1, updated_at = greatest(level.updated_at, now())
  FROM change
 WHERE level.product_id = change.product_id AND level.location_id = 1
"""


async def adjust(conn: "Conn", deltas: Mapping[UUID, int], actor: Actor, reason: str) -> None:
    """Add units to levels that the caller has locked; a negative delta removes units."""
    await conn.execute(ADJUST_LEVELS, list(deltas), list(deltas.values()), actor.kind, actor.id, reason)


RESTOCK = """
WITH move AS MATERIALIZED (
    SELECT order_id, product_id, kind, quantity, reference_id, actor_kind, actor_id
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::integer[], $5::uuid[], $6::text[], $7::uuid[])
           AS move (order_id, product_id, kind, quantity, reference_id, actor_kind, actor_id)
), booked AS (
    INSERT INTO stock_ledger (product_id, order_id, kind, delta, reference_id, actor_kind, actor_id)
    SELECT product_id, order_id, kind, quantity, reference_id, actor_kind, actor_id FROM move
)
UPDATE stock_levels AS level
   SET on_hand = level.on_hand + back.quantity, version = level.version + 1, updated_at = greatest(level.updated_at, now())
  FROM (SELECT product_id, sum(quantity)::integer AS quantity FROM move GROUP BY product_id) AS back
 WHERE level.product_id = back.product_id AND level.location_id = 1
"""


async def restock(conn: "Conn", moves: Sequence[tuple[UUID, StockMove]]) -> None:
    """Put units of orders back, in the transaction that cancels or returns them; two statements for any number of moves."""
    await lock(conn, {move.product_id for _, move in moves})
    await conn.execute(
        RESTOCK,
        [order_id for order_id, _ in moves],
        [move.product_id for _, move in moves],
        [move.kind for _, move in moves],
        [move.quantity for _, move in moves],
        [move.reference_id for _, move in moves],
        [move.actor.kind for _, move in moves],
        [move.actor.id for _, move in moves],
    )
