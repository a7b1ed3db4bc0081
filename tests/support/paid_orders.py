"""Orders whose money and units went every way: by the rules of the domain, each step saved in a transaction, as the server does it.

An order is known by its note, the name of its story. Each has three lamps at 10.01 and two chairs at 25.00.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.database.transactions import transaction
from mercato_server.domain import fulfillment_rules, payment_rules, refund_rules
from mercato_server.domain.accounts import Actor, ActorKind
from mercato_server.domain.fulfillment_rules import Parcel
from mercato_server.domain.order_books import Books, Settled, Shipment
from mercato_server.domain.payment_rules import Means
from mercato_server.domain.payments import MANUAL, Payment, PaymentMethod, Refund
from mercato_server.domain.provider_facts import DisputeFact, DisputeState, PaymentFact, ProviderRefundState, ProviderState, RefundFact
from mercato_server.store import order_books, saved_books
from support.shop import Shop

LAMPS, LAMP_MINOR = 3, 1001
CHAIRS, CHAIR_MINOR = 2, 2500
TOTAL_MINOR = LAMPS * LAMP_MINOR + CHAIRS * CHAIR_MINOR
STAFF = Actor(ActorKind.ADMINISTRATOR, None)

Step = Callable[[Books], object]


def lamp(books: Books) -> UUID:
    return next(product_id for product_id, line in books.units.items() if line.quantity == LAMPS)


def chair(books: Books) -> UUID:
    return next(product_id for product_id, line in books.units.items() if line.quantity == CHAIRS)


def payment(books: Books) -> Payment:
    return list(books.payments.values())[-1]


def refund(books: Books) -> Refund:
    return list(books.refunds.values())[-1]


def shipment(books: Books) -> Shipment:
    return list(books.shipments.values())[-1]


def pay(books: Books, provider: str = "stripe", method: PaymentMethod = PaymentMethod.ONLINE, *, later: bool = False) -> None:
    payment_rules.create(books, Means(provider, method, capture_later=later), STAFF)


def fact(books: Books, state: ProviderState) -> PaymentFact:
    """Return the fact of a payment whose whole amount is in that state."""
    paid = payment(books)
    held, taken = (paid.amount_minor if state is other else 0 for other in (ProviderState.AUTHORIZED, ProviderState.CAPTURED))
    return PaymentFact(
        provider_ref=f"pi_{paid.id}",
        payment_id=paid.id,
        state=state,
        currency_code=paid.currency_code,
        amount_minor=paid.amount_minor,
        authorized_minor=held,
        captured_minor=taken,
        charge_ref=f"ch_{paid.id}",
    )


def hear(books: Books, told: PaymentFact) -> None:
    """Take the provider's answer: all requests that are open are settled."""
    for request_id in list(books.open_requests):
        books.settle(request_id, Settled.SUCCEEDED)
    payment_rules.apply(books, payment(books), told)


def told(state: ProviderState) -> Step:
    return lambda books: hear(books, fact(books, state))


def lapse(books: Books) -> None:
    hear(books, replace(fact(books, ProviderState.DEAD), lapsed=True))


def refund_told(state: ProviderRefundState) -> Step:
    def step(books: Books) -> None:
        made = refund(books)
        known = RefundFact(provider_ref=f"re_{made.id}", refund_id=made.id, state=state, amount_minor=made.amount_minor)
        hear(books, replace(fact(books, ProviderState.CAPTURED), refunds=(known,)))

    return step


def refund_found(books: Books) -> None:
    found = RefundFact(provider_ref=f"re_of_{books.order_id}", refund_id=None, state=ProviderRefundState.SUCCEEDED, amount_minor=700)
    hear(books, replace(fact(books, ProviderState.CAPTURED), refunds=(found,)))


def dispute_told(state: DisputeState) -> Step:
    def step(books: Books) -> None:
        withdrawn_minor = 900 if state in {DisputeState.OPEN, DisputeState.LOST} else 0
        known = DisputeFact(provider_ref=f"dp_{books.order_id}", state=state, amount_minor=900, withdrawn_minor=withdrawn_minor)
        hear(books, replace(fact(books, ProviderState.CAPTURED), disputes=(known,)))

    return step


def give_back(amount_minor: int | None = None, *, lamps: int = 0, chairs: int = 0) -> Step:
    return lambda books: refund_rules.refund(books, payment(books), amount_minor, units(books, lamps, chairs), "", STAFF)


def units(books: Books, lamps: int, chairs: int) -> Mapping[UUID, int]:
    return {product_id: count for product_id, count in ((lamp(books), lamps), (chair(books), chairs)) if count}


def prepare(lamps: int = 0, chairs: int = 0) -> Step:
    return lambda books: fulfillment_rules.prepare(books, units(books, lamps, chairs), Parcel(), STAFF)


def ship(books: Books) -> None:
    fulfillment_rules.ship(books, shipment(books), STAFF)


def deliver(books: Books) -> None:
    fulfillment_rules.deliver(books, shipment(books), STAFF)


def take_back(*, lamps: int = 0, chairs: int = 0, restock: bool) -> Step:
    return lambda books: fulfillment_rules.take_back(books, units(books, lamps, chairs), "", STAFF, restock=restock)


def cancel(books: Books) -> None:
    payment_rules.cancel_order(books, STAFF, "")


def cancel_some(*, lamps: int = 0, chairs: int = 0) -> Step:
    return lambda books: payment_rules.cancel_some(books, units(books, lamps, chairs), STAFF, "")


def decline(books: Books) -> None:
    payment_rules.refuse(books, next(iter(books.open_requests.values())), "card_declined")


HELD = (partial(pay, later=True), told(ProviderState.AUTHORIZED))
TAKEN = (pay, told(ProviderState.CAPTURED))
IN_CASH = (partial(pay, provider=MANUAL, method=PaymentMethod.CASH),)
SENT = (prepare(), ship)
SUCCEEDED, FAILED = refund_told(ProviderRefundState.SUCCEEDED), refund_told(ProviderRefundState.FAILED)

STORIES: dict[str, tuple[Step, ...]] = {
    "asked to pay": (pay,),
    "open": (pay, told(ProviderState.OPEN)),
    "processing": (pay, told(ProviderState.PROCESSING)),
    "declined, then paid": (pay, decline, *TAKEN),
    "held": HELD,
    "held, then captured": (*HELD, prepare(), ship, told(ProviderState.CAPTURED)),
    "capturing": (*HELD, *SENT),
    "lapsed": (*HELD, lapse),
    "paid": TAKEN,
    "sent in parts": (*TAKEN, prepare(lamps=2), ship, deliver, prepare(chairs=1), ship, prepare(lamps=1)),
    "delivered and returned": (
        *IN_CASH, *SENT, deliver, take_back(chairs=1, restock=True), take_back(lamps=2, restock=False), give_back(lamps=2, chairs=1),
    ),
    "cash on delivery": (partial(pay, provider=MANUAL, method=PaymentMethod.CASH_ON_DELIVERY), *SENT, deliver),
    "refund asked for": (*TAKEN, give_back(lamps=1)),
    "refund pending": (*TAKEN, give_back(500), refund_told(ProviderRefundState.PENDING)),
    "refunded in part": (*TAKEN, give_back(lamps=1), SUCCEEDED, give_back(300), SUCCEEDED),
    "refunded": (*TAKEN, give_back(TOTAL_MINOR), SUCCEEDED),
    "refund came back": (*TAKEN, give_back(lamps=3, chairs=2), SUCCEEDED, FAILED),
    "refunded by the provider": (*TAKEN, refund_found),
    "cancelled in part": (*TAKEN, cancel_some(lamps=1), SUCCEEDED, cancel_some(lamps=1), SUCCEEDED),
    "cancelled": (*TAKEN, cancel, SUCCEEDED),
    "cancelled unpaid": (pay, told(ProviderState.OPEN), cancel, told(ProviderState.DEAD)),
    "cancelled, refund under way": (*TAKEN, cancel),
    "cancelled, refund failed": (*TAKEN, cancel, FAILED),
    "disputed": (*TAKEN, dispute_told(DisputeState.OPEN)),
    "dispute won": (*TAKEN, dispute_told(DisputeState.OPEN), dispute_told(DisputeState.WON)),
    "dispute lost": (*TAKEN, dispute_told(DisputeState.LOST)),
    "dispute appealed": (*TAKEN, dispute_told(DisputeState.LOST), dispute_told(DisputeState.WON)),
    "dispute lost, then cancelled": (*TAKEN, dispute_told(DisputeState.LOST), cancel, SUCCEEDED),
}  # fmt: skip

# A worker of the release before writes the status only, and puts back what it cancels.
CHANGE_AS_BEFORE = """
WITH changed AS (
    UPDATE orders SET status = $2, version = version + 1 WHERE id = $1 RETURNING id, version, status, account_id
), step AS (
    INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason)
    SELECT id, version, status, 'buyer', account_id, '' FROM changed
), told AS (
    INSERT INTO events (kind, subject_id) SELECT 'order.' || status, id FROM changed
), line AS (
    SELECT product_id, order_id, quantity FROM order_items WHERE order_id = $1 AND $2 = 'cancelled'
), booked AS (
    INSERT INTO stock_ledger (product_id, order_id, kind, delta, actor_kind)
    SELECT product_id, order_id, 'cancel', quantity, 'buyer' FROM line
)
UPDATE stock_levels AS level SET on_hand = on_hand + quantity FROM line WHERE level.product_id = line.product_id
"""

BEFORE = {"paid before": ("paid",), "cancelled before": ("paid", "cancelled")}

RECEIVE_NOTICES = """
INSERT INTO provider_events (provider, event_id, kind, provider_ref, happened_at, applied_at, quarantined_at)
SELECT provider, 'evt_' || notice.kind, notice.kind, provider_ref, now(), applied_at, quarantined_at
  FROM payments
 CROSS JOIN (VALUES ('waiting', NULL, NULL), ('applied', now(), NULL), ('quarantined', NULL, now()))
            AS notice (kind, applied_at, quarantined_at)
 WHERE order_id = $1
"""

STORE_REFERENCES = """
INSERT INTO idempotency_keys (scope_id, key, method, fingerprint, response)
SELECT account_id, made.method, '/mercato.v1.PaymentService/' || made.method, '', convert_to(made.id::text, 'UTF8')
  FROM orders AS placed
  JOIN payments AS payment ON payment.order_id = placed.id
  JOIN refunds AS refund ON refund.payment_id = payment.id
 CROSS JOIN LATERAL (VALUES ('CreatePayment', payment.id), ('CreateRefund', refund.id)) AS made (method, id)
 WHERE placed.id = $1
"""


async def place_orders(shop: Shop) -> dict[str, UUID]:
    """Place an order for each story; return them by their notes."""
    admin = await shop.person(admin=True)
    lamps = await shop.product(admin, name="Lamp", price=LAMP_MINOR, stock=500)
    chairs = await shop.product(admin, name="Chair", price=CHAIR_MINOR, stock=500)
    placed = {}
    for note in (*STORIES, *BEFORE):
        buyer = await shop.person()
        await shop.add(buyer, lamps, LAMPS)
        await shop.add(buyer, chairs, CHAIRS)
        placed[note] = UUID((await shop.checkout(buyer)).id)
    return placed


async def tell_stories(pool: "Pool", placed: Mapping[str, UUID]) -> None:
    """Let happen to each order what its story says. No worker may run, because it would send requests to a provider that is not there."""
    for note, order_id in placed.items():
        await pool.execute("UPDATE orders SET note = $2 WHERE id = $1", order_id, note)
        for step in STORIES.get(note, ()):
            await happen(pool, order_id, step)
        for status in BEFORE.get(note, ()):
            await pool.execute(CHANGE_AS_BEFORE, order_id, status)
    await pool.execute(RECEIVE_NOTICES, placed["paid"])
    await pool.execute(STORE_REFERENCES, placed["refund asked for"])


async def happen(pool: "Pool", order_id: UUID, step: Step) -> None:
    """Change the books of an order by one step."""
    async with transaction(pool) as conn:
        books = await order_books.load(conn, [order_id])
        step(books[order_id])
        await saved_books.save(conn, books.values())
