"""Payments that do not go as planned: refusals, lapses, disputes, refunds that fail, and answers that come late or never."""

import pytest
from grpc import StatusCode

from mercato.v1 import order_pb2, payment_pb2
from mercato_server.store import order_states
from support.patience import until
from support.shop import refusal
from support.stripe_double.faults import LOST_ANSWER, broken, refused
from support.till import Till

PAID, PLACED, CANCELLED = order_pb2.ORDER_STATUS_PAID, order_pb2.ORDER_STATUS_PLACED, order_pb2.ORDER_STATUS_CANCELLED
SHIPPED, REFUNDED = order_pb2.ORDER_STATUS_SHIPPED, order_pb2.ORDER_STATUS_REFUNDED


async def paid_order(till: Till, quantity: int = 1, method: str = "pm_card_visa") -> order_pb2.Order:
    """Return an order that is paid, or authorised where the shop captures later."""
    order = await till.order(quantity)
    ref = (await till.pay(order)).payment.provider_ref
    till.double.acts.pay(ref, method)
    await till.read_soon()
    return await till.becomes(order, PAID)


async def payment_of(till: Till, order: order_pb2.Order) -> payment_pb2.Payment:
    """Return the only payment of an order."""
    [payment] = await till.payments(order)
    return payment


async def amounts(till: Till, order: order_pb2.Order) -> tuple[int, int, int]:
    """Return what was captured, what is being given back, and what was given back."""
    payment = await payment_of(till, order)
    return payment.captured.minor_units, payment.refunding.minor_units, payment.refunded.minor_units


async def test_a_request_older_than_the_providers_memory_is_looked_for_not_repeated(till: Till) -> None:
    order = await till.order()
    till.double.faults.add("payment_intents.create", LOST_ANSWER)
    await refusal(till.pay(order, key="k"))
    await till.pool.execute("UPDATE provider_requests SET sent_at = now() - interval '24 hours', next_at = now()")
    await until(lambda: _ref(till, order), "the payment is found at the provider")
    assert len(till.double.account.intents) == 1
    assert (await till.pay(order, key="k")).client_secret


async def _ref(till: Till, order: order_pb2.Order) -> str:
    return (await payment_of(till, order)).provider_ref


async def test_a_request_that_never_arrived_gets_a_new_key_after_a_day(till: Till) -> None:
    order = await till.order()
    till.double.faults.stand("payment_intents.create", refused(503))  # the worker repeats the request
    await refusal(till.pay(order, key="k"))
    await till.pool.execute("UPDATE provider_requests SET sent_at = now() - interval '24 hours', next_at = now()")
    till.double.faults.lift("payment_intents.create")
    await until(lambda: _ref(till, order), "the payment is at the provider")
    assert await till.pool.fetchval("SELECT attempt FROM provider_requests") == 2
    assert len(till.double.account.intents) == 1


@pytest.mark.parametrize("effect", [True, False], ids=["with effect", "without effect"])
async def test_a_failure_that_the_provider_has_stored_is_looked_into(till: Till, *, effect: bool) -> None:
    order = await paid_order(till)
    till.double.faults.add("refunds.create", broken(effect=effect))
    await till.refund(order)
    if not effect:
        await until(lambda: till.pool.fetchval("SELECT tries > 1 AND leased_until IS NULL FROM provider_requests WHERE kind = 'refund'"))
        assert not till.double.account.refunds  # the provider may still complete it
        await till.pool.execute("UPDATE provider_requests SET sent_at = now() - interval '61 minutes', next_at = now()")
    await till.becomes(order, REFUNDED)
    assert len(till.double.account.refunds) == 1
    assert await till.pool.fetchval("SELECT attempt FROM provider_requests WHERE kind = 'refund'") == (1 if effect else 2)


async def test_an_authorisation_that_lapses_cancels_its_order(late_till: Till) -> None:
    till = late_till
    order = await paid_order(till, 2)
    stock = await till.shop.stock(till.product)
    till.double.acts.lapse((await payment_of(till, order)).provider_ref)
    await till.notify("payment_intent.canceled")
    cancelled = await till.becomes(order, CANCELLED)
    assert cancelled.history[-1].reason == "the authorised payment has lapsed"
    assert (await payment_of(till, order)).state == payment_pb2.PAYMENT_STATE_EXPIRED
    assert await till.shop.stock(till.product) == stock + 2
    await till.verify()


async def test_an_authorisation_is_captured_a_day_before_it_lapses(late_till: Till) -> None:
    till = late_till
    order = await paid_order(till)
    await till.pool.execute("UPDATE payments SET capture_before = now() + interval '23 hours'")

    async def captured() -> bool:
        return (await amounts(till, order))[0] == 1_000

    await until(captured, "the payment is captured")
    await till.verify()


async def test_a_shipment_whose_capture_is_refused_does_not_leave(late_till: Till) -> None:
    till = late_till
    order = await paid_order(till)
    till.double.acts.lapse((await payment_of(till, order)).provider_ref)  # the shop does not know it yet
    await till.advance(order, SHIPPED)
    await till.becomes(order, CANCELLED)
    assert await till.pool.fetchval("SELECT count(*) FROM shipments WHERE state IN ('shipped', 'capturing')") == 0
    await till.verify()


async def test_units_that_are_cancelled_before_the_capture_are_not_captured(late_till: Till) -> None:
    till = late_till
    order = await paid_order(till, 3)
    request = payment_pb2.CapturePaymentRequest(order_id=order.id, payment_id=(await payment_of(till, order)).id)
    await till.pool.execute("UPDATE order_items SET cancelled = 1")  # as cancelled units leave it
    captured = await till.shop.payments.CapturePayment(request, metadata=till.admin.metadata)
    assert (captured.captured.minor_units, captured.authorized.minor_units) == (2_000, 0)


async def test_a_refund_that_fails_after_it_had_succeeded_reopens_the_order(till: Till) -> None:
    order = await paid_order(till)
    refund = await till.refund(order)
    assert refund.state == payment_pb2.REFUND_STATE_SUCCEEDED
    await till.becomes(order, REFUNDED)
    [ref] = till.double.account.refunds
    till.double.acts.fail_refund(ref)
    await till.notify("refund.failed")
    back = await till.becomes(order, PAID)
    assert [step.status for step in back.history] == [PLACED, PAID, REFUNDED, PAID]
    [failed] = await till.refunds(order)
    assert (failed.state, failed.failure) == (payment_pb2.REFUND_STATE_FAILED, "expired_or_canceled_card")
    assert await till.pool.fetchval("SELECT count(*) FROM events WHERE kind = 'refund.failed'") == 1
    assert (await till.refund(order)).state == payment_pb2.REFUND_STATE_SUCCEEDED
    await till.becomes(order, REFUNDED)
    await till.verify()


async def test_a_pending_refund_is_no_refund_before_it_has_succeeded(till: Till) -> None:
    order = await paid_order(till, method="pm_card_pendingRefund")
    refund = await till.refund(order)
    assert refund.state == payment_pb2.REFUND_STATE_PENDING
    assert (await till.get(order)).status == PAID
    assert await amounts(till, order) == (1_000, 1_000, 0)
    [ref] = till.double.account.refunds
    till.double.acts.succeed_refund(ref)
    await till.read_soon()
    await till.becomes(order, REFUNDED)
    await till.verify()


async def test_an_open_dispute_keeps_the_order_and_a_lost_one_counts_as_money_returned(till: Till) -> None:
    order = await paid_order(till)
    dispute = till.double.acts.dispute((await payment_of(till, order)).provider_ref)
    await till.notify("charge.dispute.created")
    await until(lambda: _disputed(till, order), "the shop hears of the dispute")
    cancel = order_pb2.CancelOrderRequest(order_id=order.id)
    error = await refusal(till.shop.orders.CancelOrder(cancel, metadata=till.buyer.metadata))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "PAYMENT_STATE")
    error = await refusal(till.refund(order))
    assert error.reason == "PAYMENT_STATE"
    till.double.acts.advance_dispute(dispute, "lost")
    await till.notify("charge.dispute.closed")
    await till.becomes(order, REFUNDED)
    assert (await payment_of(till, order)).lost.minor_units == 1_000
    await till.verify()


async def _disputed(till: Till, order: order_pb2.Order) -> bool:
    return (await payment_of(till, order)).disputed.minor_units == 1_000


async def test_a_refund_that_the_provider_refuses_reserves_nothing(till: Till) -> None:
    order = await paid_order(till)
    till.double.acts.dispute((await payment_of(till, order)).provider_ref)  # the shop does not know it yet
    refund = await till.refund(order)
    assert refund.state in {payment_pb2.REFUND_STATE_FAILED, payment_pb2.REFUND_STATE_REQUESTED}

    async def failed() -> bool:
        return [each.state for each in await till.refunds(order)] == [payment_pb2.REFUND_STATE_FAILED]

    await until(failed, "the refund has failed")
    assert (await amounts(till, order))[1] == 0


async def test_an_order_is_not_paid_by_hand_while_a_buyer_may_pay_it(till: Till) -> None:
    order = await till.order()
    opened = await till.pay(order)
    error = await refusal(till.advance(order, PAID))
    assert (error.reason, error.metadata["payment_id"]) == ("PAYMENT_STATE", opened.payment.id)
    request = payment_pb2.CancelPaymentRequest(order_id=order.id, payment_id=opened.payment.id)
    cancelled = await till.shop.payments.CancelPayment(request, metadata=till.admin.metadata)
    assert cancelled.state == payment_pb2.PAYMENT_STATE_CANCELLED
    assert (await till.advance(order, PAID)).status == PAID
    [by_hand, online] = await till.payments(order)
    assert (by_hand.provider, online.provider) == ("manual", "stripe")
    await till.verify()


async def test_a_payment_is_not_cancelled_before_the_provider_has_answered(till: Till) -> None:
    order = await till.order()
    till.double.faults.stand("payment_intents.create", refused(503))  # the worker repeats the request
    await refusal(till.pay(order))
    request = payment_pb2.CancelPaymentRequest(order_id=order.id, payment_id=(await payment_of(till, order)).id)
    await till.pool.execute("UPDATE provider_requests SET next_at = now() + interval '1 hour'")
    error = await refusal(till.shop.payments.CancelPayment(request, metadata=till.admin.metadata))
    assert error.reason == "PAYMENT_STATE"


async def test_cash_on_delivery_is_accepted_first_and_recorded_with_the_delivery(till: Till) -> None:
    order = await till.order()
    opened = await till.pay(order, method=payment_pb2.PAYMENT_METHOD_CASH_ON_DELIVERY)
    assert opened.payment.state == payment_pb2.PAYMENT_STATE_AUTHORIZED
    assert (await till.get(order)).status == PAID
    await till.advance(order, SHIPPED)
    assert (await amounts(till, order))[0] == 0
    await till.advance(order, order_pb2.ORDER_STATUS_DELIVERED)
    assert (await amounts(till, order))[0] == 1_000
    await till.verify()


async def test_a_payment_that_is_not_the_one_asked_for_is_quarantined(till: Till) -> None:
    order = await till.order()
    opened = await till.pay(order)
    await till.pool.execute("UPDATE payments SET amount_minor = 999")
    till.double.acts.pay(opened.payment.provider_ref)
    await till.notify("payment_intent.succeeded")

    async def quarantined() -> object:
        request = payment_pb2.ListPaymentEventsRequest()
        return (await till.shop.payments.ListPaymentEvents(request, metadata=till.admin.metadata)).events

    events = await until(quarantined, "the event is quarantined")
    assert [each.failure for each in events] == ["its amount is not the one that the shop has asked for"]  # type: ignore[attr-defined] # messages
    assert (await till.get(order)).status == PLACED


async def test_an_order_that_is_cancelled_before_its_payment_exists_takes_no_money(till: Till) -> None:
    order = await till.order()
    till.double.faults.add("payment_intents.create", refused(503))
    await refusal(till.pay(order))
    await till.shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id), metadata=till.buyer.metadata)

    async def dead() -> bool:
        return (await payment_of(till, order)).state == payment_pb2.PAYMENT_STATE_CANCELLED

    await until(dead, "the payment is dead")
    assert {intent.status for intent in till.double.account.intents.values()} <= {"canceled"}
    await till.verify()


async def test_an_amount_below_the_providers_minimum_leaves_the_order_to_be_paid_otherwise(till: Till) -> None:
    till.product = await till.shop.product(till.admin, name="Pin", price=10, stock=10)
    order = await till.order()
    error = await refusal(till.pay(order))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "PAYMENT_AMOUNT")
    assert (await till.advance(order, PAID)).status == PAID
    await till.verify()


async def test_news_that_cannot_be_booked_hinders_no_other(till: Till) -> None:
    broken_order, order = await till.order(), await till.order()
    refs = [(await till.pay(each)).payment.provider_ref for each in (broken_order, order)]
    await till.pool.execute(f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON payments FOR EACH ROW
        WHEN (new.state = 'captured' AND new.provider_ref = '{refs[0]}') EXECUTE FUNCTION refuse();
    """)
    for ref in refs:
        till.double.acts.pay(ref)
    await till.notify("payment_intent.succeeded")
    await till.becomes(order, PAID)
    await until(lambda: till.pool.fetchval("SELECT count(*) FROM provider_events WHERE quarantined_at IS NOT NULL"), "it is quarantined")
    assert (await till.get(broken_order)).status == PLACED


async def test_an_order_that_the_release_before_has_cancelled_gets_its_money_back(till: Till) -> None:
    order = await paid_order(till, 2)
    await till.pool.execute("""
        WITH cancelled AS (UPDATE orders SET status = 'cancelled', version = version + 1 RETURNING id, version, account_id),
        history AS (INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason)
                    SELECT id, version, 'cancelled', 'buyer', account_id, '' FROM cancelled),
        happened AS (INSERT INTO events (kind, subject_id) SELECT 'order.cancelled', id FROM cancelled),
        ledger AS (INSERT INTO stock_ledger (product_id, order_id, kind, delta, actor_kind, actor_id)
                   SELECT product_id, order_id, 'cancel', quantity, 'buyer', uuidv7() FROM order_items)
        UPDATE stock_levels SET on_hand = on_hand + 2
    """)
    assert await order_states.adopt_unbooked(till.pool, 10) == 1
    assert await order_states.adopt_unbooked(till.pool, 10) == 0

    async def refunded() -> bool:
        return (await amounts(till, order))[2] == 2_000

    await until(refunded, "the money has gone back")
    await till.verify()
