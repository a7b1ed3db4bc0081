"""Units of orders that came back, or that were cancelled before they left. All changes lock the order and load its books (order_books)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain import fulfillment_rules, payment_rules
from mercato_server.domain.accounts import Actor, ActorKind
from mercato_server.domain.order_books import OrderReturn, Return
from mercato_server.domain.orders import Order
from mercato_server.domain.paging import Page, Position
from mercato_server.store import order_lists, saved_books
from mercato_server.store.idempotency import IdempotencyKey, Stored, once
from mercato_server.store.order_states import Subject, open_books_of

LIST_RETURNS = """
SELECT id, order_id, restocked, reason, actor_kind, actor_id, created_at,
       (SELECT version FROM orders WHERE orders.id = $1) AS order_version,
       (SELECT jsonb_object_agg(item.product_id, item.quantity)
          FROM return_items AS item
         WHERE item.return_id = returns.id) AS units
  FROM returns
 WHERE order_id = $1 AND id < $2
 ORDER BY id DESC
 LIMIT $3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsStep(Subject):
    """A command about units of an order."""

    units: Mapping[UUID, int]
    reason: str
    actor: Actor


async def returns(pool: "Pool", order_id: UUID, page: Page) -> tuple[Sequence[OrderReturn], Position | None]:
    """Return a page of the returns of an order, newest first, and the position of its last row if more follow."""
    rows = await pool.fetch(LIST_RETURNS, order_id, page.below, page.size + 1)
    found = [_from_row(row) for row in rows[: page.size]]
    return found, Position(None, found[-1].made.id) if len(rows) > page.size else None


def _from_row(row: asyncpg.Record) -> OrderReturn:
    units = {UUID(product_id): quantity for product_id, quantity in json.loads(row["units"]).items()}
    actor = Actor(ActorKind(row["actor_kind"]), row["actor_id"])
    made = Return(row["id"], units, row["restocked"], row["reason"], actor, row["created_at"])
    return OrderReturn(row["order_id"], str(row["order_version"]), made)


@retry_conflicts
async def create(pool: "Pool", step: UnitsStep, key: IdempotencyKey | None = None, *, restock: bool) -> OrderReturn | Stored:
    """Take units back that were shipped; raises OrderNotFound, OrderState, EtagMismatch or UnitsExceed."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _create(conn, step, restock=restock))


async def _create(conn: "Conn", step: UnitsStep, *, restock: bool) -> OrderReturn:
    books = await open_books_of(conn, step)
    made = fulfillment_rules.take_back(books, step.units, step.reason, step.actor, restock=restock)
    books.audit(step.actor, "return.created", {"return_id": made.id, "restocked": restock, "units": _texts(step.units)})
    await saved_books.save(conn, [books])
    return OrderReturn(books.order_id, books.etag, made)


@retry_conflicts
async def cancel_items(pool: "Pool", step: UnitsStep, key: IdempotencyKey | None = None) -> Order | Stored:
    """Cancel units that were not shipped, restock them, and refund what was paid for them.

    Raises OrderNotFound, OrderState, EtagMismatch, UnitsExceed or WrongPaymentState.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _cancel_items(conn, step))


async def _cancel_items(conn: "Conn", step: UnitsStep) -> Order:
    books = await open_books_of(conn, step)
    payment_rules.cancel_some(books, step.units, step.actor, step.reason)
    books.audit(step.actor, "order.items_cancelled", {"units": _texts(step.units)})
    await saved_books.save(conn, [books])
    [order] = await order_lists.read(conn, [step.order_id])
    return order


def _texts(units: Mapping[UUID, int]) -> dict[str, int]:
    """Return units for JSON."""
    return {str(product_id): quantity for product_id, quantity in units.items()}
