"""Shipments and cancelled units of orders that are paid at a provider, through a real worker and a double of Stripe."""

from typing import Any
from uuid import UUID

from grpc import StatusCode

from mercato.v1 import order_pb2
from mercato.v1.fulfillment_pb2 import SHIPMENT_STATE_CANCELLED, SHIPMENT_STATE_CAPTURING, SHIPMENT_STATE_PREPARED, SHIPMENT_STATE_SHIPPED
from mercato_server.domain import payment_rules
from mercato_server.domain.order_books import Books
from support.packing import Packer, fates, statuses
from support.patience import until
from support.shop import refusal
from support.stripe_double.faults import LOST_ANSWER
from support.till import Till

REFUNDS = "SELECT state, amount_minor FROM refunds ORDER BY id"


def packer_of(till: Till) -> Packer:
    return Packer(till.shop, till.admin, till.buyer)


async def paid_order(till: Till, quantity: int) -> order_pb2.Order:
    """Return an order that is paid, or authorised where the shop captures later."""
    order = await till.order(quantity)
    till.double.acts.pay((await till.pay(order)).payment.provider_ref)
    await till.read_soon()
    return await till.becomes(order, order_pb2.ORDER_STATUS_PAID)


async def captured(till: Till) -> int:
    [payment] = await till.pool.fetch("SELECT captured_minor FROM payments")
    return int(payment["captured_minor"])


async def test_a_shipment_leaves_once_its_payment_is_captured(late_till: Till) -> None:
    till, pack = late_till, packer_of(late_till)
    order = await paid_order(till, 3)
    assert statuses(order) == ("PAID", "AUTHORIZED", "UNFULFILLED")
    first = await pack.ship(await pack.create(order, 1))
    assert (first.state, first.HasField("ship_time")) == (SHIPMENT_STATE_SHIPPED, True)
    assert await pack.get(first) == first
    assert await captured(till) == 3_000  # one capture, of all
    second = await pack.sent(order)
    assert second.state == SHIPMENT_STATE_SHIPPED
    now = await pack.read(order)
    assert (statuses(now), fates(now)) == (("SHIPPED", "PAID", "SHIPPED"), [(3, 0, 0, 0, 0)])
    assert await till.pool.fetchval("SELECT count(*) FROM provider_requests WHERE kind = 'capture'") == 1
    await till.verify()


async def test_with_a_key_the_answer_is_the_state_before_the_capture(late_till: Till) -> None:
    till, pack = late_till, packer_of(late_till)
    order = await paid_order(till, 1)
    made = await pack.create(order)
    first, again = [await pack.ship(made, key="one") for _ in "12"]
    assert (first.state, again) == (SHIPMENT_STATE_CAPTURING, first)
    assert (await pack.get(made)).state == SHIPMENT_STATE_SHIPPED
    assert (await refusal(pack.ship(made))).reason == "SHIPMENT_STATE"
    await till.verify()


async def test_a_shipment_whose_capture_is_not_answered_leaves_later(late_till: Till) -> None:
    till, pack = late_till, packer_of(late_till)
    order = await paid_order(till, 2)
    made = await pack.create(order)
    till.double.faults.add("payment_intents.capture", LOST_ANSWER)
    gone = await pack.ship(made)
    assert gone.state in {SHIPMENT_STATE_CAPTURING, SHIPMENT_STATE_SHIPPED}

    async def left() -> bool:
        return (await pack.get(made)).state == SHIPMENT_STATE_SHIPPED

    await until(left, "the shipment has left")
    assert await captured(till) == 2_000
    assert statuses(await pack.read(order)) == ("SHIPPED", "PAID", "SHIPPED")
    await till.verify()


async def test_a_shipment_whose_capture_is_refused_stays_and_tells_why(late_till: Till) -> None:
    till, pack = late_till, packer_of(late_till)
    order = await paid_order(till, 2)
    made = await pack.create(order)
    handler: Any = till.worker.parts._handlers["FulfillmentService"]
    settle = handler._settle

    def refuse(books: Books) -> None:
        for request in list(books.open_requests.values()):
            payment_rules.refuse(books, request, "amount_too_small")

    async def refusing(order_id: UUID) -> None:
        assert str(order_id) == order.id
        await pack.change_books(order, refuse)

    handler._settle = refusing
    error = await refusal(pack.ship(made))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "PAYMENT_STATE")
    assert error.metadata == {"failure": "amount_too_small"}
    kept = await pack.get(made)
    assert (kept.state, kept.failure) == (SHIPMENT_STATE_PREPARED, "amount_too_small")
    handler._settle = settle
    gone = await pack.ship(made)
    assert (gone.state, gone.failure) == (SHIPMENT_STATE_SHIPPED, "")
    await till.verify()


async def test_a_shipment_of_a_lapsed_authorization_is_refused_and_its_order_is_cancelled(late_till: Till) -> None:
    till, pack = late_till, packer_of(late_till)
    order = await paid_order(till, 2)
    made = await pack.create(order)
    [payment] = await till.payments(order)
    till.double.acts.lapse(payment.provider_ref)  # the shop does not know it yet
    error = await refusal(pack.ship(made))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "PAYMENT_STATE")
    assert (await pack.get(made)).state == SHIPMENT_STATE_CANCELLED
    assert statuses(await pack.read(order)) == ("CANCELLED", "VOIDED", "CANCELLED")
    assert await till.pool.fetchval("SELECT on_hand FROM stock_levels") == 1_000
    await till.verify()


async def test_units_that_are_cancelled_before_the_capture_are_never_captured(late_till: Till) -> None:
    till, pack = late_till, packer_of(late_till)
    order = await paid_order(till, 3)
    now = await pack.cancel_items(order, 2)
    assert (statuses(now), fates(now)) == (("PAID", "AUTHORIZED", "UNFULFILLED"), [(0, 0, 2, 0, 0)])
    await pack.sent(order)
    assert await captured(till) == 1_000
    assert statuses(await pack.read(order)) == ("SHIPPED", "PAID", "SHIPPED")
    assert await till.pool.fetch(REFUNDS) == []
    await till.verify()


async def test_units_that_are_cancelled_after_the_capture_are_refunded_at_once(till: Till) -> None:
    pack = packer_of(till)
    order = await paid_order(till, 3)
    now = await pack.cancel_items(order, 1)
    assert (statuses(now), fates(now)) == (("PAID", "PAID", "UNFULFILLED"), [(0, 0, 1, 0, 1_000)])
    assert [tuple(row) for row in await till.pool.fetch(REFUNDS)] == [("succeeded", 1_000)]
    now = await pack.cancel_order(order)
    assert (statuses(now), fates(now)) == (("CANCELLED", "REFUNDED", "CANCELLED"), [(0, 0, 3, 0, 3_000)])
    assert sum(refund.amount for refund in till.double.account.refunds.values()) == 3_000
    await till.verify()


async def test_with_a_key_a_cancellation_answers_before_the_refund_has_gone(till: Till) -> None:
    pack = packer_of(till)
    order = await paid_order(till, 2)
    first, again = [await pack.cancel_items(order, 1, key="one") for _ in "12"]
    assert (first, statuses(first)) == (again, ("PAID", "REFUND_DUE", "UNFULFILLED"))
    assert statuses(await pack.read(order)) == ("PAID", "PAID", "UNFULFILLED")
    await till.verify()


async def test_advance_order_answers_after_the_capture(late_till: Till) -> None:
    till, pack = late_till, packer_of(late_till)
    order = await paid_order(till, 2)
    now = await pack.advance(order, order_pb2.ORDER_STATUS_SHIPPED)
    assert (statuses(now), fates(now)) == (("SHIPPED", "PAID", "SHIPPED"), [(2, 0, 0, 0, 0)])
    await till.verify()
