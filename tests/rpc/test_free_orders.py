"""Orders for which nothing is to be paid: they are paid in the transaction that places them."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from mercato.v1.order_pb2 import (
    ORDER_ACTOR_BUYER,
    ORDER_ACTOR_SYSTEM,
    ORDER_STATUS_DELIVERED,
    ORDER_STATUS_PAID,
    ORDER_STATUS_PLACED,
    ORDER_STATUS_SHIPPED,
    GetOrderRequest,
    Order,
)
from mercato.v1.promotion_pb2 import PROMOTION_KIND_PERCENT
from mercato_server.config.settings import OrderRules, Settings
from mercato_server.database.pool import Pool
from mercato_server.domain.orders import SystemReason
from support.market import BERLIN, market, violations
from support.packing import Packer, packer, statuses
from support.shop import Shop, worker

ROW = """
SELECT status, version, booked_version, payment_status, fulfillment_status, total_minor, updated_at - created_at
  FROM orders
"""
HISTORY = "SELECT version, status, actor_kind, actor_id, reason FROM order_history ORDER BY version"
EVENTS = "SELECT kind, payload ->> 'account_id' FROM events WHERE subject_id = $1::text::uuid ORDER BY id"


async def free(pack: Packer) -> Order:
    return await pack.placed(1, price=0)


async def test_an_order_that_costs_nothing_is_paid_at_once(shop: Shop) -> None:
    pack = await packer(shop)
    order = await free(pack)
    assert (statuses(order), order.etag, order.total.minor_units) == (("PAID", "PAID", "UNFULFILLED"), "2", 0)
    assert [(step.status, step.actor, step.reason) for step in order.history] == [
        (ORDER_STATUS_PLACED, ORDER_ACTOR_BUYER, ""),
        (ORDER_STATUS_PAID, ORDER_ACTOR_SYSTEM, SystemReason.NOTHING_TO_PAY),
    ]
    assert await shop.orders.GetOrder(GetOrderRequest(order_id=order.id), metadata=pack.buyer.metadata) == order
    [row] = await shop.pool.fetch(ROW)
    assert tuple(row) == ("paid", 2, 2, "paid", "unfulfilled", 0, timedelta(0))
    assert [(row[0], row[1], row[2], row[4]) for row in await shop.pool.fetch(HISTORY)] == [
        (1, "placed", "buyer", ""),
        (2, "paid", "system", SystemReason.NOTHING_TO_PAY),
    ]
    assert [tuple(row) for row in await shop.pool.fetch(EVENTS, order.id)] == [
        ("order.placed", pack.buyer.id),
        ("order.paid", pack.buyer.id),
    ]
    assert await shop.pool.fetchval("SELECT count(*) FROM payments") == 0
    assert await violations(shop) == {}


async def test_the_stored_response_of_a_free_order_says_that_it_is_paid(shop: Shop) -> None:
    pack = await packer(shop)
    await shop.add(pack.buyer, await shop.product(pack.admin, price=0))
    first, again = [await shop.checkout(pack.buyer, key="one") for _ in "12"]
    assert first == again == await pack.read(first)
    assert first.SerializeToString() == again.SerializeToString()
    assert await shop.pool.fetchval("SELECT count(*) FROM events WHERE kind = 'order.paid'") == 1
    assert statuses(again) == ("PAID", "PAID", "UNFULFILLED")
    assert await violations(shop) == {}


async def test_a_draft_of_a_free_order_is_not_paid_yet(shop: Shop) -> None:
    pack = await packer(shop)
    await shop.add(pack.buyer, await shop.product(pack.admin, price=0))
    draft = await shop.checkout(pack.buyer, validate_only=True)
    assert (statuses(draft), draft.id, len(draft.history)) == (("PLACED", "PAID", "UNFULFILLED"), "", 1)
    assert await shop.pool.fetchval("SELECT count(*) FROM orders") == 0


async def test_an_order_that_costs_something_answers_as_it_is_read(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.placed(2)
    assert statuses(order) == ("PLACED", "UNPAID", "UNFULFILLED")
    assert await pack.read(order) == order
    [row] = await shop.pool.fetch(ROW)
    assert tuple(row)[:5] == ("placed", 1, None, None, None)


async def test_a_promotion_can_make_an_order_free(shop: Shop) -> None:
    trade = await market(shop)
    await trade.promotion("ALL", kind=PROMOTION_KIND_PERCENT, percent_ppm=1_000_000)
    courier = await trade.method("Pick-up", 0)
    buyer = await shop.person()
    await shop.add(buyer, await trade.ball())
    await trade.header(buyer, shipping_address=BERLIN, shipping_method_id=courier.id, codes=["ALL"])
    order = await shop.checkout(buyer)
    assert (order.total.minor_units, statuses(order)) == (0, ("PAID", "PAID", "UNFULFILLED"))
    assert await shop.orders.GetOrder(GetOrderRequest(order_id=order.id), metadata=buyer.metadata) == order
    assert await violations(shop) == {}


async def test_free_orders_are_paid_also_in_a_batch_with_others(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    gift, ball = await shop.product(admin, price=0, stock=100), await shop.product(admin, stock=100)
    buyers = [await shop.person() for _ in range(20)]
    for number, buyer in enumerate(buyers):
        await shop.add(buyer, gift if number % 2 else ball)
    orders = await asyncio.gather(*(shop.checkout(buyer) for buyer in buyers))
    for number, (order, buyer) in enumerate(zip(orders, buyers, strict=True)):
        assert statuses(order)[:2] == (("PAID", "PAID") if number % 2 else ("PLACED", "UNPAID"))
        assert await shop.orders.GetOrder(GetOrderRequest(order_id=order.id), metadata=buyer.metadata) == order
    assert await violations(shop) == {}


async def test_a_free_order_does_not_wait_for_a_payment(settings: Settings, pool: "Pool") -> None:
    due = OrderRules(units_per_product=1_000, open_orders=1, payment_due_s=3_600)
    async with worker(replace(settings, orders=due), pool) as shop:
        pack = await packer(shop)
        for _ in range(3):  # none of them is open
            order = await free(pack)
            assert not order.HasField("payment_due_time")
            assert await pack.read(order) == order


@pytest.mark.parametrize("shipped", [True, False])
async def test_a_free_order_is_shipped_or_cancelled_without_money(shop: Shop, *, shipped: bool) -> None:
    pack = await packer(shop)
    order = await free(pack)
    if shipped:
        await pack.sent(order)
        assert statuses(await pack.read(order)) == ("SHIPPED", "PAID", "SHIPPED")
        assert statuses(await pack.advance(order, ORDER_STATUS_DELIVERED)) == ("DELIVERED", "PAID", "DELIVERED")
    else:
        assert statuses(await pack.cancel_order(order)) == ("CANCELLED", "VOIDED", "CANCELLED")
        assert await pack.stock(order) == [10]
    assert await shop.pool.fetchval("SELECT count(*) FROM payments") == 0
    await pack.verify()


async def test_advance_order_goes_on_with_a_free_order(shop: Shop) -> None:
    pack = await packer(shop)
    assert statuses(await pack.advance(await free(pack), ORDER_STATUS_SHIPPED)) == ("SHIPPED", "PAID", "SHIPPED")
