"""The states of an order as administrators and buyers move them, and the cancellation of orders that were not paid in time."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain import fulfillment_rules, payment_rules
from mercato_server.domain.accounts import SERVER, Actor, ActorKind
from mercato_server.domain.errors import EtagMismatch, OrderNotFound
from mercato_server.domain.order_books import Books
from mercato_server.domain.orders import Order, OrderStatus, SystemReason, check_transition
from mercato_server.store import order_books, order_lists, saved_books
from mercato_server.store.idempotency import IdempotencyKey, Stored, once
from mercato_server.store.order_batches import change_orders

GET_OWNER = "SELECT account_id FROM orders WHERE id = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The order of a command, and the conditions of its caller.

    With `owner_id`, an order of another account counts as unknown. With `etag`, the order must not have changed since it was read.
    """

    order_id: UUID
    owner_id: UUID | None = None
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Subject):
    """A command to move an order to another state."""

    status: OrderStatus
    actor: Actor
    reason: str


@retry_conflicts
async def transition(pool: "Pool", change: Change, key: IdempotencyKey | None = None) -> Order | Stored:
    """Move an order to another state; CANCELLED puts its units back into stock, in the same transaction.

    With a payment provider, the state may follow later than the answer. Raises OrderNotFound, EtagMismatch, OrderState or
    WrongPaymentState.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _change(conn, change), lambda: require_right(conn, change))


async def require_right(conn: "Conn", subject: Subject) -> None:
    """Raise OrderNotFound if the caller may not see the order. An order's account never changes, so this needs no lock."""
    if subject.owner_id is not None and await conn.fetchval(GET_OWNER, subject.order_id) != subject.owner_id:
        raise OrderNotFound(subject.order_id)


async def owner(pool: "Pool", order_id: UUID) -> UUID | None:
    """Return the account of an order, or None if there is no such order."""
    found: UUID | None = await pool.fetchval(GET_OWNER, order_id)
    return found


async def books_of(conn: "Conn", subject: Subject) -> Books:
    """Lock an order and return its books; raises OrderNotFound or EtagMismatch."""
    books = (await order_books.load(conn, [subject.order_id], require=subject_check(subject))).get(subject.order_id)
    if books is None:
        raise OrderNotFound(subject.order_id)
    return books


async def open_books_of(conn: "Conn", subject: Subject) -> Books:
    """Lock an order and return its books; raises OrderNotFound, EtagMismatch, or OrderState for a status of a later release."""
    books = await books_of(conn, subject)
    if books.status is OrderStatus.UNKNOWN:
        check_transition(books.status, books.status)
    return books


def subject_check(subject: Subject) -> Callable[[Books], None]:
    """Return the check of the caller's conditions, for books as they were read."""

    def check(books: Books) -> None:
        if subject.owner_id is not None and books.account_id != subject.owner_id:
            raise OrderNotFound(subject.order_id)
        if subject.etag and subject.etag != books.etag:
            raise EtagMismatch("order", subject.etag, books.etag)

    return check


async def _change(conn: "Conn", change: Change) -> Order:
    books = await books_of(conn, change)
    before = books.status
    check_transition(before, change.status)
    # An administrator who cancels an own order acts as its buyer.
    actor = payment_rules.as_actor(change.actor, books) if change.status is OrderStatus.CANCELLED else change.actor
    if change.status is OrderStatus.CANCELLED:
        payment_rules.cancel_order(books, actor, change.reason)
    else:
        fulfillment_rules.advance(books, change.status, actor, change.reason)
    if actor.kind is ActorKind.ADMINISTRATOR:
        books.audit(actor, f"order.{change.status}", {"status": change.status}, {"status": before})
    await saved_books.save(conn, [books])
    [order] = await order_lists.read(conn, [change.order_id])
    return order


GET_OVERDUE = """
SELECT id
  FROM orders
 WHERE status = 'placed' AND payment_due_at < now()
   AND NOT EXISTS (SELECT FROM payments WHERE order_id = orders.id AND state NOT IN ('cancelled', 'expired'))
   AND NOT coalesce((SELECT payments_paused_at IS NOT NULL FROM database_origin WHERE singleton), false)  -- it may have been paid
 ORDER BY payment_due_at
 LIMIT $1
"""


async def cancel_overdue(pool: "Pool", limit: int) -> int:
    """Cancel at most `limit` orders that were not paid in time and have no live payment; return how many were cancelled.

    One transaction cancels all of them. An order that another call changes at the same time keeps that change.
    """

    def expire(books: Books) -> None:
        if books.is_overdue and books.live_payment is None:
            payment_rules.cancel_all(books, SERVER, SystemReason.NOT_PAID)

    return len(await change_orders(pool, [row["id"] for row in await pool.fetch(GET_OVERDUE, limit)], expire))


GET_UNBOOKED = "SELECT id FROM orders WHERE booked_version < version ORDER BY id LIMIT $1"


async def adopt_unbooked(pool: "Pool", limit: int) -> int:
    """Bring the books of orders in line that a worker of the release before has changed after one of this release; return their number.

    Such a worker knows only the status. If it has cancelled an order that was paid at a provider, the money goes back now.
    """

    def confirm(books: Books) -> None:
        if books.status is not OrderStatus.UNKNOWN:
            books.touch()  # loading has adopted it

    return len(await change_orders(pool, [row["id"] for row in await pool.fetch(GET_UNBOOKED, limit)], confirm))
