"""The counts of payments that an operator must look into."""

from datetime import timedelta

import pytest

from mercato_server.database.pool import Pool
from mercato_server.store import payment_alerts
from mercato_server.store.payment_alerts import PaymentAlerts
from support.paid_orders import place_orders, tell_stories
from support.shop import settings_of, worker

# By the stories of paid_orders: four requests are open ("asked to pay", "capturing", "refund asked for", "cancelled, refund under way"),
# two refunds have failed, one dispute is open, and one notice is in each state.
TOLD = PaymentAlerts(
    unsettled_requests=4,
    oldest_request_s=0,
    unapplied_events=1,
    oldest_event_s=0,
    quarantined_events=1,
    failed_refunds=2,
    open_disputes=1,
    held_orders=0,
)


async def test_nothing_is_to_be_looked_into_in_an_empty_shop(pool: "Pool") -> None:
    assert await payment_alerts.read(pool) == PaymentAlerts(0, 0, 0, 0, 0, 0, 0, 0)


async def test_what_is_open_is_counted_and_the_oldest_has_its_age(database: str, pool: "Pool") -> None:
    async with worker(settings_of(database), pool) as shop:
        placed = await place_orders(shop)
    await tell_stories(pool, placed)
    assert _without_ages(await payment_alerts.read(pool)) == TOLD
    await pool.execute("UPDATE provider_requests SET created_at = now() - interval '90 s' WHERE outcome IS NULL AND kind = 'create'")
    await pool.execute("UPDATE provider_events SET received_at = now() - interval '30 s' WHERE applied_at IS NULL")
    await pool.execute("UPDATE orders SET payment_due_at = now() - interval '1 s'")
    aged = await payment_alerts.read(pool)
    assert _without_ages(aged) == TOLD._replace(held_orders=1)
    assert aged.oldest_request_s == pytest.approx(90, abs=10)
    assert aged.oldest_event_s == pytest.approx(30, abs=10)


async def test_what_was_looked_into_is_not_counted(database: str, pool: "Pool") -> None:
    async with worker(settings_of(database), pool) as shop:
        placed = await place_orders(shop)
    await tell_stories(pool, placed)
    await pool.execute("UPDATE provider_events SET resolved_at = now() WHERE quarantined_at IS NOT NULL")
    await pool.execute("UPDATE refunds SET updated_at = now() - $1::interval WHERE state = 'failed'", timedelta(days=8))
    await pool.execute("UPDATE disputes SET state = 'won'")
    await pool.execute("UPDATE provider_requests SET outcome = 'failed', settled_at = now() WHERE outcome IS NULL")
    await pool.execute("UPDATE provider_events SET applied_at = now() WHERE quarantined_at IS NULL")
    assert await payment_alerts.read(pool) == PaymentAlerts(0, 0, 0, 0, 0, 0, 0, 0)


def _without_ages(alerts: PaymentAlerts) -> PaymentAlerts:
    return alerts._replace(oldest_request_s=0, oldest_event_s=0)
