"""The facts that providers tell, applied to the books of their orders: one transaction for any number of payments."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain import payment_rules
from mercato_server.domain.order_books import Books, Settled
from mercato_server.domain.orders import OrderStatus
from mercato_server.domain.payments import Payment, PaymentState, ProviderRequest, RequestKind, mismatch
from mercato_server.domain.provider_facts import PaymentFact, ProviderState, RefundFact
from mercato_server.store import order_books, provider_events, saved_books
from mercato_server.store.order_batches import change_orders

GET_ORDERS_OF_PAYMENTS = "SELECT id, order_id FROM payments WHERE id = ANY($1::uuid[])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The news of a provider about a payment of the shop: a fact, or the refusal of a request."""

    provider: str
    payment_id: UUID
    fact: PaymentFact | None = None
    refund: RefundFact | None = None
    refusal: str = ""
    """The provider's code of a definite refusal of the request."""
    request: ProviderRequest | None = None
    """The request that it answers, which ends by it."""
    event_ids: Sequence[UUID] = field(default_factory=tuple)
    """The notices that led to a read."""


async def orders_of(pool: "Pool", payment_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return the orders of payments; a payment that does not exist has none."""
    return {row["id"]: row["order_id"] for row in await pool.fetch(GET_ORDERS_OF_PAYMENTS, payment_ids)}


@retry_conflicts
async def apply(pool: "Pool", told: Sequence[Told]) -> None:
    """Book facts and refusals, in one transaction and a constant number of statements. A fact that does not fit is quarantined."""
    orders = await orders_of(pool, [each.payment_id for each in told])
    async with transaction(pool) as conn:
        books = await order_books.load(conn, set(orders.values()))
        applied: list[UUID] = []
        for each in told:
            found = books[orders[each.payment_id]]
            if failure := _apply(found, found.payments[each.payment_id], each):
                await _set_aside(conn, found.payments[each.payment_id], each, failure)
            else:
                applied += each.event_ids
        await saved_books.save(conn, books.values())
        if applied:
            await provider_events.set_applied(conn, applied)


def _apply(books: Books, payment: Payment, told: Told) -> str | None:
    """Book one; return why it does not fit the payment, or None."""
    if told.refusal and told.request:
        if told.request.id in books.open_requests:
            payment_rules.refuse(books, told.request, told.refusal)
        return None
    fact = told.fact or (of_refund(payment, told.refund) if told.refund else None)
    failure = mismatch(payment, fact) if fact else None
    if fact and not failure and fact.state is ProviderState.AUTHORIZED and payment.state is not PaymentState.AUTHORIZED:
        _withdraw_cancellation(books, payment)
    # The money of a payment that was given up may still come; its cancellation is asked for again.
    still_comes = fact is not None and fact.state is ProviderState.PROCESSING and not payment.state.is_live
    if told.request and told.request.id in books.open_requests and not (still_comes and told.request.kind is RequestKind.CANCEL):
        books.settle(told.request.id, Settled.FAILED if failure else Settled.SUCCEEDED, "mismatch" if failure else "")
    if fact and not failure:
        payment_rules.apply(books, payment, fact)
    return failure


def _withdraw_cancellation(books: Books, payment: Payment) -> None:
    """Withdraw the cancellation of a payment that its buyer has authorised meanwhile. If nothing is owed, the rules ask for it again."""
    for request in list(books.open_requests.values()):
        if request.kind is RequestKind.CANCEL and request.payment_id == payment.id:
            books.settle(request.id, Settled.FAILED, "authorized")


def of_refund(payment: Payment, refund: RefundFact) -> PaymentFact:
    """Return a fact that tells only of a refund."""
    return PaymentFact(
        provider_ref=payment.provider_ref or "",
        payment_id=payment.id,
        state=ProviderState.CAPTURED,
        currency_code=payment.currency_code,
        amount_minor=payment.amount_minor,
        capture_before=payment.capture_before,
        failure=payment.failure,
        refunds=(refund,),
    )


async def _set_aside(conn: "Conn", payment: Payment, told: Told, failure: str) -> None:
    if told.event_ids:
        await provider_events.quarantine(conn, told.event_ids, failure)
    elif told.fact:
        await provider_events.quarantine_read(conn, payment.provider, told.fact.provider_ref, failure)


LEASE_READS = """
UPDATE payments AS payment
   SET next_read_at = least(now() + make_interval(mins => least(60, 1 << least(payment.reads, 6))),
                            CASE WHEN due.payment_due_at > now() THEN due.payment_due_at END),
       reads = payment.reads + 1
  FROM (SELECT waiting.id, placed.payment_due_at
          FROM payments AS waiting
          JOIN orders AS placed ON placed.id = waiting.order_id
         WHERE waiting.next_read_at <= now()
         ORDER BY waiting.next_read_at
         LIMIT $1
           FOR UPDATE OF waiting SKIP LOCKED) AS due
 WHERE payment.id = due.id
RETURNING payment.id, payment.provider, payment.provider_ref
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """A payment to read at its provider."""

    payment_id: UUID
    provider: str
    provider_ref: str


async def lease_reads(pool: "Pool", limit: int) -> list[Reading]:
    """Return payments of which the provider may have news without a notice, at most `limit`, and set the time of their next reads."""
    return [Reading(*row) for row in await pool.fetch(LEASE_READS, limit)]


GET_LAPSING = """
SELECT order_id, id
  FROM payments
 WHERE state = 'authorized' AND capture_before < now() + interval '1 day' AND provider <> 'manual'
   AND NOT EXISTS (SELECT
                     FROM provider_requests
                    WHERE payment_id = payments.id AND kind IN ('capture', 'cancel')
                      AND (outcome IS NULL OR settled_at > now() - interval '1 hour'))  -- one that was refused is not repeated at once
 ORDER BY capture_before
 LIMIT $1
"""


async def capture_lapsing(pool: "Pool", limit: int) -> int:
    """Ask for the capture of authorisations that lapse within a day; return the number of new requests."""
    found = {row["order_id"]: row["id"] for row in await pool.fetch(GET_LAPSING, limit)}

    def capture(books: Books) -> None:
        if books.status is not OrderStatus.UNKNOWN:
            payment_rules.capture_before_lapse(books, books.payments[found[books.order_id]])

    return sum(len(books.writes.requests) for books in await change_orders(pool, list(found), capture))
