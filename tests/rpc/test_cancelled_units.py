"""The cancellation of units that were not shipped: they go back into stock, and their money to the buyer."""

import math
from fractions import Fraction
from typing import Any

import grpc
import pytest

from mercato.v1.fulfillment_pb2 import CancelOrderItemsRequest, OrderUnits
from mercato.v1.order_pb2 import ORDER_STATUS_PAID, Order
from support.packing import PRICE, Packer, fates, packer, raced, statuses
from support.shop import Shop, refusal

ABSENT = "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57"
PAYMENTS = "SELECT state, amount_minor, captured_minor, refunded_minor, refunding_minor FROM payments"
REFUNDS = "SELECT state, amount_minor, reason, actor_kind FROM refunds ORDER BY id"
REFUND_LINES = "SELECT product_id::text, quantity, amount_minor FROM refund_lines ORDER BY refund_id, product_id"


async def test_cancelled_units_of_a_paid_order_are_restocked_and_refunded(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(3, 1)
    now = await pack.cancel_items(order, 2, reason="broken")
    assert (statuses(now), fates(now)) == (("PAID", "PAID", "UNFULFILLED"), [(0, 0, 2, 0, 2 * PRICE), (0, 0, 0, 0, 0)])
    assert await pack.read(order) == now
    assert await pack.stock(order) == [9, 9]
    [(product_id, kind, delta, step_id)] = await pack.ledger(order)
    assert (product_id, kind, delta, bool(step_id)) == (order.lines[0].product_id, "cancel", 2, True)
    assert [tuple(row) for row in await shop.pool.fetch(PAYMENTS)] == [("captured", 4 * PRICE, 4 * PRICE, 2 * PRICE, 0)]
    assert [tuple(row) for row in await shop.pool.fetch(REFUNDS)] == [("succeeded", 2 * PRICE, "broken", "administrator")]
    assert [tuple(row) for row in await shop.pool.fetch(REFUND_LINES)] == [(product_id, 2, 2 * PRICE)]
    assert len(now.history) == len(order.history)  # the status stays
    now = await pack.cancel_items(order, 1)
    assert await pack.stock(order) == [10, 9]
    await pack.sent(order)
    assert statuses(await pack.read(order)) == ("SHIPPED", "PAID", "SHIPPED")
    await pack.verify()


async def test_an_unpaid_order_without_some_units_costs_less(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.placed(2)
    now = await pack.cancel_items(order, 1)
    assert (statuses(now), fates(now)) == (("PLACED", "UNPAID", "UNFULFILLED"), [(0, 0, 1, 0, 0)])
    assert now.total == order.total  # the order keeps what the buyer has agreed to
    now = await pack.advance(order, ORDER_STATUS_PAID)
    assert statuses(now) == ("PAID", "PAID", "UNFULFILLED")
    assert [tuple(row) for row in await shop.pool.fetch(PAYMENTS)] == [("captured", PRICE, PRICE, 0, 0)]


async def test_an_order_ends_with_its_last_units(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(2, 1)
    await pack.cancel_items(order, 1)
    now = await pack.cancel_items(order, 1, 1, reason="sold out")
    assert (statuses(now), fates(now)) == (("CANCELLED", "REFUNDED", "CANCELLED"), [(0, 0, 2, 0, 2 * PRICE), (0, 0, 1, 0, PRICE)])
    assert (now.history[-1].reason, await pack.stock(order)) == ("sold out", [10, 10])
    assert (await refusal(pack.cancel_items(order, 1))).reason == "UNITS_EXCEED"
    unpaid = await pack.placed(1)
    assert statuses(await pack.cancel_items(unpaid, 1)) == ("CANCELLED", "VOIDED", "CANCELLED")
    await pack.verify()


async def test_the_rest_of_an_order_that_was_shipped_in_part_can_be_cancelled(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(3)
    made = await pack.sent(order, 1)
    reserved = await pack.create(order, 1)
    error = await refusal(pack.cancel_items(order, 2))
    assert (error.code, error.reason, error.metadata["left"]) == (grpc.StatusCode.FAILED_PRECONDITION, "UNITS_EXCEED", "1")
    await pack.cancel(reserved)
    now = await pack.cancel_items(order, 2)
    assert (statuses(now), fates(now)) == (("SHIPPED", "PAID", "SHIPPED"), [(1, 0, 2, 0, 2 * PRICE)])
    await pack.deliver(made)
    assert statuses(await pack.read(order)) == ("DELIVERED", "PAID", "DELIVERED")
    assert (await refusal(pack.cancel_order(order))).reason == "ORDER_STATE"


async def test_an_order_of_which_units_were_shipped_is_not_cancelled_as_a_whole(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(2)
    await pack.sent(order, 1)
    assert (await refusal(pack.cancel_order(order))).reason == "PAYMENT_STATE"
    assert await pack.stock(order) == [8]


@pytest.mark.parametrize("steps", [(1, 1, 1, 1, 1, 1, 1), (3, 4), (6, 1), (2, 2, 2, 1)])
async def test_the_refunds_of_a_line_add_up_in_any_steps(shop: Shop, steps: tuple[int, ...]) -> None:
    """Seven units of 0.99, less ten percent, cost 6.24: no unit has an even part of that."""
    pack = await packer(shop)
    promotion = await shop.promotion(pack.admin, needs_code=False)
    assert promotion.percent_ppm == 100_000
    order = await pack.paid(7, price=99)
    cost = order.total.minor_units
    assert cost == 7 * 99 - 69
    gone, expected = 0, []
    for step in steps:
        before = math.floor(Fraction(cost * gone, 7))
        gone += step
        expected.append(math.floor(Fraction(cost * gone, 7)) - before)
        await pack.cancel_items(order, step)
    assert [row["amount_minor"] for row in await shop.pool.fetch(REFUNDS)] == expected
    assert sum(expected) == cost
    assert statuses(await pack.read(order)) == ("CANCELLED", "REFUNDED", "CANCELLED")


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"order_id": "1"}, ["order_id"]),
        ({"lines": []}, ["lines"]),
        ({"lines": [OrderUnits(product_id="1", quantity=1)]}, ["lines[0].product_id"]),
        ({"reason": "x" * 501}, ["reason"]),
        ({"etag": "x" * 65}, ["etag"]),
    ],
)
async def test_a_bad_cancellation_is_refused(shop: Shop, fields: dict[str, Any], names: list[str]) -> None:
    admin = await shop.person(admin=True)
    request = CancelOrderItemsRequest(**{"order_id": ABSENT, "lines": [OrderUnits(product_id=ABSENT, quantity=1)], **fields})
    error = await refusal(shop.fulfillment.CancelOrderItems(request, metadata=admin.metadata))
    assert (error.reason, error.fields) == ("INVALID_FIELD", names)


async def test_a_cancellation_needs_the_etag_and_happens_once_with_a_key(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(3)
    first, again = [await pack.cancel_items(order, 1, key="one", etag=order.etag) for _ in "12"]
    assert first == again
    assert (await refusal(pack.cancel_items(order, 1, etag=order.etag))).reason == "ETAG_MISMATCH"
    assert await pack.stock(order) == [8]
    assert [action for action, _, _ in await pack.audited(order)] == ["order.paid", "order.items_cancelled"]


@pytest.mark.race
async def test_a_unit_is_either_cancelled_or_packed(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    pack = await packer(shop)
    other = Packer(elsewhere, await shop.person(admin=True), pack.buyer)
    for _ in range(race_rounds):
        order = await pack.paid(2)
        cancelled, packed = await raced(pack.cancel_items(order, 2), other.create(order, 2))
        won = isinstance(cancelled, Order)
        assert (packed if won else cancelled).reason == ("PAYMENT_STATE" if won else "UNITS_EXCEED")
        expected = ("CANCELLED", "REFUNDED", "CANCELLED") if won else ("PAID", "PAID", "UNFULFILLED")
        assert statuses(await pack.read(order)) == expected
        assert await pack.stock(order) == [10 if won else 8]
        await pack.verify()
