"""Reads of orders: single orders, and pages of the orders of one account."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg.transaction import Transaction

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts
from mercato_server.domain.accounts import Actor, ActorKind
from mercato_server.domain.order_statuses import assumed_line, assumed_statuses
from mercato_server.domain.orders import FulfillmentStatus, Order, OrderLine, OrderStatus, OrderTransition, PaymentStatus
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.pricing import Breakdown, PricedLine
from mercato_server.store import order_prices

GET_ORDERS = f"""
SELECT id, account_id, status, currency_code, total_minor, version, payment_due_at, created_at, updated_at, number, contact_email,
       erased_at,
       CASE WHEN booked_version = version THEN payment_status END AS payment_status,
       CASE WHEN booked_version = version THEN fulfillment_status END AS fulfillment_status,
       {order_prices.ORDER_COLUMNS}
  FROM orders
 WHERE id = ANY($1::uuid[])
"""  # noqa: S608 - constants

GET_LINES = f"""
SELECT order_id, product_id, product_name, unit_price_minor, quantity, shipped, delivered, cancelled, returned, refunded_minor,
       options_text, {order_prices.LINE_COLUMNS}
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

IS_RECENT = "SELECT true FROM orders WHERE id = $1 AND erased_at IS NULL AND updated_at > now() - make_interval(secs => $2)"

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


@retry_conflicts
async def get(pool: "Pool", order_id: UUID) -> Order | None:
    """Return an order with lines and history, or None."""
    async with pool.acquire() as conn, snapshot(conn):
        found = await read(conn, [order_id])
    return found[0] if found else None


@retry_conflicts
async def get_recent(pool: "Pool", order_id: UUID, seconds: float) -> Order | None:
    """Return an order that has changed in the last seconds, or None; one statement if there is none."""
    async with pool.acquire() as conn, snapshot(conn):
        found = await read(conn, [order_id]) if await conn.fetchval(IS_RECENT, order_id, seconds) else []
    return found[0] if found else None


@retry_conflicts
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
    for order_id, line, costs in await lines_of(conn, order_ids):
        lines[order_id].append(line)
        if order_id in parts:
            parts[order_id].append(priced(line, costs))
    history: dict[UUID, list[OrderTransition]] = {order_id: [] for order_id in heads}
    for order_id, status, actor_kind, actor_id, reason, created_at in await conn.fetch(GET_HISTORY, order_ids):
        actor = Actor(ActorKind(actor_kind), actor_id)
        history[order_id].append(OrderTransition(status=OrderStatus(status), actor=actor, reason=reason, created_at=created_at))
    prices = await order_prices.read(conn, heads, parts) if parts else {}
    return [
        _order(heads[order_id], lines[order_id], history[order_id], prices.get(order_id)) for order_id in order_ids if order_id in heads
    ]


async def lines_of(conn: "Conn", order_ids: Sequence[UUID]) -> list[tuple[UUID, OrderLine, Sequence[Any]]]:
    """Return the lines of orders, each with its order and its LINE_COLUMNS, by order and product."""
    fields = len(OrderLine._fields)  # their columns follow the order's id
    rows = await conn.fetch(GET_LINES, order_ids)
    return [(order_id, OrderLine._make(columns[:fields]), columns[fields:]) for order_id, *columns in rows]


def priced(line: OrderLine, costs: Sequence[Any]) -> PricedLine:
    """Return a line with its LINE_COLUMNS as a part of a price."""
    return PricedLine(line.product_id, line.quantity, line.unit_price_minor, line.total_minor, *costs)


def _order(head: asyncpg.Record, lines: Sequence[OrderLine], history: Sequence[OrderTransition], price: Breakdown | None) -> Order:
    status = OrderStatus(head["status"])
    if head["payment_status"] is None:
        paid, fulfilled = assumed_statuses(status, head["total_minor"])
        lines = [assumed_line(line, status) for line in lines]
    else:
        paid, fulfilled = PaymentStatus(head["payment_status"]), FulfillmentStatus(head["fulfillment_status"])
    return Order(
        id=head["id"],
        account_id=head["account_id"],
        status=status,
        currency_code=head["currency_code"],
        total_minor=head["total_minor"],
        created_at=head["created_at"],
        updated_at=head["updated_at"],
        lines=tuple(lines),
        history=tuple(history),
        version=head["version"],
        payment_due_at=head["payment_due_at"],
        number=head["number"] or "",
        price=price,
        shipping_address=order_prices.address(head["shipping_address"]),
        billing_address=order_prices.address(head["billing_address"]),
        contact_email=head["contact_email"] or "",
        erased_at=head["erased_at"],
        note=head["note"] or "",
        quote_id=head["quote_id"],
        payment_status=paid,
        fulfillment_status=fulfilled,
    )
