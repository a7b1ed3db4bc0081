"""The states of an order: the one transition, and the cancellation of orders that were not paid in time."""

import contextlib
from dataclasses import dataclass
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import SERVER, Actor, ActorKind
from mercato_server.domain.errors import EtagMismatch, OrderNotFound
from mercato_server.domain.events import EventKind
from mercato_server.domain.orders import Order, OrderStatus, SystemReason, check_transition
from mercato_server.store import audit_log, events, inventory, order_lists, redemptions
from mercato_server.store.events import Event
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

INSERT_HISTORY = """
INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason)
VALUES ($1, $2, $3, $4, $5, $6)
"""

GET_OVERDUE = """
SELECT id, version
  FROM orders
 WHERE status = 'placed' AND payment_due_at < now()
 ORDER BY payment_due_at
 LIMIT $1
"""

GET_OWNER = "SELECT account_id FROM orders WHERE id = $1"

LOCK_ORDER = """
SELECT account_id, status, version, pricing_version
  FROM orders
 WHERE id = $1
   FOR NO KEY UPDATE  -- FOR UPDATE would block the consumer that writes its mails
"""

SET_STATUS = """
UPDATE orders
   SET status = $2, version = version + 1, updated_at = now()
 WHERE id = $1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A command to move an order to another state.

    With `owner_id`, an order of another account counts as unknown. With `etag`, the order must not have changed since it was read.
    """

    order_id: UUID
    status: OrderStatus
    actor: Actor
    reason: str
    owner_id: UUID | None = None
    etag: str = ""


@retry_conflicts
async def transition(pool: "Pool", change: Change, key: IdempotencyKey | None = None) -> Order | Stored:
    """Move an order to another state; CANCELLED puts its units back into stock, in the same transaction.

    Raises OrderNotFound, EtagMismatch or OrderState.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _change(conn, change), lambda: _require_right(conn, change))


async def _require_right(conn: "Conn", change: Change) -> None:
    """Raise OrderNotFound if the caller may not see the order. An order's account never changes, so this needs no lock."""
    if change.owner_id is not None and await conn.fetchval(GET_OWNER, change.order_id) != change.owner_id:
        raise OrderNotFound(change.order_id)


async def _change(conn: "Conn", change: Change) -> Order:
    row = await conn.fetchrow(LOCK_ORDER, change.order_id)
    if row is None or (change.owner_id is not None and row["account_id"] != change.owner_id):
        raise OrderNotFound(change.order_id)
    if change.etag and change.etag != (etag := str(row["version"])):
        raise EtagMismatch("order", change.etag, etag)
    check_transition(OrderStatus(row["status"]), change.status)
    # An administrator who cancels an own order acts as its buyer.
    is_owners = change.actor.id == row["account_id"] and change.status is OrderStatus.CANCELLED
    actor = change.actor._replace(kind=ActorKind.BUYER) if is_owners else change.actor
    action = f"order.{change.status}"
    await conn.execute(SET_STATUS, change.order_id, change.status)
    await conn.execute(INSERT_HISTORY, change.order_id, row["version"] + 1, change.status, actor.kind, actor.id, change.reason)
    happened = [Event(EventKind(action), change.order_id, {"account_id": str(row["account_id"])})]
    if change.status is OrderStatus.CANCELLED:
        restocked = await inventory.restock(conn, change.order_id, actor)
        happened += [Event(EventKind.STOCK_CHANGED, product_id) for product_id in restocked]
        if row["pricing_version"] is not None:
            await redemptions.release(conn, change.order_id)
    await events.append(conn, happened)
    if actor.kind is ActorKind.ADMINISTRATOR:
        await audit_log.append(conn, actor, action, change.order_id, {"status": row["status"]}, {"status": change.status})
    [order] = await order_lists.read(conn, [change.order_id])
    return order


async def cancel_overdue(pool: "Pool", limit: int) -> int:
    """Cancel at most `limit` orders that were not paid in time, each in a transaction of its own; return how many were found overdue.

    An order that another call changes at the same time keeps that change: the etag that was read no longer fits.
    """
    rows = await pool.fetch(GET_OVERDUE, limit)
    for order_id, version in rows:
        change = Change(order_id=order_id, status=OrderStatus.CANCELLED, actor=SERVER, reason=SystemReason.NOT_PAID, etag=str(version))
        with contextlib.suppress(EtagMismatch):  # it was paid or cancelled meanwhile
            await transition(pool, change)
    return len(rows)
