"""Orders that workers of the release before have changed, which wrote only the status: all calls go on with them."""

import json
from typing import Any

import pytest

from mercato.v1.order_pb2 import ORDER_STATUS_DELIVERED, ORDER_STATUS_REFUNDED, ORDER_STATUS_SHIPPED, Order
from mercato_server.domain.order_books import Books
from support.packing import PRICE, Packer, fates, packer, statuses
from support.shop import Shop, refusal

STEP = """
WITH moved AS (
    UPDATE orders SET status = $2, version = version + 1, updated_at = now() WHERE id = $1::text::uuid RETURNING version, account_id
), history AS (
    INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason)
    SELECT $1::text::uuid, version, $2, 'administrator', account_id, '' FROM moved
)
INSERT INTO events (kind, subject_id, payload)
SELECT 'order.' || $2, $1::text::uuid, jsonb_build_object('account_id', account_id) FROM moved
"""
"""A step of an order as the release before wrote it (without the units that a cancellation puts back)."""
RESTOCK = """
WITH back AS (
    INSERT INTO stock_ledger (product_id, order_id, kind, delta, actor_kind)
    SELECT product_id, order_id, 'cancel', quantity, 'administrator' FROM order_items WHERE order_id = $1::text::uuid
    RETURNING product_id, delta
)
UPDATE stock_levels AS level SET on_hand = on_hand + delta, version = level.version + 1 FROM back WHERE level.product_id = back.product_id
"""
PATHS = {
    "placed": (),
    "paid": ("paid",),
    "shipped": ("paid", "shipped"),
    "delivered": ("paid", "shipped", "delivered"),
    "cancelled": ("paid", "cancelled"),
    "refunded": ("paid", "refunded"),
}
PAYMENTS = "SELECT provider, method, state, amount_minor, captured_minor, refunded_minor FROM payments"


async def moved(pack: Packer, order: Order, *states: str) -> Order:
    """Move an order as the release before did."""
    for status in states:
        await pack.shop.pool.execute(STEP, order.id, status)
        if status == "cancelled":
            await pack.shop.pool.execute(RESTOCK, order.id)
    return await pack.read(order)


@pytest.mark.parametrize("status", PATHS)
async def test_an_order_of_the_release_before_shows_what_its_books_say_later(shop: Shop, status: str) -> None:
    pack = await packer(shop)
    order = await moved(pack, await pack.placed(2, 1), *PATHS[status])
    assert statuses(order)[0] == status.upper()
    await pack.change_books(order, Books.touch)  # this release writes the books with its first change
    now = await pack.read(order)
    assert (statuses(now), fates(now)[0][:4]) == (statuses(order), fates(order)[0][:4])
    row = await shop.pool.fetchrow("SELECT status, version = booked_version AS booked FROM orders")
    assert tuple(row or ()) == (status, True)
    await pack.verify()
    assert "shipment.created" not in await pack.news(order)  # an adoption is no news


async def test_a_shipped_order_of_the_release_before_is_delivered_and_comes_back(shop: Shop) -> None:
    pack = await packer(shop)
    order = await moved(pack, await pack.placed(2, 1), "paid", "shipped")
    await pack.take_back(order, 1, restock=True)
    now = await pack.read(order)
    assert (statuses(now), fates(now)) == (("SHIPPED", "PAID", "PARTIALLY_RETURNED"), [(2, 0, 0, 1, 0), (1, 0, 0, 0, 0)])
    assert [tuple(row) for row in await shop.pool.fetch(PAYMENTS)] == [("manual", "other", "captured", 3 * PRICE, 3 * PRICE, 0)]
    now = await pack.advance(order, ORDER_STATUS_DELIVERED)
    assert (statuses(now), fates(now)) == (("DELIVERED", "PAID", "PARTIALLY_RETURNED"), [(2, 2, 0, 1, 0), (1, 1, 0, 0, 0)])
    assert (await refusal(pack.take_back(order, 2))).reason == "UNITS_EXCEED"
    now = await pack.advance(order, ORDER_STATUS_REFUNDED)
    assert statuses(now)[:2] == ("REFUNDED", "REFUNDED")
    assert [tuple(row) for row in await shop.pool.fetch(PAYMENTS)] == [("manual", "other", "captured", 3 * PRICE, 3 * PRICE, 3 * PRICE)]
    assert await pack.stock(order) == [9, 9]
    await pack.verify()


async def test_a_paid_order_of_the_release_before_is_cancelled_whole_or_in_part(shop: Shop) -> None:
    pack = await packer(shop)
    whole, part = [await moved(pack, await pack.placed(2), "paid") for _ in "12"]
    assert statuses(await pack.cancel_order(whole)) == ("CANCELLED", "REFUNDED", "CANCELLED")
    now = await pack.cancel_items(part, 1)
    assert (statuses(now), fates(now)) == (("PAID", "PAID", "UNFULFILLED"), [(0, 0, 1, 0, PRICE)])
    assert [await pack.stock(order) for order in (whole, part)] == [[10], [9]]
    await pack.sent(part)
    assert statuses(await pack.read(part)) == ("SHIPPED", "PAID", "SHIPPED")
    await pack.verify()


async def test_an_order_that_is_over_since_the_release_before_stays_as_it_is(shop: Shop) -> None:
    pack = await packer(shop)
    cancelled = await moved(pack, await pack.placed(2), "cancelled")
    refunded = await moved(pack, await pack.placed(2), "paid", "refunded")
    for order in (cancelled, refunded):
        assert (await refusal(pack.create(order))).reason == "PAYMENT_STATE"
        assert (await refusal(pack.take_back(order, 1))).reason == "UNITS_EXCEED"
        assert await pack.read(order) == order
    assert (await refusal(pack.cancel_items(cancelled, 1))).reason == "UNITS_EXCEED"
    now = await pack.cancel_items(refunded, 2)  # units that were not shipped are put back so
    assert (statuses(now), await pack.stock(refunded)) == (("CANCELLED", "REFUNDED", "CANCELLED"), [10])
    assert await pack.stock(cancelled) == [10]
    await pack.verify()


async def test_an_order_may_change_hands_between_releases_at_any_step(shop: Shop) -> None:
    """During an upgrade, workers of both releases serve the calls about an order in turn."""
    pack = await packer(shop)
    order = await pack.paid(2)  # by this release
    sent = await pack.sent(order, 1)
    order = await moved(pack, order, "shipped")  # by the release before: all that is left
    assert (statuses(order), fates(order)) == (("SHIPPED", "PAID", "SHIPPED"), [(2, 0, 0, 0, 0)])
    assert (await pack.deliver(sent)).order_etag == (now := await pack.read(order)).etag
    assert (statuses(now), fates(now)) == (("SHIPPED", "PAID", "PARTIALLY_DELIVERED"), [(2, 1, 0, 0, 0)])
    now = await moved(pack, order, "delivered")
    assert (statuses(now), fates(now)) == (("DELIVERED", "PAID", "DELIVERED"), [(2, 2, 0, 0, 0)])
    await pack.take_back(order, 2, restock=True)
    assert statuses(await pack.read(order)) == ("DELIVERED", "PAID", "RETURNED")
    assert await shop.pool.fetchval("SELECT count(*) FROM payments") == 1
    assert await pack.stock(order) == [10]


async def test_a_step_of_this_release_needs_the_etag_of_the_release_before(shop: Shop) -> None:
    pack = await packer(shop)
    order = await moved(pack, await pack.placed(1), "paid")
    assert order.etag == "2"
    assert (await pack.create(order, etag=order.etag)).order_etag > order.etag
    entries: list[Any] = [json.loads(row["after"]) for row in await shop.pool.fetch("SELECT after FROM audit_log ORDER BY id")]
    assert [entry.get("state") for entry in entries if "shipment_id" in entry] == ["prepared"]
    assert statuses(await pack.advance(order, ORDER_STATUS_SHIPPED)) == ("SHIPPED", "PAID", "SHIPPED")
