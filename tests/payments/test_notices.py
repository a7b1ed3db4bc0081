"""Notices of Stripe at a worker: what they cost, when they are answered, and how they are counted."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from grpc import StatusCode

from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from support.patience import until
from support.scrape import Samples, scrape
from support.shop import refusal
from support.stripe_double.double import StripeDouble
from support.stripe_double.faults import refused
from support.stripe_double.webhooks import signature
from support.till import WEBHOOK_SECRET, Till, opened

FORGED = "t=1,v1=" + 64 * "0"
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "created": 1_800_000_000,
    "livemode": False,
    "type": "payment_intent.succeeded",
    "data": {"object": {"id": "pi_1", "object": "payment_intent"}},
}
BODY = json.dumps(EVENT).encode()
NOT_OURS = json.dumps(EVENT | {"livemode": True}).encode()
ALERTS = (
    *("unsettled_requests", "oldest_request_seconds", "unapplied_events", "event_lag_seconds", "quarantined_events", "failed_refunds"),
    *("open_disputes", "held_orders"),
)


@pytest.fixture
async def metered(settings: Settings, pool: "Pool", double: StripeDouble, port: int) -> AsyncIterator[Till]:
    """A shop that takes payments, with metrics."""
    async with opened(replace(settings, metrics_listen=("127.0.0.1", port)), pool, double) as till:
        yield till


async def test_a_forged_notice_and_one_that_is_not_ours_need_no_connection_to_the_database(till: Till) -> None:
    pool = till.worker.parts.pool
    await till.worker.parts.supervisor.stop()  # its tasks send statements too
    held = [await pool.acquire() for _ in range(till.worker.settings.pool_size)]
    try:
        for body, header in ((BODY, FORGED), (BODY, ""), (b"\xff", FORGED), (b"[]", None), (b"x" * 500_000, FORGED)):
            assert (await refusal(till.deliver(body, header))).reason == "WEBHOOK_INVALID"
        await till.deliver(NOT_OURS)
        stored = asyncio.ensure_future(till.deliver(BODY))
        await asyncio.wait([stored], timeout=0.2)
        assert not stored.done()  # so all connections were held
    finally:
        for conn in held:
            await pool.release(conn)
    await stored
    assert await till.pool.fetchval("SELECT count(*) FROM provider_events") == 1


async def test_a_notice_is_answered_only_once_it_is_stored(till: Till, database: str) -> None:
    holder = await asyncpg.connect(database)
    try:
        await holder.execute("BEGIN; LOCK TABLE provider_events IN EXCLUSIVE MODE")
        waiting = asyncio.ensure_future(till.deliver(BODY))

        async def blocked() -> bool:
            return bool(await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'provider_events'::regclass"))

        await until(blocked, "the insert waits for the lock")
        assert not waiting.done()
    finally:
        await holder.close()
    await waiting
    assert await till.pool.fetchval("SELECT count(*) FROM provider_events") == 1


async def test_a_notice_that_cannot_be_stored_is_refused_so_that_the_provider_repeats_it(till: Till) -> None:
    await till.pool.execute("ALTER TABLE provider_events ADD CHECK (event_id <> 'evt_1') NOT VALID")
    error = await refusal(till.deliver(BODY))
    assert error.code is StatusCode.INTERNAL
    await till.pool.execute("ALTER TABLE provider_events DROP CONSTRAINT provider_events_event_id_check")
    await till.deliver(BODY)
    assert await till.pool.fetchval("SELECT count(*) FROM provider_events") == 1


async def samples(port: int) -> Samples:
    return await asyncio.to_thread(scrape, port)


async def test_notices_are_counted_by_what_became_of_them(metered: Till, port: int) -> None:
    before = await samples(port)
    for body in (BODY, BODY, BODY, NOT_OURS, NOT_OURS):
        await metered.deliver(body)
    for header in (FORGED, "", signature(BODY, [WEBHOOK_SECRET], 1), "x"):
        await refusal(metered.deliver(BODY, header))
    after = await samples(port)
    grown = {name: after[f"mercato_payment_events_total {name}"] - before[f"mercato_payment_events_total {name}"] for name in outcomes()}
    assert grown == {"stored": 1, "repeated": 2, "not_ours": 2, "refused": 4}


def outcomes() -> tuple[str, ...]:
    return ("stored", "repeated", "not_ours", "refused")


async def test_requests_are_counted_by_kind_and_outcome(metered: Till, port: int) -> None:
    order = await metered.order()
    metered.double.faults.add("payment_intents.create", refused(503), refused(503))
    await refusal(metered.pay(order, key="k"))

    async def deferred() -> bool:
        return (await samples(port))["mercato_payment_requests_total create deferred"] >= 2

    await until(deferred, "the worker has repeated the request in vain")
    ref = (await metered.pay(order, key="k")).payment.provider_ref
    metered.double.acts.pay(ref)
    await metered.read_soon()

    async def refunded() -> bool:
        [payment] = await metered.payments(order)
        return bool(payment.captured.minor_units)

    await until(refunded, "the money has come")
    metered.double.acts.dispute(ref)  # the shop does not know it yet
    await metered.refund(order, 100)

    async def counted() -> Samples:
        found = await samples(port)
        return found if found["mercato_payment_requests_total refund refused"] else {}

    found = await until(counted, "the refund is refused")
    assert found["mercato_payment_requests_total create succeeded"] >= 1
    assert found["mercato_payment_requests_total create refused"] == 0
    assert {name.split()[1] for name in found if name.startswith("mercato_payment_requests_total")} == {
        *("create", "capture", "cancel", "refund")
    }


async def test_what_operators_must_look_into_is_gauged(metered: Till, port: int) -> None:
    async def gauged(**values: int) -> Samples:
        metered.worker.parts.payment_watch._interval_s = 0.05
        found = await samples(port)
        return found if all(found.get(f"mercato_payment_{name}") == value for name, value in values.items()) else {}

    found = await until(lambda: gauged(quarantined_events=0), "the first counts are there")
    assert {name for name in ALERTS if f"mercato_payment_{name}" in found} == set(ALERTS)
    await metered.deliver(BODY)  # of a payment that the double does not have
    await metered.worker.parts.supervisor.stop()
    watch = asyncio.ensure_future(metered.worker.parts.payment_watch.keep())
    try:
        await metered.pool.execute("UPDATE provider_events SET quarantined_at = now()")
        await until(lambda: gauged(quarantined_events=1, unapplied_events=0), "the notice in quarantine is counted")
        await metered.pool.execute(
            "UPDATE provider_events SET quarantined_at = NULL, applied_at = NULL, received_at = now() - interval '1 hour'"
        )
        found = await until(lambda: gauged(quarantined_events=0, unapplied_events=1), "the notice is counted as not applied")
        assert 3_600 <= found["mercato_payment_event_lag_seconds"] < 7_200
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def test_counts_of_the_shop_are_absent_while_they_cannot_be_read(metered: Till, port: int) -> None:
    watch = metered.worker.parts.payment_watch
    await until(lambda: watch.counts, "the first counts are there")
    await metered.worker.parts.supervisor.stop()
    await metered.pool.execute("ALTER TABLE disputes RENAME TO others")
    with pytest.raises(asyncpg.UndefinedTableError):
        await watch.keep()
    assert not [name for name in await samples(port) if name.startswith("mercato_payment_quarantined")]
