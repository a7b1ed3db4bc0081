"""OrderService through a real channel."""

import asyncio

import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import PreconditionFailure, RetryInfo
from grpc import StatusCode

from mercato.v1 import cart_pb2, catalog_pb2, order_pb2
from mercato.v1.money_pb2 import Money
from support.shop import Shop, refusal


async def test_checkout_turns_the_cart_into_an_order_and_takes_the_stock(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball, bike = await shop.product(admin, stock=3), await shop.product(admin, name="Bike", price=89_900, stock=2)
    await shop.add(buyer, ball, 2)
    await shop.add(buyer, bike)

    order = await shop.checkout(buyer)

    assert order.status == order_pb2.ORDER_STATUS_PLACED
    assert order.total == Money(currency_code="USD", minor_units=2 * 1999 + 89_900)
    assert {(line.product_name, line.quantity, line.unit_price.minor_units) for line in order.lines} == {
        ("Ball", 2, 1999),
        ("Bike", 1, 89_900),
    }
    assert (await shop.stock(ball), await shop.stock(bike)) == (1, 1)
    cart = await shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=buyer.metadata)
    assert not cart.lines
    ledger = await shop.pool.fetch("SELECT delta FROM stock_ledger WHERE kind = 'sale' ORDER BY delta")
    assert [row["delta"] for row in ledger] == [-2, -1]
    assert await shop.pool.fetchval("SELECT count(*) FROM events WHERE kind = 'order.placed'") == 1
