"""Shipments: units leave in parts, and the status of an order follows from them."""

import uuid
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from mercato.v1 import fulfillment_pb2
from mercato.v1.fulfillment_pb2 import (
    SHIPMENT_STATE_CANCELLED,
    SHIPMENT_STATE_DELIVERED,
    SHIPMENT_STATE_PREPARED,
    SHIPMENT_STATE_SHIPPED,
    CreateShipmentRequest,
    ListShipmentsRequest,
    OrderUnits,
    Shipment,
)
from mercato.v1.order_pb2 import ORDER_STATUS_DELIVERED, ORDER_STATUS_SHIPPED, Order
from mercato_server.domain import payment_rules
from mercato_server.domain.accounts import SERVER
from mercato_server.domain.payment_rules import Means
from mercato_server.domain.payments import MANUAL, PaymentMethod
from support.packing import Packer, fates, packer, quantities_of, raced, statuses, units
from support.pages import every
from support.shop import Shop, refusal

ABSENT = "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57"
SHIPMENTS = "SELECT id::text, order_id::text, state, carrier, actor_kind, actor_id::text FROM shipments ORDER BY id"
ITEMS = "SELECT shipment_id::text, product_id::text, quantity FROM shipment_items ORDER BY 1, 2"
HISTORY = "SELECT version, status, actor_kind FROM order_history WHERE order_id = $1::text::uuid ORDER BY version"
CANCELLED = """
INSERT INTO shipments (order_id, state, carrier, tracking_number, tracking_url, actor_kind)
SELECT $1::text::uuid, 'cancelled', '', '', '', 'system' FROM generate_series(1, $2)
"""
CANCELLED_ITEMS = """
INSERT INTO shipment_items (shipment_id, product_id, quantity)
SELECT id, $1::text::uuid, 1 FROM shipments WHERE state = 'cancelled'
"""


async def test_an_order_leaves_in_parts_and_its_status_follows(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(2, 1)
    told = [(statuses(order), fates(order))]

    async def note(moved: Shipment) -> Shipment:
        now = await pack.read(order)
        assert moved.order_etag == now.etag
        told.append((statuses(now), fates(now)))
        return moved

    first = await pack.create(order, 1, carrier="DHL", tracking_number=" 0034 ", tracking_url="https://example.com/0034")
    await note(await pack.ship(first))
    second = await note(await pack.sent(order))
    await note(await pack.deliver(first))
    await note(await pack.deliver(second))
    assert told == [
        (("PAID", "PAID", "UNFULFILLED"), [(0, 0, 0, 0, 0), (0, 0, 0, 0, 0)]),
        (("PAID", "PAID", "PARTIALLY_SHIPPED"), [(1, 0, 0, 0, 0), (0, 0, 0, 0, 0)]),
        (("SHIPPED", "PAID", "SHIPPED"), [(2, 0, 0, 0, 0), (1, 0, 0, 0, 0)]),
        (("SHIPPED", "PAID", "PARTIALLY_DELIVERED"), [(2, 1, 0, 0, 0), (1, 0, 0, 0, 0)]),
        (("DELIVERED", "PAID", "DELIVERED"), [(2, 2, 0, 0, 0), (1, 1, 0, 0, 0)]),
    ]
    await pack.verify()


async def test_the_steps_of_a_shipment_leave_rows_events_and_entries_of_the_audit_log(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(1)
    made = await pack.create(order, 1, carrier="DHL")
    assert (made.state, made.carrier, made.HasField("ship_time")) == (SHIPMENT_STATE_PREPARED, "DHL", False)
    assert list(made.lines) == units(order, 1)
    gone = await pack.ship(made, tracking_number="0034")
    assert (gone.state, gone.carrier, gone.tracking_number, gone.HasField("ship_time")) == (SHIPMENT_STATE_SHIPPED, "DHL", "0034", True)
    assert await pack.get(made) == gone
    here = await pack.deliver(made)
    assert (here.state, here.ship_time, here.HasField("deliver_time")) == (SHIPMENT_STATE_DELIVERED, gone.ship_time, True)
    assert await pack.get(made) == here
    assert [tuple(row) for row in await shop.pool.fetch(SHIPMENTS)] == [
        (made.id, order.id, "delivered", "DHL", "administrator", pack.admin.id)
    ]
    assert [tuple(row) for row in await shop.pool.fetch(ITEMS)] == [(made.id, order.lines[0].product_id, 1)]
    assert [tuple(row) for row in await shop.pool.fetch(HISTORY, order.id)] == [
        (1, "placed", "buyer"),
        (2, "paid", "administrator"),
        (4, "shipped", "administrator"),
        (5, "delivered", "administrator"),
    ]
    told = [kind for kind in await pack.news(order) if not kind.startswith("payment.")]
    assert sorted(told[:2]) == ["order.paid", "order.placed"]
    assert sorted(told[2:]) == ["order.delivered", "order.shipped", "shipment.created", "shipment.delivered", "shipment.shipped"]
    assert [(action, before, after.get("state")) for action, before, after in (await pack.audited(order))[1:]] == [
        ("shipment.created", {}, "prepared"),
        ("shipment.shipped", {"state": "prepared"}, "shipped"),
        ("shipment.delivered", {"state": "shipped"}, "delivered"),
    ]


async def test_units_of_a_shipment_are_taken_until_it_is_cancelled(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(3, 1)
    made = await pack.create(order, 2)
    error = await refusal(pack.create(order, 2))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "UNITS_EXCEED")
    assert error.metadata == {"product_id": order.lines[0].product_id, "wanted": "2", "left": "1"}
    rest = await pack.create(order)
    assert quantities_of(rest.lines) == [1, 1]
    assert (await refusal(pack.create(order))).reason == "PAYMENT_STATE"  # none is left
    dropped = await pack.cancel(made)
    assert (dropped.state, dropped.order_etag) == (SHIPMENT_STATE_CANCELLED, (await pack.read(order)).etag)
    assert quantities_of((await pack.create(order)).lines) == [2]
    elsewhere = CreateShipmentRequest(order_id=order.id, lines=[OrderUnits(product_id=ABSENT, quantity=1)])
    error = await refusal(shop.fulfillment.CreateShipment(elsewhere, metadata=pack.admin.metadata))
    assert (error.reason, error.metadata["left"]) == ("UNITS_EXCEED", "0")
    await pack.verify()


async def test_nothing_leaves_before_it_is_paid_or_after_the_end(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.placed(1)
    made = await pack.create(order)
    before = await pack.read(order)
    error = await refusal(pack.ship(made, carrier="DHL"))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PAYMENT_STATE")
    assert await pack.read(order) == before
    assert await pack.get(made) == made
    await pack.cancel_order(order)
    assert (await pack.get(made)).state == SHIPMENT_STATE_CANCELLED
    assert (await refusal(pack.create(order))).reason == "PAYMENT_STATE"
    await pack.verify()


async def test_a_shipment_takes_no_step_twice_and_none_out_of_turn(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(3)
    made = await pack.create(order, 1)
    error = await refusal(pack.deliver(made))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SHIPMENT_STATE")
    await pack.ship(made)
    for late in (pack.ship(made), pack.cancel(made)):
        assert (await refusal(late)).metadata == {"shipment_id": made.id, "state": "SHIPPED"}
    await pack.deliver(made)
    dropped = await pack.cancel(await pack.create(order, 1))
    steps: list[Callable[[Shipment], Any]] = [pack.ship, pack.deliver, pack.cancel]
    for step in steps:
        assert (await refusal(step(made))).metadata["state"] == "DELIVERED"
        assert (await refusal(step(dropped))).metadata["state"] == "CANCELLED"
    foreign = Shipment(id=made.id, order_id=(await pack.paid(1)).id)
    absent = Shipment(id=ABSENT, order_id=order.id)
    nowhere = Shipment(id=made.id, order_id=ABSENT)
    for step in (*steps, pack.get):
        assert [(await refusal(step(wrong))).reason for wrong in (foreign, absent, nowhere)] == [
            "SHIPMENT_NOT_FOUND",
            "SHIPMENT_NOT_FOUND",
            "ORDER_NOT_FOUND",
        ]


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"order_id": "1"}, ["order_id"]),
        ({"lines": [OrderUnits(product_id="1", quantity=1)]}, ["lines[0].product_id"]),
        ({"lines": [OrderUnits(product_id=ABSENT)]}, ["lines[0].quantity"]),
        ({"lines": [OrderUnits(product_id=ABSENT, quantity=1_001)]}, ["lines[0].quantity"]),
        ({"lines": [OrderUnits(product_id=ABSENT, quantity=1)] * 2}, ["lines[1].product_id"]),
        ({"lines": [OrderUnits(product_id=str(uuid.uuid4()), quantity=1) for _ in range(201)]}, ["lines"]),
        ({"carrier": "x" * 101}, ["carrier"]),
        ({"carrier": "a\nb"}, ["carrier"]),
        ({"tracking_number": "x" * 101}, ["tracking_number"]),
        ({"tracking_url": "javascript:alert(1)"}, ["tracking_url"]),
        ({"tracking_url": "https://example.com/" + "x" * 1_981}, ["tracking_url"]),
        ({"etag": "x" * 65}, ["etag"]),
    ],
)
async def test_a_bad_shipment_is_refused(shop: Shop, fields: dict[str, Any], names: list[str]) -> None:
    admin = await shop.person(admin=True)
    request = CreateShipmentRequest(**{"order_id": ABSENT, **fields})
    error = await refusal(shop.fulfillment.CreateShipment(request, metadata=admin.metadata))
    assert (error.reason, error.fields) == ("INVALID_FIELD", names)
    longest = CreateShipmentRequest(order_id=ABSENT, carrier="x" * 100, tracking_url="https://example.com/" + "x" * 1_980)
    assert (await refusal(shop.fulfillment.CreateShipment(longest, metadata=admin.metadata))).reason == "ORDER_NOT_FOUND"


async def test_shipments_are_listed_newest_first_for_owner_and_administrator(shop: Shop) -> None:
    pack, stranger = await packer(shop), await shop.person()
    order, other = await pack.paid(3), await pack.paid(1)
    made = [await pack.create(order, 1) for _ in range(3)]
    await pack.create(other)
    gone = await pack.ship(made[1])
    expected = [await pack.get(each) for each in (made[2], gone, made[0])]
    for who in (pack.buyer, pack.admin):
        assert await every(shop.fulfillment.ListShipments, ListShipmentsRequest, who, order_id=order.id) == expected
    request = fulfillment_pb2.GetShipmentRequest(order_id=order.id, shipment_id=gone.id)
    assert await shop.fulfillment.GetShipment(request, metadata=pack.buyer.metadata) == expected[1]
    for call in (
        shop.fulfillment.GetShipment(request, metadata=stranger.metadata),
        shop.fulfillment.ListShipments(ListShipmentsRequest(order_id=order.id), metadata=stranger.metadata),
        shop.fulfillment.ListReturns(fulfillment_pb2.ListReturnsRequest(order_id=order.id), metadata=stranger.metadata),
    ):
        assert (await refusal(call)).reason == "ORDER_NOT_FOUND"
    page = await shop.fulfillment.ListShipments(ListShipmentsRequest(order_id=order.id, page_size=1), metadata=pack.buyer.metadata)
    elsewhere = ListShipmentsRequest(order_id=other.id, page_token=page.next_page_token)
    assert (await refusal(shop.fulfillment.ListShipments(elsewhere, metadata=pack.buyer.metadata))).reason == "PAGE_TOKEN_INVALID"


async def test_each_step_needs_the_etag_that_its_caller_has_read(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(2)
    made = await pack.create(order, 1, etag=order.etag)
    for step in (pack.create(order, 1, etag=order.etag), pack.ship(made, etag=order.etag), pack.cancel(made, etag=order.etag)):
        error = await refusal(step)
        assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
        assert error.metadata == {"expected_etag": order.etag, "etag": made.order_etag}
    gone = await pack.ship(made, etag=made.order_etag)
    assert (await refusal(pack.deliver(gone, etag=made.order_etag))).reason == "ETAG_MISMATCH"
    assert (await pack.deliver(gone, etag=gone.order_etag)).state == SHIPMENT_STATE_DELIVERED


async def test_a_repeated_call_with_a_key_prepares_one_shipment(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(2)
    first, again = [await pack.create(order, 1, key="one") for _ in "12"]
    assert first == again
    assert await shop.pool.fetchval("SELECT count(*) FROM shipments") == 1
    gone = await pack.ship(first, key="two")
    assert await pack.ship(first, key="two") == gone
    assert fates(await pack.read(order)) == [(1, 0, 0, 0, 0)]
    error = await refusal(pack.create(order, 2, key="one"))
    assert error.reason == "IDEMPOTENCY_KEY_REUSED"


async def test_advance_order_ships_and_delivers_all_that_is_left(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(3, 1)
    await pack.sent(order, 1)
    await pack.create(order, 1)
    order = await pack.advance(order, ORDER_STATUS_SHIPPED)
    assert (statuses(order), fates(order)) == (("SHIPPED", "PAID", "SHIPPED"), [(3, 0, 0, 0, 0), (1, 0, 0, 0, 0)])
    sent = await every(shop.fulfillment.ListShipments, ListShipmentsRequest, pack.admin, order_id=order.id)
    assert [(each.state, quantities_of(each.lines)) for each in sent] == [
        (SHIPMENT_STATE_SHIPPED, [1, 1]),
        (SHIPMENT_STATE_SHIPPED, [1]),
        (SHIPMENT_STATE_SHIPPED, [1]),
    ]
    order = await pack.advance(order, ORDER_STATUS_DELIVERED)
    assert (statuses(order), fates(order)) == (("DELIVERED", "PAID", "DELIVERED"), [(3, 3, 0, 0, 0), (1, 1, 0, 0, 0)])
    await pack.verify()


async def test_cash_on_delivery_is_recorded_when_the_last_shipment_arrives(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.placed(2)
    await pack.change_books(order, lambda books: payment_rules.create(books, Means(MANUAL, PaymentMethod.CASH_ON_DELIVERY), SERVER))
    assert statuses(await pack.read(order)) == ("PAID", "AUTHORIZED", "UNFULFILLED")
    first, second = await pack.sent(order, 1), await pack.sent(order, 1)
    await pack.deliver(first)
    assert statuses(await pack.read(order)) == ("SHIPPED", "AUTHORIZED", "PARTIALLY_DELIVERED")
    assert await shop.pool.fetchval("SELECT captured_minor FROM payments") == 0
    await pack.deliver(second)
    assert statuses(await pack.read(order)) == ("DELIVERED", "PAID", "DELIVERED")
    rows = await shop.pool.fetch("SELECT kind, amount_minor FROM payment_ledger ORDER BY id")
    total = order.total.minor_units
    assert [tuple(row) for row in rows] == [("authorized", total), ("voided", total), ("captured", total)]
    await pack.verify()


async def test_an_order_has_a_thousand_shipments_at_most(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(2)
    await shop.pool.execute(CANCELLED, order.id, 999)
    await shop.pool.execute(CANCELLED_ITEMS, order.lines[0].product_id)
    await pack.create(order, 1)
    error = await refusal(pack.create(order, 1))
    assert (error.code, error.reason, error.metadata["limit"]) == (grpc.StatusCode.FAILED_PRECONDITION, "SHIPMENT_LIMIT", "1000")


async def test_an_order_in_a_state_of_a_later_release_is_left_as_it_is(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(2)
    made = await pack.create(order, 1)
    await shop.pool.execute("ALTER TABLE orders DROP CONSTRAINT orders_status_check")
    await shop.pool.execute("UPDATE orders SET status = 'teleported'")
    calls = (
        pack.create(order),
        pack.ship(made),
        pack.deliver(made),
        pack.cancel(made),
        pack.take_back(order, 1),
        pack.cancel_items(order, 1),
    )
    assert [(await refusal(call)).reason for call in calls] == ["ORDER_STATE"] * 6
    assert await shop.pool.fetchval("SELECT status FROM orders") == "teleported"


@pytest.mark.race
async def test_two_packers_never_ship_the_same_units(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    pack = await packer(shop)
    other = Packer(elsewhere, await shop.person(admin=True), pack.buyer)
    for number in range(race_rounds):
        order = await pack.paid(3)
        etag = order.etag if number % 2 else ""
        outcomes = await raced(pack.create(order, 2, etag=etag), other.create(order, 2, etag=etag))
        made = [each for each in outcomes if isinstance(each, Shipment)]
        assert [each.reason for each in outcomes if each not in made] == ["ETAG_MISMATCH" if etag else "UNITS_EXCEED"]
        sent = await raced(pack.ship(made[0]), other.ship(made[0]))
        assert sorted(each.reason for each in sent if not isinstance(each, Shipment)) == ["SHIPMENT_STATE"]
        assert fates(await pack.read(order)) == [(2, 0, 0, 0, 0)]


@pytest.mark.race
async def test_an_order_is_either_cancelled_or_shipped(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    pack = await packer(shop)
    other = Packer(elsewhere, await shop.person(admin=True), pack.buyer)
    for _ in range(race_rounds):
        order = await pack.paid(2)
        made = await pack.create(order)
        outcomes = await raced(pack.ship(made), other.cancel_order(order))
        [won] = [each for each in outcomes if isinstance(each, Shipment | Order)]
        [lost] = [each for each in outcomes if each is not won]
        now = await pack.read(order)
        if isinstance(won, Shipment):
            assert (lost.reason, statuses(now)) == ("ORDER_STATE", ("SHIPPED", "PAID", "SHIPPED"))
            assert await pack.stock(order) == [8]
        else:
            assert (lost.reason, statuses(now)) == ("SHIPMENT_STATE", ("CANCELLED", "REFUNDED", "CANCELLED"))
            assert await pack.stock(order) == [10]
        await pack.verify()
