"""ListAllOrders with filters: administrators find orders by what they know of them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mercato.v1 import order_pb2
from mercato.v1.catalog_pb2 import Product
from mercato.v1.order_pb2 import ListAllOrdersRequest, Order
from mercato_server.domain.order_filters import OrderFilter
from mercato_server.domain.orders import OrderStatus
from support.market import Market, market
from support.pages import every
from support.shop import Person, Shop, refusal

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def trade(shop: Shop) -> Market:
    """A shop that charges tax and delivery."""
    return await market(shop)


def stamp(moment: datetime) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(moment)
    return found


async def buy(trade: Market, product: Product, quantity: int = 1, buyer: Person | None = None, contact_email: str = "") -> Order:
    buyer = buyer or await trade.shop.person()
    await trade.shop.add(buyer, product, quantity)
    if contact_email:
        await trade.header(buyer, contact_email=contact_email)
    return await trade.shop.checkout(buyer)


async def found(trade: Market, **fields: Any) -> list[str]:
    """Return the ids of a list, read in pages of one."""
    return [order.id for order in await every(trade.shop.orders.ListAllOrders, ListAllOrdersRequest, trade.admin, 1, **fields)]


async def test_an_order_is_found_by_its_number_however_it_is_typed(trade: Market) -> None:
    product = await trade.shop.product(trade.admin)
    order, other = await buy(trade, product), await buy(trade, product)
    number = order.number
    confused = number.replace("1", "l").replace("0", "O")
    for typed in (number, number.lower(), f" {number[:4]}-{number[4:]}", confused, " ".join(number)):
        assert await found(trade, number=typed) == [order.id]
    assert await found(trade, number=number, account_id=other.account_id) == []


async def test_a_mistyped_number_is_told_from_a_text_that_is_none(trade: Market) -> None:
    order = await buy(trade, await trade.shop.product(trade.admin))
    wrong = order.number[:-1] + ("2" if order.number[-1] != "2" else "3")
    for number, told in (
        (wrong, "check character"),
        ("12345", "must be the number"),
        ("U" * 11, "must be the number"),
        ("0" * 41, "at most 40"),
    ):
        error = await refusal(trade.shop.orders.ListAllOrders(ListAllOrdersRequest(number=number), metadata=trade.admin.metadata))
        assert (error.reason, error.fields[0]) == ("INVALID_FIELD", "number")
        assert told in error.message


async def test_orders_are_found_by_any_spelling_of_their_address(trade: Market) -> None:
    product = await trade.shop.product(trade.admin)
    buyer = await trade.shop.person()
    own = await buy(trade, product, buyer=buyer)
    other = await buy(trade, product, buyer=buyer, contact_email="Jo.Doe@B\u00fccher.example.com")
    assert await found(trade, contact_email="jo.DOE@xn--bcher-kva.example.com") == [other.id]
    assert await found(trade, contact_email=buyer.email.upper()) == [own.id]


async def test_orders_are_found_by_product_and_by_several_states(trade: Market) -> None:
    ball, kite = await trade.shop.product(trade.admin), await trade.shop.product(trade.admin, name="Kite")
    placed, paid, cancelled, of_kite = [await buy(trade, product) for product in (ball, ball, ball, kite)]
    advance = order_pb2.AdvanceOrderRequest(order_id=paid.id, status=order_pb2.ORDER_STATUS_PAID)
    await trade.shop.orders.AdvanceOrder(advance, metadata=trade.admin.metadata)
    await trade.shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=cancelled.id), metadata=trade.admin.metadata)
    assert await found(trade, product_id=ball.id) == [cancelled.id, paid.id, placed.id]
    states = [order_pb2.ORDER_STATUS_PAID, order_pb2.ORDER_STATUS_PLACED, order_pb2.ORDER_STATUS_PAID]
    assert await found(trade, statuses=states) == [of_kite.id, paid.id, placed.id]
    assert await found(trade, statuses=states, product_id=ball.id) == [paid.id, placed.id]
    assert await found(trade, statuses=states[:1]) == await found(trade, status=states[0]) == [paid.id]


async def test_a_range_of_time_is_half_open_and_one_of_totals_is_closed(trade: Market) -> None:
    product = await trade.shop.product(trade.admin, price=500, stock=100)
    orders = [await buy(trade, product, quantity) for quantity in (1, 2, 3)]
    for hours, order in enumerate(orders):
        await trade.shop.pool.execute("UPDATE orders SET created_at = $2 WHERE id = $1", order.id, NOON + timedelta(hours=hours))
    first, second, third = [order.id for order in orders]
    assert await found(trade, start_time=stamp(NOON + timedelta(hours=1))) == [third, second]
    assert await found(trade, end_time=stamp(NOON + timedelta(hours=1))) == [first]
    assert await found(trade, start_time=stamp(NOON), end_time=stamp(NOON + timedelta(hours=2))) == [second, first]
    assert await found(trade, start_time=stamp(NOON + timedelta(microseconds=1)), end_time=stamp(NOON + timedelta(hours=1))) == []
    assert await found(trade, min_total=500, max_total=1_000) == [second, first]
    assert await found(trade, min_total=1_001) == [third]
    assert await found(trade, max_total=0) == []
    assert await found(trade, max_total=1_000, start_time=stamp(NOON + timedelta(hours=1)), product_id=product.id) == [second]


async def test_orders_of_this_moment_are_found_by_their_time(trade: Market) -> None:
    product = await trade.shop.product(trade.admin)
    orders = [await buy(trade, product) for _ in "123"]
    times = [order.create_time.ToDatetime(tzinfo=UTC) for order in orders]
    assert await found(trade, start_time=stamp(times[1])) == [orders[2].id, orders[1].id]
    assert await found(trade, start_time=stamp(times[0]), end_time=stamp(times[2])) == [orders[1].id, orders[0].id]


async def test_a_token_continues_the_list_of_its_filter_only(trade: Market) -> None:
    product = await trade.shop.product(trade.admin)
    order, _ = await buy(trade, product), await buy(trade, product)
    base: dict[str, Any] = {
        "statuses": [order_pb2.ORDER_STATUS_PLACED, order_pb2.ORDER_STATUS_PAID],
        "product_id": product.id,
        "start_time": stamp(NOON),
        "end_time": stamp(datetime(2200, 1, 1, tzinfo=UTC)),
        "min_total": 1,
        "max_total": 10**9,
    }

    async def ask(**fields: Any) -> Any:
        return await trade.shop.orders.ListAllOrders(ListAllOrdersRequest(page_size=1, **fields), metadata=trade.admin.metadata)

    token = (await ask(**base)).next_page_token
    assert [found.id for found in (await ask(page_token=token, **base)).orders] == [order.id]
    changes: tuple[dict[str, Any], ...] = (
        {"number": order.number},
        {"account_id": order.account_id},
        {"contact_email": order.contact_email},
        {"product_id": order.id},
        {"statuses": []},
        {"start_time": None},
        {"end_time": None},
        {"min_total": None},
        {"max_total": 10**9 + 1},
    )
    for change in changes:
        assert (await refusal(ask(page_token=token, **base | change))).reason == "PAGE_TOKEN_INVALID", change


def test_tokens_of_the_release_before_stay_valid() -> None:
    account_id = UUID(int=1)
    assert OrderFilter().query == "all orders None None"
    assert OrderFilter(account_id=account_id, statuses=(OrderStatus.PAID,)).query == f"all orders {account_id} paid"


async def test_every_bad_filter_is_named(trade: Market) -> None:
    late, early = stamp(NOON), stamp(NOON - timedelta(microseconds=1))
    states = [order_pb2.ORDER_STATUS_PAID] * 7
    for fields, names in (
        ({"contact_email": "jo"}, ["contact_email"]),
        ({"product_id": "ball"}, ["product_id"]),
        ({"statuses": states}, ["statuses"]),
        ({"statuses": [order_pb2.ORDER_STATUS_PAID, 0, 99]}, ["statuses[2]"]),
        ({"status": order_pb2.ORDER_STATUS_PAID, "statuses": states[:1]}, ["statuses"]),
        ({"start_time": late, "end_time": late}, ["end_time"]),
        ({"start_time": late, "end_time": early}, ["end_time"]),
        ({"start_time": Timestamp(nanos=-1)}, ["start_time"]),
        ({"end_time": Timestamp(seconds=2**62)}, ["end_time"]),
        ({"min_total": -1, "max_total": -1}, ["min_total", "max_total"]),
        ({"min_total": 2, "max_total": 1}, ["max_total"]),
    ):
        error = await refusal(trade.shop.orders.ListAllOrders(ListAllOrdersRequest(**fields), metadata=trade.admin.metadata))
        assert (error.reason, error.fields) == ("INVALID_FIELD", names)
