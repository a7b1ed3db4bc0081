"""Returns: units come back, into stock or not."""

from typing import Any

import grpc
import pytest

from mercato.v1.fulfillment_pb2 import CreateReturnRequest, ListReturnsRequest, OrderUnits, Return
from mercato.v1.order_pb2 import ORDER_STATUS_REFUNDED
from support.packing import Packer, fates, packer, raced, statuses, units
from support.pages import every
from support.shop import Shop, refusal

ABSENT = "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57"
RETURNS = "SELECT id::text, order_id::text, restocked, reason, actor_kind, actor_id::text FROM returns ORDER BY id"
ITEMS = "SELECT return_id::text, product_id::text, quantity FROM return_items ORDER BY 1, 2"


async def test_units_come_back_into_stock_if_they_can_be_sold_again(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(3, 1)
    await pack.deliver(await pack.sent(order))
    kept = await pack.take_back(order, 1, 1, restock=True, reason=" too small ")
    assert (kept.restocked, kept.reason, list(kept.lines)) == (True, "too small", units(order, 1, 1))
    now = await pack.read(order)
    assert (statuses(now), kept.order_etag) == (("DELIVERED", "PAID", "PARTIALLY_RETURNED"), now.etag)
    assert await pack.stock(order) == [8, 10]
    broken = await pack.take_back(order, 1)
    assert await pack.stock(order) == [8, 10]
    first, second = [line.product_id for line in order.lines]
    assert sorted(await pack.ledger(order)) == sorted([(first, "return", 1, kept.id), (second, "return", 1, kept.id)])
    assert [tuple(row) for row in await shop.pool.fetch(RETURNS)] == [
        (kept.id, order.id, True, "too small", "administrator", pack.admin.id),
        (broken.id, order.id, False, "", "administrator", pack.admin.id),
    ]
    assert [tuple(row) for row in await shop.pool.fetch(ITEMS)] == sorted(
        [(kept.id, first, 1), (kept.id, second, 1), (broken.id, first, 1)]
    )
    assert [kind for kind in await pack.news(order) if kind.startswith("return.")] == ["return.created"] * 2
    await pack.take_back(order, 1, restock=True)
    now = await pack.read(order)
    assert (statuses(now), fates(now)) == (("DELIVERED", "PAID", "RETURNED"), [(3, 3, 0, 3, 0), (1, 1, 0, 1, 0)])
    assert await pack.stock(order) == [9, 10]
    await pack.verify()


async def test_only_units_that_have_left_come_back_and_each_once(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(3)
    await pack.sent(order, 2)
    await pack.create(order, 1)
    error = await refusal(pack.take_back(order, 3, restock=True))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "UNITS_EXCEED")
    assert error.metadata == {"product_id": order.lines[0].product_id, "wanted": "3", "left": "2"}
    await pack.take_back(order, 1, restock=True)  # before it has arrived
    assert statuses(await pack.read(order)) == ("PAID", "PAID", "PARTIALLY_RETURNED")
    assert (await refusal(pack.take_back(order, 2))).metadata["left"] == "1"
    assert await pack.stock(order) == [8]
    foreign = CreateReturnRequest(order_id=order.id, lines=[OrderUnits(product_id=ABSENT, quantity=1)])
    assert (await refusal(shop.fulfillment.CreateReturn(foreign, metadata=pack.admin.metadata))).reason == "UNITS_EXCEED"
    assert await shop.pool.fetchval("SELECT count(*) FROM returns") == 1


async def test_a_refunded_order_takes_units_back(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(2)
    await pack.sent(order)
    order = await pack.advance(order, ORDER_STATUS_REFUNDED)
    assert (statuses(order), fates(order)) == (("REFUNDED", "REFUNDED", "SHIPPED"), [(2, 0, 0, 0, 3998)])
    await pack.take_back(order, 2, restock=True)
    assert statuses(await pack.read(order)) == ("REFUNDED", "REFUNDED", "RETURNED")
    assert await pack.stock(order) == [10]


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"order_id": "1"}, ["order_id"]),
        ({"lines": []}, ["lines"]),
        ({"lines": [OrderUnits(product_id=ABSENT, quantity=0)]}, ["lines[0].quantity"]),
        ({"lines": [OrderUnits(product_id=ABSENT, quantity=1)] * 201}, ["lines", *(f"lines[{n}].product_id" for n in range(1, 200))]),
        ({"reason": "x" * 501}, ["reason"]),
        ({"etag": "x" * 65}, ["etag"]),
    ],
)
async def test_a_bad_return_is_refused(shop: Shop, fields: dict[str, Any], names: list[str]) -> None:
    admin = await shop.person(admin=True)
    request = CreateReturnRequest(**{"order_id": ABSENT, "lines": [OrderUnits(product_id=ABSENT, quantity=1)], **fields})
    error = await refusal(shop.fulfillment.CreateReturn(request, metadata=admin.metadata))
    assert error.reason == "INVALID_FIELD"
    assert set(error.fields) <= set(names)
    assert error.fields


async def test_returns_are_listed_newest_first_for_owner_and_administrator(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(3)
    await pack.sent(order)
    made = [await pack.take_back(order, 1, restock=bool(number)) for number in range(3)]
    for who in (pack.buyer, pack.admin):
        listed = await every(shop.fulfillment.ListReturns, ListReturnsRequest, who, order_id=order.id)
        assert [(each.id, each.restocked, list(each.lines)) for each in listed] == [
            (each.id, each.restocked, list(each.lines)) for each in made[::-1]
        ]
        assert {each.order_etag for each in listed} == {made[-1].order_etag}


async def test_a_return_needs_the_etag_and_is_made_once_with_a_key(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.paid(2)
    sent = await pack.sent(order)
    assert (await refusal(pack.take_back(order, 1, etag=order.etag))).reason == "ETAG_MISMATCH"
    first, again = [await pack.take_back(order, 1, restock=True, key="one", etag=sent.order_etag) for _ in "12"]
    assert first == again
    assert await pack.stock(order) == [9]


@pytest.mark.race
async def test_a_unit_comes_back_once_when_administrators_race(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    pack = await packer(shop)
    other = Packer(elsewhere, await shop.person(admin=True), pack.buyer)
    for _ in range(race_rounds):
        order = await pack.paid(2)
        await pack.sent(order)
        outcomes = await raced(pack.take_back(order, 2, restock=True), other.take_back(order, 2, restock=True))
        assert sorted(isinstance(each, Return) for each in outcomes) == [False, True]
        assert [each.reason for each in outcomes if not isinstance(each, Return)] == ["UNITS_EXCEED"]
        assert await pack.stock(order) == [10]
        await pack.verify()
