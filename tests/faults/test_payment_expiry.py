"""The time to pay many orders ends at the moment at which their buyers pay: money decides, and each unit is sold or on hand."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from faults.buyers import dice, fill_carts, market, stock_up
from faults.conftest import Conclude, Scale
from faults.money import Auditor, hasten, rest
from faults.payers import Deal, Payers, paying_worker, receive
from faults.processes import Edge, running
from mercato.v1 import order_pb2
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool, create_pool
from mercato_server.payments.desk import Desk
from mercato_server.payments.stripe_provider import StripeProvider
from support.patience import until
from support.stripe_double.double import StripeDouble
from support.stripe_double.faults import refused
from support.stripe_shop import settings_of
from support.till import Till, opened

CHECKED_S = 0.2
STOCK = 1_000
LATE_S = 1.0
"""Buyers pay this much before or after the end of the time to pay."""
LOST = 0.3
"""Share of the notices of payments that are lost."""
SET_DUE = "UPDATE orders SET payment_due_at = $1"
SET_READ = "UPDATE payments SET next_read_at = $1 WHERE next_read_at IS NOT NULL"
COUNT_UNITS = "SELECT sum(on_hand) FROM stock_levels"
COUNT_SOLD = "SELECT coalesce(sum(quantity), 0) FROM order_items JOIN orders ON orders.id = order_id WHERE status <> 'cancelled'"
GET_STATUSES = "SELECT id::text, status FROM orders"


@pytest.mark.parametrize("capture_later", [False, True], ids=["captured at once", "captured later"])
async def test_orders_that_are_paid_as_their_time_ends_are_paid_or_cancelled_and_never_both(
    directory: Path, database: str, double: StripeDouble, scale: Scale, conclude: Conclude, *, capture_later: bool
) -> None:
    goods = await stock_up(database, buyers=scale(61, 1_001), products=20, stock=STOCK)
    workers = [paying_worker(directory, database, double, name=name, capture_later=capture_later) for name in ("one", "two", "three")]
    async with (
        running(*workers),
        Edge(directory, workers, CHECKED_S) as edge,
        market(goods, *(worker.address for worker in workers)) as shop,
    ):
        payers = await Payers.of(shop, double)
        buyers = goods.buyers[:-1]
        await fill_carts(goods, buyers, goods.product_ids[:2])
        purchases = [shop.tally.begin(buyer) for buyer in buyers]
        await asyncio.gather(*map(shop.resolve, purchases))
        await asyncio.gather(*map(payers.open, purchases))
        receive(double, edge)
        double.webhooks.lose("payment_intent.succeeded", int(LOST * len(buyers)))
        await race(payers, datetime.now(UTC) + timedelta(seconds=2 * LATE_S))
        await Auditor(conclude).settle(payers)
    for worker in workers:
        worker.require_no_bugs_logged()
    statuses = await conclude_expiry(database, payers)
    await Auditor(conclude)(f"expiry races payment{', captured later' if capture_later else ''}", payers, **statuses)


async def race(payers: Payers, due: datetime) -> None:
    """Let the time to pay all orders end at a moment; most buyers pay about then, and workers and an operator expire orders meanwhile."""
    connection = await asyncpg.connect(payers.shop.goods.database_url)
    await connection.execute(SET_DUE, due)
    await connection.execute(SET_READ, due)
    await connection.close()

    async def pay(deal: Deal) -> None:
        deal.purchase.cancelling = True  # by its expiry
        await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds() + dice.uniform(-LATE_S, LATE_S)))
        if dice.random() < 0.7:
            payers.pay(deal)

    await payers.each(pay)


async def conclude_expiry(database: str, payers: Payers) -> dict[str, object]:
    """Check that each order is paid or cancelled as its money says, and that no unit is lost; return how many there are of each."""
    connection = await asyncpg.connect(database)
    try:
        statuses = {row["id"]: row["status"] for row in await connection.fetch(GET_STATUSES)}
        units = await connection.fetchval(COUNT_UNITS) + await connection.fetchval(COUNT_SOLD)
    finally:
        await connection.close()
    assert units == STOCK * len(payers.shop.goods.product_ids)
    intents = {intent.metadata["order_id"]: intent.status for intent in payers.double.account.intents.values()}
    assert {order_id: "cancelled" if intents[order_id] == "canceled" else "paid" for order_id in statuses} == statuses
    counts = Counter(statuses.values())
    assert min(counts["paid"], counts["cancelled"]) > 0
    return {"orders": len(statuses), **counts}


async def test_an_authorisation_that_comes_while_a_cancellation_waits_is_kept(
    settings: Settings, pool: "Pool", double: StripeDouble
) -> None:
    """Stripe would cancel it as well; the buyer sees it as paid."""
    async with opened(settings, pool, double, capture_later=True) as till:
        order = await till.order()
        ref = (await till.pay(order)).payment.provider_ref
        double.faults.add("payment_intents.cancel", refused(503), refused(503))
        await till.is_overdue(order)
        await till.read_soon()
        await until(lambda: any(call.operation == "payment_intents.cancel" for call in double.calls), "the worker asks to cancel")
        assert double.acts.pay(ref) == "requires_capture"
        assert await rest(till) == []
        assert (await till.get(order)).status == order_pb2.ORDER_STATUS_PAID
        assert double.account.intents[ref].status == "requires_capture"


async def test_a_batch_of_payments_expires_in_a_constant_number_of_statements(
    settings: Settings, pool: "Pool", double: StripeDouble, scale: Scale
) -> None:
    """A batch has 100 payments, so 1,000 take ten times the statements of 100, and 100 as many as 10."""
    async with opened(settings, pool, double) as till, counting(settings, till) as count:
        await count(1)  # asyncpg looks up a type when a connection first uses it
        [few], most = await count(10), scale(100, 1_000)
        assert await count(most) == [few] * (most // 100)


@asynccontextmanager
async def counting(settings: Settings, till: Till) -> AsyncIterator[Callable[[int], Awaitable[list[tuple[int, int]]]]]:
    """Stop the tasks of the worker; yield a function that lets as many payments expire.

    The function returns the numbers of statements of each batch: to read its payments, and to cancel payments and orders.
    """
    await till.worker.parts.supervisor.stop()
    provider, sent = StripeProvider(settings_of(till.double.url), settings.currency), list[str]()
    one = await create_pool(replace(settings, pool_size=1))
    async with one.acquire() as conn:
        conn.add_query_logger(lambda query: sent.append(query.query))
    keeper = Desk(one, provider, settings.payments).keeper

    async def batches(work: Callable[[], Awaitable[int]]) -> list[int]:
        counts, done = [], 1
        while done:
            sent.clear()
            if done := await work():
                counts.append(len(sent))
        return counts

    async def count(payments: int) -> list[tuple[int, int]]:
        orders = [await till.order() for _ in range(payments)]
        for order in orders:
            await till.pay(order)
        await till.is_overdue(*orders)
        await hasten(settings.database_url)
        read = await batches(keeper._inbox.read_due)
        await hasten(settings.database_url)
        cancelled = await batches(keeper._outbox.settle_due)
        assert {(await till.get(order)).status for order in orders} == {order_pb2.ORDER_STATUS_CANCELLED}
        return list(zip(read, cancelled, strict=True))

    try:
        yield count
    finally:
        await provider.close()
        await one.close()
