"""Reads of orders: single orders, and pages of the orders of one account."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
from asyncpg.transaction import Transaction

from mercato_server.database.pool import Conn, Pool
from mercato_server.domain.accounts import Actor, ActorKind
from mercato_server.domain.orders import Order, OrderLine, OrderStatus, OrderTransition
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.pricing import PricedLine
from mercato_server.store import order_prices

GET_ORDERS = f"""
SELECT id, account_id, status, currency_code, total_minor, version, payment_due_at, created_at, updated_at, number, contact_email,
       {order_prices.ORDER_COLUMNS}
  FROM orders
 WHERE id = ANY($1::uuid[])
"""  # noqa: S608 - constants

GET_LINES = f"""
SELECT order_id, product_id, product_name, unit_price_minor, quantity, {order_prices.LINE_COLUMNS}
  FROM order_items
 WHERE order_id = ANY($1::uuid[])
 ORDER BY order_id, product_id
"""  # noqa: S608 - constants

GET_HISTORY = """
SELECT order_id, status, actor_kind, actor_id, reason, created_at
  FROM order_history
 WHERE order_id = ANY($1::uuid[])
 ORDER BY order_id, version
"""

LIST_OF_ACCOUNT = """
SELECT id
  FROM orders
 WHERE account_id = $1 AND id < $2
 ORDER BY id DESC
 LIMIT $3
"""

LIST_OF_ACCOUNT_IN_STATUS = """
SELECT id
  FROM orders
 WHERE account_id = $1 AND status = $4 AND id < $2
 ORDER BY id DESC
 LIMIT $3
"""


async def get(pool: "Pool", order_id: UUID) -> Order | None:
    """Return an order with lines and history, or None."""
    async with pool.acquire() as conn, snapshot(conn):
        found = await read(conn, [order_id])
    return found[0] if found else None


async def of_account(pool: "Pool", account_id: UUID, status: OrderStatus | None, page: Page) -> tuple[Sequence[Order], Position | None]:
    """Return a page of the orders of an account, newest first, and the position of its last row if more follow."""
    statement, arguments = (LIST_OF_ACCOUNT_IN_STATUS, (status,)) if status else (LIST_OF_ACCOUNT, ())
    async with pool.acquire() as conn, snapshot(conn):
        rows = await conn.fetch(statement, account_id, page.below, page.size + 1, *arguments)
        return await page_of(conn, rows, page)


def snapshot(conn: "Conn") -> Transaction:
    """Return a read-only transaction whose statements share one snapshot, so that status, lines and history are consistent."""
    return conn.transaction(isolation="repeatable_read", readonly=True)


async def page_of(conn: "Conn", rows: Sequence[asyncpg.Record], page: Page) -> tuple[Sequence[Order], Position | None]:
    """Return the orders of a page whose ids were read with one more than its size, and the position of the last one if more follow."""
    ids = [row["id"] for row in rows[: page.size]]
    return await read(conn, ids), Position(None, ids[-1]) if len(rows) > page.size else None


async def read(conn: "Conn", order_ids: Sequence[UUID]) -> list[Order]:
    """Return orders in the order of the ids, with lines and history.

    It takes three statements for any number of orders, and two more if there are some whose price has other parts than lines.
    """
    if not order_ids:
        return []
    heads = {row["id"]: row for row in await conn.fetch(GET_ORDERS, order_ids)}
    lines: dict[UUID, list[OrderLine]] = {order_id: [] for order_id in heads}
    parts: dict[UUID, list[PricedLine]] = {order_id: [] for order_id, head in heads.items() if head["pricing_version"] is not None}
    for order_id, product_id, name, price_minor, quantity, *costs in await conn.fetch(GET_LINES, order_ids):
        line = OrderLine(product_id, name, price_minor, quantity)
        lines[order_id].append(line)
        if order_id in parts:
            parts[order_id].append(PricedLine(product_id, quantity, price_minor, line.total_minor, *costs))
    history: dict[UUID, list[OrderTransition]] = {order_id: [] for order_id in heads}
    for order_id, status, actor_kind, actor_id, reason, created_at in await conn.fetch(GET_HISTORY, order_ids):
        actor = Actor(ActorKind(actor_kind), actor_id)
        history[order_id].append(OrderTransition(status=OrderStatus(status), actor=actor, reason=reason, created_at=created_at))
    prices = await order_prices.read(conn, heads, parts) if parts else {}
    return [
        Order(
            id=order_id,
            account_id=heads[order_id]["account_id"],
            status=OrderStatus(heads[order_id]["status"]),
            currency_code=heads[order_id]["currency_code"],
            total_minor=heads[order_id]["total_minor"],
            created_at=heads[order_id]["created_at"],
            updated_at=heads[order_id]["updated_at"],
            lines=tuple(lines[order_id]),
            history=tuple(history[order_id]),
            version=heads[order_id]["version"],
            payment_due_at=heads[order_id]["payment_due_at"],
            number=heads[order_id]["number"] or "",
            price=prices.get(order_id),
            shipping_address=order_prices.address(heads[order_id]["shipping_address"]),
            billing_address=order_prices.address(heads[order_id]["billing_address"]),
            contact_email=heads[order_id]["contact_email"] or "",
            note=heads[order_id]["note"] or "",
            quote_id=heads[order_id]["quote_id"],
        )
        for order_id in order_ids
        if order_id in heads
    ]
