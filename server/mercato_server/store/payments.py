"""Payments and refunds: the commands of buyers and administrators, and reads of the payments of an order.

A command that leads to a request at a provider commits first; a worker sends the request after that. So the stored answer of its key is a
reference, the id of the payment or refund, and a replay shows that as it is now.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain import payment_rules, refund_rules
from mercato_server.domain.accounts import Actor, ActorKind
from mercato_server.domain.order_books import Books
from mercato_server.domain.payment_errors import PaymentAmount, PaymentNotFound, PaymentsPaused, WrongPaymentState
from mercato_server.domain.payment_rules import Means
from mercato_server.domain.payments import Payment, PaymentMethod, Refund
from mercato_server.store import order_books, order_states, saved_books
from mercato_server.store.idempotency import IdempotencyKey, Stored, once
from mercato_server.store.order_states import Subject

Unpayable = Callable[[int, str], str | None]
"""Returns why an amount in a currency cannot be charged, or None."""


class Reference:
    """The id of the payment or refund of a command, and whether an earlier call has made it."""

    __slots__ = ("id", "replayed")

    def __init__(self, found: Payment | Refund | Stored) -> None:
        self.id = UUID(found.response.decode()) if isinstance(found, Stored) else found.id
        self.replayed = isinstance(found, Stored) and found.replayed


def by_reference(key: IdempotencyKey | None) -> IdempotencyKey | None:
    """Return a key that stores the id of the result in place of an answer."""
    return replace(key, serialize=lambda made: str(made.id).encode()) if key else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePayment(Subject):
    """A command to open a payment of what is owed for an order."""

    means: Means
    actor: Actor
    unpayable: Unpayable


@retry_conflicts
async def create(pool: "Pool", command: CreatePayment, key: IdempotencyKey | None) -> Reference:
    """Open a payment, or return the live one.

    Raises OrderNotFound, EtagMismatch, PaymentsPaused, WrongPaymentState or PaymentAmount.
    """
    async with transaction(pool) as conn:
        key = by_reference(key)
        return Reference(await once(conn, key, lambda: _create(conn, command), lambda: order_states.require_right(conn, command)))


async def _create(conn: "Conn", command: CreatePayment) -> Payment:
    books = await order_states.books_of(conn, command)
    _require_running(books, is_manual=command.means.method is not PaymentMethod.ONLINE)
    payment = payment_rules.create(books, command.means, command.actor)
    if payment.provider_ref is None and (why := command.unpayable(payment.amount_minor, payment.currency_code)):
        raise PaymentAmount(payment.amount_minor, payment.currency_code, why)
    if command.actor.kind is ActorKind.ADMINISTRATOR and books.writes.is_touched:
        after = {"payment_id": payment.id, "amount_minor": payment.amount_minor, "method": payment.method}
        books.audit(command.actor, "payment.created", after)
    await saved_books.save(conn, [books])
    return payment


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePayment(Subject):
    """An administrator's command to capture or cancel a payment."""

    payment_id: UUID
    actor: Actor


@retry_conflicts
async def capture(pool: "Pool", command: ChangePayment, key: IdempotencyKey | None) -> Reference:
    """Capture an authorised payment of what is owed now; raises OrderNotFound, PaymentNotFound, PaymentsPaused or WrongPaymentState."""

    def work(books: Books, payment: Payment) -> None:
        _require_running(books, is_manual=payment.is_manual)
        payment_rules.capture(books, payment, command.actor)

    return await _change(pool, command, key, "payment.captured", work)


@retry_conflicts
async def cancel(pool: "Pool", command: ChangePayment, key: IdempotencyKey | None) -> Reference:
    """Cancel a payment by which no money has come; raises OrderNotFound, PaymentNotFound or WrongPaymentState."""
    return await _change(pool, command, key, "payment.cancelled", payment_rules.cancel_payment)


async def _change(
    pool: "Pool", command: ChangePayment, key: IdempotencyKey | None, action: str, work: Callable[[Books, Payment], None]
) -> Reference:
    async def change() -> Payment:
        books = await order_states.books_of(conn, command)
        payment = _of(books, command.payment_id)
        before = payment.state
        work(books, payment)
        books.audit(command.actor, action, {"payment_id": payment.id, "state": payment.state}, {"state": before})
        await saved_books.save(conn, [books])
        return payment

    async with transaction(pool) as conn:
        return Reference(await once(conn, by_reference(key), change))


def _require_running(books: Books, *, is_manual: bool) -> None:
    """Raise PaymentsPaused if money is to move at a provider whose payments were not compared since a restore."""
    if books.payments_paused and not is_manual:
        raise PaymentsPaused


def _of(books: Books, payment_id: UUID) -> Payment:
    payment = books.payments.get(payment_id)
    if payment is None:
        raise PaymentNotFound(payment_id)
    return payment


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRefund(Subject):
    """An administrator's command to give money back: an amount, or what units cost, or all that is left."""

    payment_id: UUID | None
    amount_minor: int | None
    units: Mapping[UUID, int] = field(default_factory=dict)
    reason: str
    actor: Actor


@retry_conflicts
async def refund(pool: "Pool", command: CreateRefund, key: IdempotencyKey | None) -> Reference:
    """Reserve money of a payment and ask for its refund.

    Raises OrderNotFound, EtagMismatch, PaymentNotFound, PaymentsPaused, WrongPaymentState, RefundExceeds or UnitsExceed.
    """
    async with transaction(pool) as conn:
        return Reference(await once(conn, by_reference(key), lambda: _refund(conn, command)))


async def _refund(conn: "Conn", command: CreateRefund) -> Refund:
    books = await order_states.books_of(conn, command)
    payment = _of(books, command.payment_id) if command.payment_id else _refundable(books)
    _require_running(books, is_manual=payment.is_manual)
    amount_minor = command.amount_minor
    if amount_minor is None and not command.units:
        amount_minor = payment.left_minor
    made = refund_rules.refund(books, payment, amount_minor, command.units, command.reason, command.actor)
    books.conclude(command.actor, command.reason)
    books.audit(command.actor, "refund.created", {"refund_id": made.id, "payment_id": payment.id, "amount_minor": made.amount_minor})
    await saved_books.save(conn, [books])
    return made


def _refundable(books: Books) -> Payment:
    """Return the payment of an order that has the most money left."""
    captured = [payment for payment in books.payments.values() if payment.captured_minor]
    if not captured:
        raise WrongPaymentState("no money of the order has come, so nothing can be refunded")
    return max(captured, key=lambda payment: payment.left_minor)


GET_PAYMENT = f"""
SELECT {order_books.PAYMENT_COLUMNS}
  FROM payments
 WHERE id = $1 AND order_id = $2
"""  # noqa: S608 - constants


async def get(pool: "Pool", order_id: UUID, payment_id: UUID) -> Payment:
    """Return a payment of an order, without its ledger; raises PaymentNotFound."""
    row = await pool.fetchrow(GET_PAYMENT, payment_id, order_id)
    if row is None:
        raise PaymentNotFound(payment_id)
    return order_books.payment(row)


GET_REFUND = f"""
SELECT {order_books.REFUND_COLUMNS}
  FROM refunds
 WHERE id = $1
"""  # noqa: S608 - constants


async def get_refund(pool: "Pool", refund_id: UUID) -> Refund:
    """Return a refund that exists."""
    [row] = await pool.fetch(GET_REFUND, refund_id)
    return order_books.refund(row)
