"""Limits of what one account can take without paying: units of a product, unpaid orders, verified addresses, and the time to pay."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import asyncpg
import grpc
import pytest
from grpc import StatusCode

from mercato.v1 import cart_pb2, order_pb2
from mercato_server.background.order_expiry import keep_expiring
from mercato_server.config.settings import OrderRules, Settings
from mercato_server.database.pool import Pool
from mercato_server.store import orders
from mercato_server.store.locked_carts import Checkout
from mercato_server.store.order_states import cancel_overdue
from mercato_server.store.verify import verify
from support.patience import until
from support.shop import Person, Shop, refusal, worker

DUE_S = 3_600
RULES = OrderRules(units_per_product=3, open_orders=2, verified_only=True, payment_due_s=DUE_S)
VERIFY = "UPDATE accounts SET email_verified_at = now() WHERE id = $1"
MAKE_OVERDUE = "UPDATE orders SET payment_due_at = now() - interval '1 second' WHERE id = ANY($1::uuid[])"
OTHER_LINE = """
INSERT INTO cart_items (account_id, product_id, quantity, unit_price_minor, currency_code) VALUES ($1, $2, $3, 1999, 'USD')
"""
PLACE = "INSERT INTO orders (account_id, status, currency_code, total_minor) VALUES ($1, 'placed', 'USD', 0)"
EFFECTS = """
SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM idempotency_keys), (SELECT sum(on_hand) FROM stock_levels),
       (SELECT count(*) FROM cart_items), (SELECT count(*) FROM events)
"""


@pytest.fixture
async def strict(settings: Settings, pool: "Pool") -> AsyncIterator[Shop]:
    """A worker of a shop that limits its buyers."""
    async with worker(replace(settings, orders=RULES), pool) as shop:
        yield shop


async def buyer_of(shop: Shop) -> Person:
    person = await shop.person()
    await shop.pool.execute(VERIFY, uuid.UUID(person.id))
    return person


async def until_waiting(pool: "Pool") -> None:
    async def waits() -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    await until(waits)


async def test_a_cart_refuses_more_units_than_the_shop_sells_to_one_buyer(strict: Shop) -> None:
    admin, buyer = await strict.person(admin=True), await buyer_of(strict)
    ball = await strict.product(admin, stock=100)
    for call in (
        strict.carts.AddCartItem(cart_pb2.AddCartItemRequest(product_id=ball.id, quantity=4), metadata=buyer.metadata),
        strict.carts.SetCartItem(cart_pb2.SetCartItemRequest(product_id=ball.id, quantity=4), metadata=buyer.metadata),
    ):
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "CART_LIMIT")
        assert error.metadata == {"lines": "200", "units": "3"}
    await strict.add(buyer, ball, 3)
    assert (await refusal(strict.add(buyer, ball))).reason == "CART_LIMIT"
    assert [line.quantity for line in (await strict.checkout(buyer)).lines] == [3]


async def test_a_line_from_before_the_limit_is_refused_by_the_checkout(strict: Shop) -> None:
    admin, buyer = await strict.person(admin=True), await buyer_of(strict)
    ball, bike = await strict.product(admin, stock=100), await strict.product(admin, name="Bike", stock=100)
    await strict.add(buyer, bike)
    await strict.pool.execute(OTHER_LINE, uuid.UUID(buyer.id), uuid.UUID(ball.id), 4)
    before = await strict.pool.fetchrow(EFFECTS)
    for validate_only in (False, True):
        error = await refusal(strict.checkout(buyer, key="one", validate_only=validate_only))
        expected = (StatusCode.FAILED_PRECONDITION, "UNITS_LIMIT", {"limit": "3", "product_names": "Ball"})
        assert (error.code, error.reason, error.metadata) == expected
        assert "Ball" in error.message
        assert "Bike" not in error.message
    assert await strict.pool.fetchrow(EFFECTS) == before
    await strict.carts.SetCartItem(cart_pb2.SetCartItemRequest(product_id=ball.id, quantity=3), metadata=buyer.metadata)
    assert (await strict.checkout(buyer, key="one")).id


async def test_an_account_has_a_limited_number_of_unpaid_orders(strict: Shop) -> None:
    admin, buyer, other = await strict.person(admin=True), await buyer_of(strict), await buyer_of(strict)
    ball = await strict.product(admin, stock=100)
    placed = []
    for _ in range(RULES.open_orders):
        await strict.add(buyer, ball)
        placed.append(await strict.checkout(buyer))
    await strict.add(buyer, ball)
    before = await strict.pool.fetchrow(EFFECTS)
    for validate_only in (False, True):
        error = await refusal(strict.checkout(buyer, key="one", validate_only=validate_only))
        assert (error.code, error.reason, error.metadata) == (StatusCode.FAILED_PRECONDITION, "OPEN_ORDERS_LIMIT", {"limit": "2"})
    assert await strict.pool.fetchrow(EFFECTS) == before
    await strict.add(other, ball)
    assert (await strict.checkout(other)).id
    paid = order_pb2.AdvanceOrderRequest(order_id=placed[0].id, status=order_pb2.ORDER_STATUS_PAID)
    await strict.orders.AdvanceOrder(paid, metadata=admin.metadata)
    placed.append(await strict.checkout(buyer, key="one"))
    await strict.add(buyer, ball)
    assert (await refusal(strict.checkout(buyer))).reason == "OPEN_ORDERS_LIMIT"
    await strict.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=placed[1].id), metadata=buyer.metadata)
    assert (await strict.checkout(buyer, validate_only=True)).lines
    assert (await strict.checkout(buyer)).id


async def test_a_buyer_with_too_many_unpaid_orders_leaves_the_stock_to_the_others_of_a_batch(shop: Shop) -> None:
    admin, full, last, late = await shop.person(admin=True), *[await shop.person() for _ in range(3)]
    ball = await shop.product(admin, stock=2)
    await shop.pool.execute(PLACE, uuid.UUID(full.id))
    for person in (full, last, late):
        await shop.add(person, ball, 2)
    batch = [Checkout(uuid.UUID(person.id), uuid.UUID(person.session_id)) for person in (full, last, late)]
    outcomes = await orders.checkout(shop.pool, batch, orders.Shop("USD", OrderRules(open_orders=1)))
    assert [type(outcome).__name__ for outcome in outcomes] == ["OpenOrdersLimit", "Order", "OutOfStock"]
    assert await shop.stock(ball) == 0


async def test_checkouts_of_one_account_that_share_no_line_pass_one_at_a_time(strict: Shop, database: str) -> None:
    """Another worker's checkout holds the account; its order counts once it has committed."""
    admin, buyer = await strict.person(admin=True), await buyer_of(strict)
    await strict.add(buyer, await strict.product(admin))
    await strict.pool.execute(PLACE, uuid.UUID(buyer.id))
    elsewhere = await asyncpg.connect(database)
    try:
        await elsewhere.execute("BEGIN")
        await elsewhere.execute("SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE", uuid.UUID(buyer.id))
        checkout = asyncio.ensure_future(refusal(strict.checkout(buyer)))
        await until_waiting(strict.pool)
        await elsewhere.execute(PLACE, uuid.UUID(buyer.id))
        await elsewhere.execute("COMMIT")
    finally:
        await elsewhere.close()
    assert (await checkout).reason == "OPEN_ORDERS_LIMIT"
    assert await strict.pool.fetchval("SELECT count(*) FROM orders") == RULES.open_orders


@pytest.mark.race
async def test_two_workers_never_pass_the_limit_of_unpaid_orders(settings: Settings, pool: "Pool", race_rounds: int) -> None:
    limited = replace(settings, orders=OrderRules(open_orders=1))
    async with AsyncExitStack() as stack:
        shops = [await stack.enter_async_context(worker(limited, pool)) for _ in range(2)]
        admin = await shops[0].person(admin=True)
        products = [await shops[0].product(admin, name=name, stock=1_000) for name in ("Ball", "Bike")]
        for _ in range(race_rounds):
            buyer = await shops[0].person()

            async def buy(number: int, buyer: Person = buyer) -> order_pb2.Order:
                await shops[number].add(buyer, products[number])
                return await shops[number].checkout(buyer)

            await asyncio.gather(*(buy(number) for number in (0, 1)), return_exceptions=True)
            assert await pool.fetchval("SELECT count(*) FROM orders WHERE account_id = $1", uuid.UUID(buyer.id)) == 1


async def test_a_shop_for_verified_buyers_says_what_the_others_must_do(strict: Shop) -> None:
    admin, buyer = await strict.person(admin=True), await strict.person()
    await strict.add(buyer, await strict.product(admin))
    before = await strict.pool.fetchrow(EFFECTS)
    for validate_only in (False, True):
        error = await refusal(strict.checkout(buyer, validate_only=validate_only))
        assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "EMAIL_NOT_VERIFIED")
        assert "RequestEmailVerification" in error.message
    assert await strict.pool.fetchrow(EFFECTS) == before
    await strict.pool.execute(VERIFY, uuid.UUID(buyer.id))
    assert (await strict.checkout(buyer)).id


async def place(shop: Shop, count: int = 1, stock: int = 10) -> tuple[Person, list[order_pb2.Order]]:
    """Place orders of two units each; return the administrator too."""
    admin = await shop.person(admin=True)
    ball = await shop.product(admin, stock=stock)
    placed = []
    for _ in range(count):
        buyer = await buyer_of(shop)
        await shop.add(buyer, ball, 2)
        placed.append(await shop.checkout(buyer))
    return admin, placed


def advance(
    shop: Shop, admin: Person, order: order_pb2.Order, etag: str = ""
) -> "grpc.aio.UnaryUnaryCall[order_pb2.AdvanceOrderRequest, order_pb2.Order]":
    request = order_pb2.AdvanceOrderRequest(order_id=order.id, status=order_pb2.ORDER_STATUS_PAID, etag=etag)
    return shop.orders.AdvanceOrder(request, metadata=admin.metadata)


def ids(placed: list[order_pb2.Order]) -> list[uuid.UUID]:
    return [uuid.UUID(order.id) for order in placed]


async def test_an_order_tells_its_due_time_while_it_is_to_be_paid(strict: Shop) -> None:
    admin, [order] = await place(strict)
    assert order.payment_due_time.ToDatetime() - order.create_time.ToDatetime() == timedelta(seconds=DUE_S)
    assert await strict.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order.id), metadata=admin.metadata) == order
    assert not (await advance(strict, admin, order)).HasField("payment_due_time")


async def test_no_order_is_due_unless_the_shop_sets_a_time(shop: Shop) -> None:
    _, [order] = await place(shop)
    assert not order.HasField("payment_due_time")
    assert await shop.pool.fetchval("SELECT payment_due_at FROM orders") is None
    assert await cancel_overdue(shop.pool, 10) == 0


async def test_overdue_orders_are_cancelled_a_batch_at_a_time_by_the_system(strict: Shop) -> None:
    admin, placed = await place(strict, 5)
    *overdue, paid, young = placed
    await advance(strict, admin, paid)
    await strict.pool.execute(MAKE_OVERDUE, ids([*overdue, paid]))
    assert [await cancel_overdue(strict.pool, 2) for _ in range(3)] == [2, 1, 0]
    found = {
        order.id: order for order in (await strict.orders.ListAllOrders(order_pb2.ListAllOrdersRequest(), metadata=admin.metadata)).orders
    }
    for order in overdue:
        *_, last = found[order.id].history
        assert (last.status, last.actor, last.reason) == (
            order_pb2.ORDER_STATUS_CANCELLED,
            order_pb2.ORDER_ACTOR_SYSTEM,
            "not paid in time",
        )
    assert [found[order.id].status for order in (paid, young)] == [order_pb2.ORDER_STATUS_PAID, order_pb2.ORDER_STATUS_PLACED]
    assert await strict.pool.fetchval("SELECT on_hand FROM stock_levels") == 10 - 2 * 2
    events = await strict.pool.fetch("SELECT subject_id FROM events WHERE kind = 'order.cancelled'")
    assert sorted(row["subject_id"] for row in events) == sorted(ids(overdue))
    assert not await strict.pool.fetchval("SELECT count(*) FROM audit_log WHERE action = 'order.cancelled'")
    async with strict.pool.acquire() as conn:
        assert not [finding for finding in await verify(conn) if finding.violations]


async def test_a_worker_cancels_overdue_orders_by_itself(strict: Shop) -> None:
    _, placed = await place(strict, 2)
    task = asyncio.ensure_future(keep_expiring(strict.pool, 0.001))
    await strict.pool.execute(MAKE_OVERDUE, ids(placed))

    async def cancelled() -> bool:
        return bool(await strict.pool.fetchval("SELECT count(*) FROM orders WHERE status = 'cancelled'") == 2)

    await until(cancelled)
    assert not task.done()
    task.cancel()


async def test_an_order_that_is_paid_while_it_is_being_cancelled_stays_paid(strict: Shop, database: str) -> None:
    """A paid order may be cancelled too, so the cancellation must be of the order that was found unpaid."""
    _, [order] = await place(strict)
    await strict.pool.execute(MAKE_OVERDUE, ids([order]))
    payment = await asyncpg.connect(database)
    try:
        await payment.execute("BEGIN")
        await payment.execute("UPDATE orders SET status = 'paid', version = version + 1 WHERE id = $1", uuid.UUID(order.id))
        sweep = asyncio.ensure_future(cancel_overdue(strict.pool, 10))
        await until_waiting(strict.pool)
        await payment.execute("COMMIT")
    finally:
        await payment.close()
    await sweep
    assert await strict.pool.fetchval("SELECT status FROM orders") == "paid"
    assert await strict.pool.fetchval("SELECT on_hand FROM stock_levels") == 8


@pytest.mark.race
async def test_an_overdue_order_ends_once_whoever_comes_first(strict: Shop, race_rounds: int) -> None:
    for _ in range(race_rounds):
        admin, [order] = await place(strict)
        await strict.pool.execute(MAKE_OVERDUE, ids([order]))
        cancel = order_pb2.CancelOrderRequest(order_id=order.id)
        await asyncio.gather(
            *(cancel_overdue(strict.pool, 10) for _ in range(3)),
            strict.orders.CancelOrder(cancel, metadata=admin.metadata),
            advance(strict, admin, order),
            return_exceptions=True,
        )
        steps = await strict.pool.fetch("SELECT status FROM order_history WHERE order_id = $1 ORDER BY version", uuid.UUID(order.id))
        assert [row["status"] for row in steps] in (["placed", "paid"], ["placed", "cancelled"], ["placed", "paid", "cancelled"])
    async with strict.pool.acquire() as conn:
        assert not [finding for finding in await verify(conn) if finding.violations]


async def test_of_two_packers_with_the_same_order_one_goes_on(shop: Shop) -> None:
    admin, [order] = await place(shop)
    assert order.etag
    outcomes = await asyncio.gather(*(advance(shop, admin, order, order.etag) for _ in range(4)), return_exceptions=True)
    [paid] = [outcome for outcome in outcomes if isinstance(outcome, order_pb2.Order)]
    assert paid.etag != order.etag
    for stale in (
        advance(shop, admin, order, order.etag),
        shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id, etag=order.etag), metadata=admin.metadata),
    ):
        error = await refusal(stale)
        assert (error.code, error.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")
        assert error.metadata == {"expected_etag": order.etag, "etag": paid.etag}
    assert await shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order.id), metadata=admin.metadata) == paid
    shipped = order_pb2.AdvanceOrderRequest(order_id=order.id, status=order_pb2.ORDER_STATUS_SHIPPED, etag=paid.etag)
    assert (await shop.orders.AdvanceOrder(shipped, metadata=admin.metadata)).etag not in (order.etag, paid.etag)
    long = order_pb2.CancelOrderRequest(order_id=order.id, etag="x" * 65)
    assert (await refusal(shop.orders.CancelOrder(long, metadata=admin.metadata))).fields == ["etag"]
