"""Compare the money at a double of Stripe with the shop's books, and with the answers that buyers and administrators had.

A buyer is charged once for an order at most. An order has its money, or the money has gone back. Each refund was made once.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from faults.buyers import Tally
from faults.conftest import Conclude
from faults.oracle import Verdict, judge
from faults.payers import Ask, Payers
from support.patience import until
from support.stripe_double.double import StripeDouble
from support.stripe_double.invariants import broken
from support.stripe_double.objects import Intent, Refund
from support.till import Till

KEPT = ("pending", "requires_action", "succeeded")
"""States of refunds that give money back."""

GET_PAYMENTS = """
SELECT payment.id::text, payment.order_id::text, payment.provider_ref, payment.state, payment.authorized_minor, payment.captured_minor,
       payment.refunded_minor
  FROM payments AS payment
 WHERE provider = 'stripe'
"""

GET_ORDERS = """
SELECT placed.id::text, placed.status, placed.total_minor,
       (SELECT reason FROM order_history WHERE order_id = placed.id AND status = 'cancelled' AND actor_kind = 'system') AS expired
  FROM orders AS placed
"""

GET_REFUNDS = """
SELECT refund.id::text, refund.payment_id::text, refund.order_id::text, refund.state, refund.amount_minor, refund.provider_ref,
       refund.is_own, refund.reason
  FROM refunds AS refund
"""

COUNT_OPEN = """
SELECT (SELECT count(*) FROM provider_requests WHERE outcome IS NULL) AS requests,
       (SELECT count(*) FROM provider_events WHERE applied_at IS NULL AND quarantined_at IS NULL) AS events,
       (SELECT count(*) FROM provider_events WHERE quarantined_at IS NOT NULL AND resolved_at IS NULL) AS quarantined
"""

# The workers would do this by themselves: a read after a minute, the work of a dead worker after a minute, and a refund that the provider
# has answered with a 500 after an hour.
HASTEN = (
    """
    UPDATE provider_requests
       SET next_at = now(), leased_until = NULL,
           sent_at = CASE WHEN sent_at IS NOT NULL THEN least(sent_at, now() - interval '61 minutes') END
     WHERE id IN (SELECT id FROM provider_requests WHERE outcome IS NULL FOR UPDATE SKIP LOCKED)
    """,
    """
    UPDATE provider_events SET next_at = now(), leased_until = NULL
     WHERE id IN (SELECT id FROM provider_events WHERE applied_at IS NULL AND quarantined_at IS NULL FOR UPDATE SKIP LOCKED)
    """,
    """
    UPDATE payments SET next_read_at = now()
     WHERE id IN (SELECT id FROM payments WHERE next_read_at IS NOT NULL FOR UPDATE SKIP LOCKED)
    """,
)


async def hasten(database_url: str) -> None:
    """Let the workers do at once what they would do within minutes."""
    connection = await asyncpg.connect(database_url)
    try:
        for statement in HASTEN:
            await connection.execute(statement)
    finally:
        await connection.close()


@dataclass
class Books:
    """The rows of the shop, and the objects of the double that belong to them."""

    payments: Sequence[asyncpg.Record]
    orders: Mapping[str, asyncpg.Record]
    refunds: Sequence[asyncpg.Record]
    intents: dict[str, list[Intent]] = field(default_factory=lambda: defaultdict(list))
    """Intents by the id of the shop's payment."""
    made: dict[str, list[Refund]] = field(default_factory=lambda: defaultdict(list))
    """Refunds by the id of the intent."""

    def returned(self, intent: Intent) -> int:
        """Return the money of an intent that has gone back, or will."""
        return sum(refund.amount for refund in self.made[intent.id] if refund.status in KEPT)


async def compare(database_url: str, double: StripeDouble, asks: Sequence[Ask] = ()) -> list[str]:
    """Return each contradiction between the money, the books and the answers; none if all is done and right."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            open_ = await connection.fetchrow(COUNT_OPEN)
            orders = {row["id"]: row for row in await connection.fetch(GET_ORDERS)}
            books = Books(await connection.fetch(GET_PAYMENTS), orders, await connection.fetch(GET_REFUNDS))
    finally:
        await connection.close()
    for intent in double.account.intents.values():
        books.intents[intent.metadata["payment_id"]].append(intent)
    for refund in double.account.refunds.values():
        books.made[refund.intent].append(refund)
    assert open_ is not None
    return [
        *broken(double.account),
        *(f"{count} {name} are not settled" for name, count in open_.items() if count),
        *_of_payments(books),
        *_of_orders(books),
        *_of_refunds(books),
        *_of_asks(books, asks),
    ]


def _of_payments(books: Books) -> Iterator[str]:
    """Compare each payment with the one intent that it must have."""
    known = {row["id"] for row in books.payments}
    yield from (f"an intent names the payment {id_}, which the shop has not" for id_ in books.intents if id_ not in known)
    for row in books.payments:
        intents = books.intents[row["id"]]
        if len(intents) != 1:
            yield f"payment {row['id']} ({row['state']}) has {len(intents)} intents"
            continue
        [intent] = intents
        refunded = sum(refund.amount for refund in books.made[intent.id] if refund.status == "succeeded")
        told = (row["provider_ref"], row["authorized_minor"], row["captured_minor"], row["refunded_minor"])
        there = (intent.id, intent.amount_capturable, intent.amount_received, refunded)
        if told != there:
            yield f"payment {row['id']} ({row['state']}) is {told} in the books, and {there} at the provider ({intent.status})"


def _of_orders(books: Books) -> Iterator[str]:
    """Compare the status of each order with its money at the provider."""
    by_order: dict[str, list[Intent]] = defaultdict(list)
    for row in books.payments:
        by_order[row["order_id"]] += books.intents[row["id"]]
    for order in books.orders.values():
        intents = by_order[order["id"]]
        captured = [intent for intent in intents if intent.amount_received]
        if len(captured) > 1:
            yield f"order {order['id']} was charged {len(captured)} times"
        came = sum(intent.amount_received + intent.amount_capturable for intent in intents)
        kept = came - sum(map(books.returned, intents))
        match order["status"]:
            case "placed" if kept:
                yield f"order {order['id']} is PLACED, and {kept} were charged for it"
            case "cancelled" if kept:
                yield f"order {order['id']} is CANCELLED, and {kept} were kept"
            case "cancelled" if captured and order["expired"] is not None:
                yield f"order {order['id']} expired, and was paid"
            case "refunded" if kept:
                yield f"order {order['id']} is REFUNDED, and {kept} were kept"
            case "paid" | "shipped" | "delivered" if came < order["total_minor"]:
                yield f"order {order['id']} is {order['status']}, and {came} of {order['total_minor']} came"


def _of_refunds(books: Books) -> Iterator[str]:
    """Compare each refund with the one at the provider, and what was promised with what was there to give."""
    there = Counter(refund.metadata.get("refund_id") for refunds in books.made.values() for refund in refunds)
    states = {refund.id: refund.status for refunds in books.made.values() for refund in refunds}
    promised: Counter[str] = Counter()
    for row in books.refunds:
        if row["is_own"]:
            promised[row["payment_id"]] += row["amount_minor"]
            wanted = (0, 1) if row["state"] == "failed" else (1,)
            if there[row["id"]] not in wanted:
                yield f"refund {row['id']} ({row['state']}) was made {there[row['id']]} times"
        state = states.get(row["provider_ref"])
        if state and (state == "succeeded") != (row["state"] == "succeeded"):
            yield f"refund {row['id']} is {row['state']} in the books, and {state} at the provider"
    own_only = {row["payment_id"] for row in books.refunds} - {row["payment_id"] for row in books.refunds if not row["is_own"]}
    for row in books.payments:
        if row["id"] in own_only and promised[row["id"]] > row["captured_minor"]:
            yield f"payment {row['id']}: refunds of {promised[row['id']]} were promised, and {row['captured_minor']} were captured"


def _of_asks(books: Books, asks: Sequence[Ask]) -> Iterator[str]:
    """Compare the refunds with the answers that administrators had."""
    by_key: dict[str, list[str]] = defaultdict(list)
    for row in books.refunds:
        by_key[row["reason"]].append(row["id"])
    for ask in asks:
        wanted = [] if ask.refusal else [ask.refund_id]
        if by_key[ask.key] != wanted:
            yield f"the key {ask.key} of a refund has the refunds {by_key[ask.key]}, and was answered {ask.refund_id or ask.refusal}"


async def rest(till: Till, asks: Sequence[Ask] = (), *, rounds: int = 3) -> list[str]:
    """Let the worker of a till do all that is due, and return what contradicts the rules of the shop or of the money then."""
    url = till.worker.parts.settings.database_url
    for _ in range(rounds):
        await hasten(url)
        while await till.worker.parts._desk.keeper.round():
            pass
    verdict = await judge(url, Tally(), orders=False)
    return verdict.findings + await compare(url, till.double, asks)


@dataclass(frozen=True)
class Auditor:
    """Waits until all money has come to rest, and checks it."""

    conclude: Conclude

    async def settle(self, payers: Payers) -> None:
        """Let running workers do all that is to be done, until nothing contradicts anything; raises AssertionError with the rest."""
        url = payers.shop.goods.database_url

        async def done() -> bool:
            await hasten(url)
            for _ in range(20):
                findings[:] = await compare(url, payers.double, payers.asks)
                if not findings and await is_at_rest():
                    return True
            return False

        async def is_at_rest() -> bool:
            """Return whether all is right too when the double has sent its last notice, which no worker would apply after its stop."""
            await payers.double.webhooks.idle()
            findings[:] = await compare(url, payers.double, payers.asks)
            return not findings

        findings: list[str] = []
        try:
            await until(done, "all money has come to rest")
        except AssertionError as error:
            raise AssertionError(f"{error}: {findings}") from None

    async def __call__(self, fault: str, payers: Payers, **did: object) -> None:
        """Judge the database and the double; call this when no worker runs any more."""
        verdict = await self.verdict(fault, payers, **did)
        assert verdict.findings == [], verdict.findings

    async def verdict(self, fault: str, payers: Payers, **did: object) -> Verdict:
        """Judge the database and the double, and record the counts."""
        shop = payers.shop
        intents = payers.double.account.intents.values()
        counts = {"payments": len(intents), "captured": sum(intent.amount_received > 0 for intent in intents)}
        verdict = await self.conclude.record(
            fault, shop.goods, shop.tally, {**did, **counts, "refunds": len(payers.double.account.refunds)}
        )
        verdict.findings += await compare(shop.goods.database_url, payers.double, payers.asks)
        return verdict
