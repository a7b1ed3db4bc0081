"""Payments under faults of the provider: late, lost, doubled and reordered notices, lost answers, errors, outages, and other clocks."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from uuid import uuid4

import asyncpg
import grpc
import pytest
from grpc import StatusCode

from faults.buyers import AGAIN, describe, dice
from faults.conftest import Scale
from faults.money import rest
from faults.oracle import left_open
from faults.payers import Ask
from mercato.v1 import catalog_pb2, order_pb2, payment_pb2
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from support.patience import Within, until
from support.shop import refusal
from support.stripe_double.double import StripeDouble
from support.stripe_double.faults import LOST_ANSWER, LOST_REQUEST, Fault, broken, refused
from support.till import Till, opened

CREATE, REFUND = "payment_intents.create", "refunds.create"
PAID = order_pb2.ORDER_STATUS_PAID
UNAVAILABLE = (StatusCode.UNAVAILABLE, "PAYMENT_PROVIDER_UNAVAILABLE")
EXCEEDS = "FAILED_PRECONDITION REFUND_EXCEEDS"
USUAL_S = 0.25
"""A read or a checkout of one line takes less, with and without a provider."""
SKEW_S = 600

FORGET_KEYS = "UPDATE provider_requests SET sent_at = sent_at - interval '1 day' WHERE outcome IS NULL"
GET_ATTEMPTS = "SELECT array_agg(attempt ORDER BY attempt) FROM provider_requests WHERE kind = $1"
BUSY = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'mercato' AND state <> 'idle'
"""


@pytest.fixture
async def till(settings: Settings, pool: "Pool", double: StripeDouble) -> AsyncIterator[Till]:
    """A shop that captures payments at once."""
    async with opened(settings, pool, double) as till:
        yield till


async def paid_order(till: Till, quantity: int = 1) -> order_pb2.Order:
    """Place an order and pay it."""
    order = await till.order(quantity)
    till.double.acts.pay((await till.pay(order)).payment.provider_ref)
    await till.notify("payment_intent.succeeded")
    return await till.becomes(order, PAID)


# Notices.


async def test_the_money_of_an_order_may_come_before_the_answer_to_the_creation_of_its_payment(till: Till, scale: Scale) -> None:
    for _ in range(scale(3, 50)):
        order, answer = await till.order(), asyncio.Event()
        till.double.faults.add(CREATE, Fault(after=answer))
        known = set(till.double.account.intents)
        opening = asyncio.ensure_future(till.pay(order, key=uuid4().hex))
        [ref] = await until(partial(_new_intents, till, known))
        till.double.acts.pay(ref)
        await till.notify("payment_intent.succeeded")
        await till.becomes(order, PAID)
        assert not opening.done()
        answer.set()
        told = await opening
        assert (told.payment.state, told.payment.provider_ref) == (payment_pb2.PAYMENT_STATE_CAPTURED, ref)
        assert told.client_secret == ""
    assert await rest(till) == []


def _new_intents(till: Till, known: set[str]) -> set[str]:
    return set(till.double.account.intents) - known


async def test_notices_that_are_lost_doubled_and_reordered_lead_to_the_same_books(till: Till, scale: Scale) -> None:
    orders = [await till.order() for _ in range(scale(20, 400))]
    opened = [await till.pay(order) for order in orders]
    for number, each in enumerate(opened):
        ref = each.payment.provider_ref
        if number % 4 == 1:
            till.double.acts.pay(ref, "pm_card_visa_chargeDeclined")
        if number % 4:
            till.double.acts.pay(ref)
        if number % 4 == 3:
            till.double.acts.refund(ref, 400)
    notices = [event for event in till.double.events.kept() if dice.random() < 0.7 for _ in range(dice.randint(1, 3))]
    dice.shuffle(notices)
    await in_parallel([till.deliver(json.dumps(event).encode()) for event in notices])
    assert await till.pool.fetchval("SELECT count(*) FROM provider_events") == len({event["id"] for event in notices})
    assert await rest(till) == []
    states = [(await till.get(order)).status for order in orders]
    assert states == [PAID if number % 4 else order_pb2.ORDER_STATUS_PLACED for number in range(len(orders))]


async def in_parallel(calls: Sequence[Awaitable[object]], at_once: int = 8) -> list[object]:
    """Await calls, some at once; returns their answers or errors."""
    places = asyncio.Semaphore(at_once)

    async def one(call: Awaitable[object]) -> object:
        async with places:
            return await call

    return await asyncio.gather(*map(one, calls))


# Refunds.


async def ask(till: Till, order: order_pb2.Order, amount: int, asks: list[Ask]) -> Ask:
    """Ask for a refund until the outcome is known."""
    made = Ask(order.id)
    asks.append(made)
    request = payment_pb2.CreateRefundRequest(order_id=order.id, reason=made.key)
    request.amount.minor_units = amount
    metadata = (*till.admin.metadata, ("idempotency-key", made.key))
    while not made.refund_id and not made.refusal:
        try:
            made.refund_id = (await till.shop.payments.CreateRefund(request, metadata=metadata, timeout=30)).id
        except grpc.aio.AioRpcError as error:
            if error.code() not in AGAIN:
                made.refusal = describe(error)
    return made


FAULTS = (LOST_ANSWER, refused(409, "true"), LOST_REQUEST, broken(effect=True), refused(429), refused(500))


@pytest.mark.parametrize("dashboard", [False, True], ids=["by the shop", "and at the dashboard"])
async def test_64_refunds_that_race_never_exceed_what_was_captured(till: Till, scale: Scale, *, dashboard: bool) -> None:
    for _ in range(scale(1, 20)):
        asks: list[Ask] = []
        order, go_on = await paid_order(till, 10), asyncio.Event()
        [payment] = await till.payments(order)
        till.double.faults.add(REFUND, *FAULTS)
        if dashboard:  # the shop's refunds wait, so that money is left for those at the dashboard
            till.double.faults.stand(REFUND, Fault(before=go_on))
        asking = [asyncio.ensure_future(ask(till, order, 300, asks)) for _ in range(64)]
        if dashboard:
            await until(lambda: till.double.account.refunds)
            for _ in range(3):
                till.double.acts.refund(payment.provider_ref, 700)
            go_on.set()
        await asyncio.gather(*asking)
        await till.notify("charge.refunded")
        assert await rest(till, asks) == []
        refused_ = [each.refusal for each in asks if each.refusal]
        assert set(refused_) <= {EXCEEDS}
        [payment] = await till.payments(order)
        if dashboard:
            assert 2_100 <= payment.refunded.minor_units <= 10_000
        else:
            assert (len(refused_), payment.refunded.minor_units) == (64 - 33, 33 * 300)


async def test_a_refund_is_made_once_while_another_call_of_it_is_in_progress(till: Till) -> None:
    order, go_on = await paid_order(till), asyncio.Event()
    till.double.faults.add(REFUND, Fault(before=go_on))
    first = asyncio.ensure_future(till.refund(order, 300, key="k"))
    await until(lambda: till.double.running[REFUND])
    again = await till.refund(order, 300, key="k")
    assert again.state == payment_pb2.REFUND_STATE_REQUESTED
    assert [call.status for call in till.double.calls if call.operation == REFUND][-1] == 409
    go_on.set()
    assert (await first).id == again.id
    assert await rest(till) == []
    assert [refund.amount for refund in till.double.account.refunds.values()] == [300]


@pytest.mark.parametrize("effect", [True, False], ids=["with effect", "without"])
async def test_a_refund_whose_key_has_stored_an_error_is_found_or_made_anew_when_the_key_is_forgotten(till: Till, *, effect: bool) -> None:
    order = await paid_order(till)
    till.double.faults.add(REFUND, broken(effect=effect))
    till.double.events.omit("refund.created")
    till.double.events.omit("charge.refunded")
    await till.refund(order, 300)
    await till.pool.execute(FORGET_KEYS)
    till.double.clock.advance(25 * 3600)
    assert await rest(till) == []
    assert [refund.amount for refund in till.double.account.refunds.values()] == [300]
    assert await till.pool.fetchval(GET_ATTEMPTS, "refund") == [1 if effect else 2]


async def opened_ref(till: Till, order: order_pb2.Order) -> str:
    """Open a payment with the key of the tries before; return the provider's id of it, or nothing while the provider is not available."""
    try:
        told = await till.pay(order, key="k")
    except grpc.aio.AioRpcError as error:
        assert error.code() is StatusCode.UNAVAILABLE  # noqa: PT017 - any other error is a bug
        return ""
    assert told.client_secret
    return told.payment.provider_ref


# A provider that is down, slow or broken.


@asynccontextmanager
async def shopping(till: Till, within: Within) -> AsyncIterator[None]:
    """Let a buyer read and check out during the block, at least four times, each time as quickly as ever."""
    closing, took_s = asyncio.Event(), list[float]()
    buyer, product = await till.shop.person(), await till.shop.product(till.admin, stock=1_000_000)

    async def shop() -> None:
        while not closing.is_set() or len(took_s) < 12:
            for act in (
                partial(till.shop.add, buyer, product),
                partial(till.shop.checkout, buyer),
                partial(till.shop.catalog.ListProducts, catalog_pb2.ListProductsRequest()),
            ):
                began = time.monotonic()
                await act()
                took_s.append(time.monotonic() - began)

    async with asyncio.TaskGroup() as group:
        group.create_task(shop())
        try:
            yield
        finally:
            closing.set()
    assert sorted(took_s)[len(took_s) * 95 // 100] <= within(USUAL_S)


async def test_a_provider_that_is_down_stops_only_payments(till: Till, scale: Scale, within: Within) -> None:
    order, paid = await till.order(), await paid_order(till)
    await till.double.go_down()
    async with shopping(till, within):
        began = time.monotonic()
        while time.monotonic() < began + scale(3, 60):
            error = await refusal(till.pay(order, key="k"))
            assert (error.code, error.reason) == UNAVAILABLE
            assert (await till.refund(paid, 400, key="r")).state == payment_pb2.REFUND_STATE_REQUESTED
    await till.double.start()
    assert await until(partial(opened_ref, till, order))  # not at once if the worker is repeating the request at this moment
    assert await rest(till) == []
    assert [refund.amount for refund in till.double.account.refunds.values()] == [400]
    assert len(till.double.account.intents) == 2


async def test_a_slow_provider_makes_one_payment_and_one_refund(
    settings: Settings, pool: "Pool", double: StripeDouble, scale: Scale, within: Within
) -> None:
    """It answers later than the worker waits, so each call is repeated."""
    slow_s, timeout_s = scale(3, 30), scale(1, 10)
    async with opened(settings, pool, double, timeout_s=float(timeout_s)) as till:
        order, paid = await till.order(), await paid_order(till)
        double.faults.add(CREATE, Fault(before=float(slow_s)))
        double.faults.add(REFUND, Fault(before=float(slow_s)))
        async with shopping(till, within):
            refund = await till.refund(paid, 400, key="r")
            assert refund.state == payment_pb2.REFUND_STATE_REQUESTED
            await until(partial(opened_ref, till, order))
        assert await rest(till) == []
    assert [each.amount for each in double.account.refunds.values()] == [400]
    assert len(double.account.intents) == 2


@pytest.mark.parametrize("effect", [None, True, False], ids=["not stored", "stored with effect", "stored without"])
async def test_a_payment_whose_creation_was_answered_by_500_can_be_paid_soon(till: Till, *, effect: bool | None) -> None:
    order = await till.order()
    till.double.faults.add(CREATE, refused(500) if effect is None else broken(effect=effect))
    error = await refusal(till.pay(order, key="k"))
    assert (error.code, error.reason) == UNAVAILABLE
    assert till.double.acts.pay(await until(partial(opened_ref, till, order))) == "succeeded"
    assert await rest(till) == []
    assert (await till.get(order)).status == PAID
    assert len(till.double.account.intents) == 1


async def test_no_connection_is_held_while_the_provider_is_asked(
    settings: Settings, pool: "Pool", double: StripeDouble, within: Within
) -> None:
    async with opened(replace(settings, pool_size=2), pool, double) as till:
        orders = [await till.order() for _ in range(20)]
        answer = asyncio.Event()
        double.faults.add(CREATE, *[Fault(before=answer) for _ in orders])
        opening = [asyncio.ensure_future(till.pay(order)) for order in orders]
        await until(lambda: double.running[CREATE] == len(orders), "all calls wait for the provider")
        await until(lambda: is_idle(settings.database_url), "no connection of the worker is busy")
        assert await left_open(settings.database_url) == 0
        async with shopping(till, within):
            await asyncio.gather(*(till.order(1, buyer) for buyer in [await till.shop.person() for _ in range(10)]))
        assert not any(each.done() for each in opening)
        answer.set()
        assert len({each.payment.id for each in await asyncio.gather(*opening)}) == len(orders)
        assert await rest(till) == []


async def is_idle(database_url: str) -> bool:
    """Return whether no connection of the worker runs a statement or a transaction."""
    connection = await asyncpg.connect(database_url)
    try:
        return not await connection.fetchval(BUSY)
    finally:
        await connection.close()


# Clocks.


@pytest.mark.parametrize("skew_s", [SKEW_S, -SKEW_S], ids=["ahead", "behind"])
async def test_a_provider_whose_clock_is_ten_minutes_off_loses_no_payment(till: Till, double: StripeDouble, skew_s: int) -> None:
    double.clock.advance(skew_s)
    order = await till.order()
    told = await till.pay(order)
    double.acts.pay(told.payment.provider_ref)
    event = double.events.of_kind("payment_intent.succeeded")[-1]
    if skew_s > 0:
        await till.deliver(json.dumps(event).encode())
        await till.becomes(order, PAID)
    else:  # a signature that is ten minutes old may be a replay
        error = await refusal(till.deliver(json.dumps(event).encode()))
        assert (error.code, error.reason) == (StatusCode.INVALID_ARGUMENT, "WEBHOOK_INVALID")
        assert await till.pool.fetchval("SELECT count(*) FROM provider_events") == 0
    assert await rest(till) == []
    assert (await till.get(order)).status == PAID


@pytest.mark.parametrize("skew_s", [SKEW_S, -SKEW_S], ids=["ahead", "behind"])
async def test_a_payment_is_found_in_the_list_of_a_provider_whose_clock_is_ten_minutes_off(
    till: Till, double: StripeDouble, skew_s: int
) -> None:
    """The answer to its creation is lost until the provider has forgotten the key; then only the list tells."""
    double.clock.advance(skew_s)
    order = await till.order()
    double.faults.add(CREATE, LOST_ANSWER)
    double.events.omit("payment_intent.created")
    await refusal(till.pay(order, key="k"))
    await till.pool.execute(FORGET_KEYS)
    double.clock.advance(25 * 3600)
    assert await rest(till) == []
    told = await till.pay(order, key="k")
    assert list(double.account.intents) == [told.payment.provider_ref]
    assert await till.pool.fetchval(GET_ATTEMPTS, "create") == [1]
