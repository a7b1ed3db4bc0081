"""Carts: one row per line. A change of a line is one upsert, never a read followed by a write."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import connection, patience, retry_conflicts, transaction
from mercato_server.domain.carts import LINE_QUANTITY_MAX, LINES_MAX, CartLine
from mercato_server.domain.errors import CartLimit, MercatoError, ProductNotFound, TokenInvalid
from mercato_server.store import idempotency, sessions
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

GET_CARTS = """
SELECT item.account_id, item.product_id, product.name, item.quantity, product.price_minor AS unit_price_minor,
       item.unit_price_minor AS added_price_minor, level.on_hand AS stock, product.deleted_at IS NULL AS on_sale
  FROM cart_items AS item
  JOIN products AS product ON product.id = item.product_id
  JOIN stock_levels AS level ON level.product_id = item.product_id AND level.location_id = 1
 WHERE item.account_id = ANY($1::uuid[])
 ORDER BY item.account_id, item.added_at, item.product_id
"""

# The statement checks the limits, so it skips a line that exceeds them and writes the others. Two concurrent calls that add different
# products may together exceed the limit of lines; no invariant depends on that limit.
_PUT_LINES = """
INSERT INTO cart_items (account_id, product_id, quantity, unit_price_minor, currency_code)
SELECT wanted.account_id, wanted.product_id, wanted.quantity, product.price_minor, product.currency_code
  FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS wanted (account_id, product_id, quantity)
  JOIN products AS product ON product.id = wanted.product_id AND product.deleted_at IS NULL
 WHERE wanted.quantity <= $5::integer
   AND (SELECT count(*)
          FROM cart_items AS other
         WHERE other.account_id = wanted.account_id AND other.product_id <> wanted.product_id) < $4::integer
 ORDER BY wanted.account_id, wanted.product_id  -- one lock order
    ON CONFLICT (account_id, product_id) DO UPDATE
"""

# A line that grows keeps its remembered price: its buyer may not have seen the new one.
ADD_LINES = f"""{_PUT_LINES}
   SET quantity = cart_items.quantity + excluded.quantity
 WHERE cart_items.quantity + excluded.quantity <= $5::integer
RETURNING account_id, product_id
"""

# A line that is set takes the current price, which acknowledges a change.
SET_LINES = f"""{_PUT_LINES}
   SET quantity = excluded.quantity, unit_price_minor = excluded.unit_price_minor
 WHERE excluded.quantity <= $5::integer
RETURNING account_id, product_id
"""

GET_ON_SALE = "SELECT id FROM products WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL"

REMOVE_LINES = """
DELETE FROM cart_items AS item
 USING unnest($1::uuid[], $2::uuid[]) AS unwanted (account_id, product_id)
 WHERE item.account_id = unwanted.account_id AND item.product_id = unwanted.product_id
"""

CLEAR_CART = "DELETE FROM cart_items WHERE account_id = $1"

CartResult = tuple[CartLine, ...] | Stored | MercatoError


@dataclass(frozen=True, slots=True, eq=False)  # identity as dict key costs nothing
class LineChange:
    """A command to add units of a product to an account's cart, or to set them (0 removes the line)."""

    account_id: UUID
    product_id: UUID
    quantity: int
    session_id: UUID
    """The session that must be live."""
    key: IdempotencyKey | None = None


async def get(pool: "Pool", account_ids: Sequence[UUID]) -> list[tuple[CartLine, ...]]:
    """Return the cart of each account, with its lines in the order of their first addition."""
    async with connection(pool) as conn:
        return await _read(conn, account_ids)


@retry_conflicts
async def add(pool: "Pool", changes: Sequence[LineChange], *, units_max: int = LINE_QUANTITY_MAX) -> list[CartResult]:
    """Add units to carts, all in one transaction; return for each change the resulting cart or its refusal.

    Accounts must differ between the changes. A change that would give a line more than `units_max` units is refused.
    """
    async with transaction(pool, patience=patience(changes)) as conn:
        return await _put(conn, ADD_LINES, changes, units_max)


@retry_conflicts
async def put(pool: "Pool", changes: Sequence[LineChange], *, units_max: int = LINE_QUANTITY_MAX) -> list[CartResult]:
    """Set the quantities of lines, otherwise like `add`; a quantity of 0 removes the line."""
    async with transaction(pool, patience=patience(changes)) as conn:
        return await _put(conn, SET_LINES, changes, units_max)


@retry_conflicts
async def clear(pool: "Pool", account_id: UUID, key: IdempotencyKey | None = None) -> tuple[CartLine, ...] | Stored:
    """Remove all lines of a cart and return the empty cart."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _clear(conn, account_id))


async def _clear(conn: "Conn", account_id: UUID) -> tuple[CartLine, ...]:
    await conn.execute(CLEAR_CART, account_id)
    return ()


async def _put(conn: "Conn", statement: str, changes: Sequence[LineChange], units_max: int) -> list[CartResult]:
    refused = await sessions.ended(conn, changes)
    admitted = [change for change in changes if change not in refused]
    used = await idempotency.claim(conn, [change.key for change in admitted if change.key])
    fresh = [change for change in admitted if change.key not in used]
    results: dict[LineChange, CartResult] = {**refused, **await _write(conn, statement, fresh, units_max)}
    carts = await _read(conn, [change.account_id for change in fresh])
    for change, cart in zip(fresh, carts, strict=True):
        results.setdefault(change, cart)
    stored = used | await idempotency.settle(conn, [(change.key, results[change]) for change in fresh])
    return [stored[change.key] if change.key in stored else results[change] for change in changes]


async def _write(conn: "Conn", statement: str, changes: Sequence[LineChange], units_max: int) -> dict[LineChange, MercatoError]:
    """Make the changes that are possible; return the refusals of the others."""
    unwanted = [change for change in changes if change.quantity == 0]
    wanted = [change for change in changes if change.quantity > 0]
    if unwanted:
        await conn.execute(REMOVE_LINES, [change.account_id for change in unwanted], [change.product_id for change in unwanted])
    if not wanted:
        return {}
    accounts, products = [change.account_id for change in wanted], [change.product_id for change in wanted]
    quantities = [change.quantity for change in wanted]
    try:
        rows = await conn.fetch(statement, accounts, products, quantities, LINES_MAX, units_max)
    except asyncpg.ForeignKeyViolationError:  # the account: the statement has joined the products
        raise TokenInvalid("the account of this token no longer exists") from None
    if len(rows) == len(wanted):
        return {}
    made = {(row["account_id"], row["product_id"]) for row in rows}
    on_sale = {row["id"] for row in await conn.fetch(GET_ON_SALE, products)}
    return {
        change: _limit(units_max) if change.product_id in on_sale else ProductNotFound(change.product_id)
        for change in wanted
        if (change.account_id, change.product_id) not in made
    }


async def _read(conn: "Conn", account_ids: Sequence[UUID]) -> list[tuple[CartLine, ...]]:
    carts: dict[UUID, list[CartLine]] = {account_id: [] for account_id in account_ids}
    for account_id, *fields in await conn.fetch(GET_CARTS, list(carts)):
        carts[account_id].append(CartLine._make(fields))
    return [tuple(carts[account_id]) for account_id in account_ids]


def _limit(units_max: int) -> CartLimit:
    return CartLimit("a cart holds at most {lines} lines of at most {units} units", lines=LINES_MAX, units=units_max)
