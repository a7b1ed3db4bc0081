"""Orders that are paid at a provider, through a real worker, the official SDK, and a double of Stripe."""

import asyncio

import pytest
from grpc import StatusCode

from mercato.v1 import order_pb2, payment_pb2
from support.patience import until
from support.shop import refusal
from support.stripe_double.faults import LOST_ANSWER, refused
from support.till import Till

PAID, PLACED, CANCELLED = order_pb2.ORDER_STATUS_PAID, order_pb2.ORDER_STATUS_PLACED, order_pb2.ORDER_STATUS_CANCELLED


async def test_an_order_is_paid_when_the_money_has_come(till: Till) -> None:
    order = await till.order(2)
    opened = await till.pay(order)
    assert (opened.payment.state, opened.payment.amount.minor_units) == (payment_pb2.PAYMENT_STATE_PENDING, 2_000)
    assert opened.client_secret.startswith(f"{opened.payment.provider_ref}_secret_")
    assert (await till.get(order)).status == PLACED

    assert till.double.acts.pay(opened.payment.provider_ref) == "succeeded"
    await till.notify("payment_intent.succeeded")

    paid = await till.becomes(order, PAID)
    assert [step.actor for step in paid.history] == [order_pb2.ORDER_ACTOR_BUYER, order_pb2.ORDER_ACTOR_PROVIDER]
    [payment] = await till.payments(order)
    assert (payment.state, payment.captured.minor_units) == (payment_pb2.PAYMENT_STATE_CAPTURED, 2_000)
    assert await till.pool.fetchval("SELECT count(*) FROM events WHERE kind = 'order.paid'") == 1
    await till.verify()


async def test_the_secret_is_in_no_table(till: Till) -> None:
    opened = await till.pay(await till.order(), key="k")
    again = await till.pay(await till.order(), key="other")
    assert opened.client_secret != again.client_secret
    tables = await till.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for [table] in tables:
        rows = await till.pool.fetch(f"SELECT t::text FROM {table} AS t")  # noqa: S608 - a name of the catalog
        assert not [row for [row] in rows if opened.client_secret in row or opened.client_secret.encode().hex() in row]


async def test_a_repeated_call_returns_the_same_payment_with_its_secret(till: Till) -> None:
    order = await till.order()
    first = await till.pay(order, key="k")
    assert await till.pay(order, key="k") == first
    assert await till.pay(order, key="other") == first
    assert await till.pay(order) == first
    assert len(till.double.account.intents) == 1


async def test_a_lost_answer_makes_no_second_payment(till: Till) -> None:
    order = await till.order()
    till.double.faults.add("payment_intents.create", LOST_ANSWER)
    error = await refusal(till.pay(order, key="k"))
    assert (error.code, error.reason) == (StatusCode.UNAVAILABLE, "PAYMENT_PROVIDER_UNAVAILABLE")
    opened = await till.pay(order, key="k")
    assert opened.client_secret
    assert len(till.double.account.intents) == 1
    assert await till.pool.fetchval("SELECT count(*) FROM payments") == 1


async def test_events_that_are_lost_doubled_and_reordered_change_nothing_but_the_time(till: Till) -> None:
    lost, doubled = await till.order(), await till.order()
    for order in (lost, doubled):
        till.double.acts.pay((await till.pay(order)).payment.provider_ref)
    for kind in ("charge.succeeded", "payment_intent.succeeded", "payment_intent.created", "payment_intent.succeeded"):
        for event in till.double.events.of_kind(kind):
            if (await till.payments(doubled))[0].provider_ref in str(event):
                await till.notify(kind)
                break
    await till.becomes(doubled, PAID)
    await till.read_soon()
    await till.becomes(lost, PAID)
    assert await till.pool.fetchval("SELECT count(*) FROM payment_ledger") == 2
    await till.verify()


async def test_a_declined_card_leaves_the_payment_open_for_another(till: Till) -> None:
    order = await till.order()
    opened = await till.pay(order)
    assert till.double.acts.pay(opened.payment.provider_ref, "pm_card_visa_chargeDeclined") == "requires_payment_method"
    await till.notify("payment_intent.payment_failed")
    await until(lambda: _failure(till, order), "the payment tells the failure")
    till.double.acts.pay(opened.payment.provider_ref)
    await till.notify("payment_intent.succeeded")
    await till.becomes(order, PAID)


async def _failure(till: Till, order: order_pb2.Order) -> str:
    return (await till.payments(order))[0].failure


async def test_an_overdue_order_is_cancelled_only_when_no_money_can_come(till: Till) -> None:
    order, processing = await till.order(3), await till.order(4)
    for each, method in ((order, ""), (processing, "pm_usBankAccount_success")):
        opened = await till.pay(each)
        if method:
            till.double.acts.pay(opened.payment.provider_ref, method)
    await till.is_overdue(order, processing)
    await till.read_soon()
    await till.becomes(order, CANCELLED)
    [payment] = await till.payments(order)
    assert payment.state == payment_pb2.PAYMENT_STATE_CANCELLED
    assert till.double.account.intents[payment.provider_ref].status == "canceled"
    assert (await till.get(processing)).status == PLACED
    till.double.acts.settle()
    await till.read_soon()
    await till.becomes(processing, PAID)
    await till.verify()


async def test_money_for_a_cancelled_order_goes_back_by_itself(till: Till) -> None:
    order = await till.order()
    opened = await till.pay(order)
    till.double.acts.pay(opened.payment.provider_ref)
    await till.shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id), metadata=till.buyer.metadata)
    await till.notify("payment_intent.succeeded")

    async def refunded() -> bool:
        [payment] = await till.payments(order)
        return payment.refunded.minor_units == 1_000

    await until(refunded, "the money has gone back")
    assert (await till.get(order)).status == CANCELLED
    await till.verify()


@pytest.mark.parametrize("fault", [LOST_ANSWER, refused(429), refused(503)], ids=["lost", "429", "503"])
async def test_a_refund_is_made_once_whatever_the_provider_answers(till: Till, fault: object) -> None:
    order = await till.order(2)
    till.double.acts.pay((await till.pay(order)).payment.provider_ref)
    await till.notify("payment_intent.succeeded")
    await till.becomes(order, PAID)
    till.double.faults.add("refunds.create", fault)  # type: ignore[arg-type] # a fault
    made = await till.refund(order, 500, key="k")
    assert made.state in {payment_pb2.REFUND_STATE_REQUESTED, payment_pb2.REFUND_STATE_SUCCEEDED}

    async def succeeded() -> bool:
        return [refund.state for refund in await till.refunds(order)] == [payment_pb2.REFUND_STATE_SUCCEEDED]

    await until(succeeded, "the refund has succeeded")
    assert (await till.refund(order, 500, key="k")).id == made.id
    assert len(till.double.account.refunds) == 1
    await till.verify()


async def test_racing_refunds_never_exceed_what_was_captured(till: Till) -> None:
    order = await till.order(1)
    till.double.acts.pay((await till.pay(order)).payment.provider_ref)
    await till.notify("payment_intent.succeeded")
    await till.becomes(order, PAID)
    answers = await asyncio.gather(*(till.refund(order, 300) for _ in range(8)), return_exceptions=True)
    assert sum(not isinstance(each, BaseException) for each in answers) == 3
    await until(lambda: _refunded(till, order, 900), "the refunds have succeeded")
    await till.verify()


async def _refunded(till: Till, order: order_pb2.Order, minor: int) -> bool:
    [payment] = await till.payments(order)
    return payment.refunded.minor_units == minor


async def test_a_payment_is_captured_when_the_first_parcel_leaves(late_till: Till) -> None:
    till = late_till
    order = await till.order(2)
    opened = await till.pay(order)
    assert till.double.acts.pay(opened.payment.provider_ref) == "requires_capture"
    await till.notify("payment_intent.amount_capturable_updated")
    await till.becomes(order, PAID)
    await till.advance(order, order_pb2.ORDER_STATUS_SHIPPED)
    await till.becomes(order, order_pb2.ORDER_STATUS_SHIPPED)
    [payment] = await till.payments(order)
    assert payment.captured.minor_units == 2_000
    await till.verify()
