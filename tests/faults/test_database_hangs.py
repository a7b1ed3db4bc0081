"""The database hangs: it answers no statement, and closes no connection."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import grpc

from faults.buyers import Buyer, Goods, Habits, Market, describe, dice, market
from faults.conftest import Conclude, Scale
from faults.processes import Worker, family, running, stopped
from mercato.v1 import cart_pb2, catalog_pb2, order_pb2
from mercato_server.embedded.postgres import Postgres
from support.patience import Within

LATE_S = 0.5
"""A call may end this much after its deadline."""
OWN_S = 2.0
"""The server's deadline for calls without one; 5 s for a checkout."""
CHECKOUT_S = 5.0
ALLOWED = {"UNAVAILABLE DATABASE_UNAVAILABLE", "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED DEADLINE_EXCEEDED", "ABORTED CONFLICT"}
"""The last is for a call that waited in vain for another call of its account."""

REFUSALS = {"NOT_FOUND ORDER_NOT_FOUND", "FAILED_PRECONDITION CART_EMPTY"}
"""Errors of `cancel` and `checkout` when the database answers."""

Call = Callable[[Market, Buyer, str, float | None], Awaitable[object]]


def checkout(shop: Market, buyer: Buyer, product_id: str, timeout_s: float | None) -> Awaitable[object]:
    return shop.orders[0].Checkout(order_pb2.CheckoutRequest(validate_only=True), metadata=buyer.metadata(), timeout=timeout_s)


def cancel(shop: Market, buyer: Buyer, product_id: str, timeout_s: float | None) -> Awaitable[object]:
    return shop.orders[0].CancelOrder(order_pb2.CancelOrderRequest(order_id=product_id), metadata=buyer.metadata(), timeout=timeout_s)


def orders(shop: Market, buyer: Buyer, product_id: str, timeout_s: float | None) -> Awaitable[object]:
    return shop.orders[0].ListOrders(order_pb2.ListOrdersRequest(), metadata=buyer.metadata(), timeout=timeout_s)


def cart(shop: Market, buyer: Buyer, product_id: str, timeout_s: float | None) -> Awaitable[object]:
    return shop.carts[0].GetCart(cart_pb2.GetCartRequest(), metadata=buyer.metadata(), timeout=timeout_s)


def fill(shop: Market, buyer: Buyer, product_id: str, timeout_s: float | None) -> Awaitable[object]:
    request = cart_pb2.SetCartItemRequest(product_id=product_id, quantity=1)
    return shop.carts[0].SetCartItem(request, metadata=buyer.metadata(), timeout=timeout_s)


def clear(shop: Market, buyer: Buyer, product_id: str, timeout_s: float | None) -> Awaitable[object]:
    return shop.carts[0].ClearCart(cart_pb2.ClearCartRequest(), metadata=buyer.metadata(uuid.uuid4().hex), timeout=timeout_s)


def search(shop: Market, buyer: Buyer, product_id: str, timeout_s: float | None) -> Awaitable[object]:
    return shop.catalog[0].ListProducts(catalog_pb2.ListProductsRequest(skip=dice.randint(0, 9)), timeout=timeout_s)


CALLS: dict[Call, float] = {cancel: OWN_S, orders: OWN_S, cart: OWN_S, fill: OWN_S, clear: OWN_S, search: OWN_S, checkout: CHECKOUT_S}


async def late_by(call: Call, shop: Market, buyer: Buyer, timeout_s: float | None) -> float:
    """Make a call and return how long after its deadline it ended; negative if it was in time."""
    limit_s = CALLS[call] if timeout_s is None else timeout_s
    began = time.monotonic()
    try:
        await call(shop, buyer, str(dice.choice(shop.goods.product_ids)), timeout_s)
    except grpc.aio.AioRpcError as error:
        if (ended := describe(error)) not in REFUSALS:
            shop.tally.codes[ended] += 1
    return time.monotonic() - began - limit_s


async def test_every_call_ends_by_its_deadline_while_the_database_hangs(
    directory: Path, durable_postgres: Postgres, durable_goods: Goods, scale: Scale, conclude: Conclude, within: Within
) -> None:
    worker = Worker(directory, durable_goods.database_url)
    hang_s = scale(3, 10)
    waits: list[asyncio.Task[float]] = []
    *others, bystander = durable_goods.buyers
    durable_goods = replace(durable_goods, buyers=others)
    async with running(worker), market(durable_goods, worker.address, habits=Habits(timeout_s=1.0)) as shop, shop.crowd():
        await shop.trade()
        began = time.monotonic()
        with stopped(family(durable_postgres)):
            while time.monotonic() < began + hang_s:
                waits += [
                    asyncio.ensure_future(late_by(call, shop, bystander, timeout_s)) for call in CALLS for timeout_s in (None, 0.3, 1.0)
                ]
                await asyncio.sleep(0.25)
        latest_s = max(await asyncio.gather(*waits))
        await shop.trade()
    worker.require_no_bugs_logged()
    did = {"seconds": hang_s, "calls": len(waits), "seconds_late_at_most": f"{max(latest_s, 0):.2f}"}
    await conclude("database hangs", durable_goods, shop.tally, **did)
    assert latest_s <= within(LATE_S)
    assert set(shop.tally.codes) <= ALLOWED
