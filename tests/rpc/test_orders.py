"""OrderService through a real channel."""

import asyncio
import itertools
import uuid

import asyncpg
import pytest
from google.rpc.error_details_pb2 import PreconditionFailure, RetryInfo
from grpc import StatusCode

from mercato.v1 import audit_pb2, cart_pb2, catalog_pb2, order_pb2, user_pb2
from mercato.v1.money_pb2 import Money
from support.shop import Person, Shop, refusal

LEDGER_MATCHES_STOCK = """
SELECT count(*)
  FROM stock_levels
 WHERE on_hand <> (SELECT coalesce(sum(delta), 0) FROM stock_ledger WHERE stock_ledger.product_id = stock_levels.product_id)
"""


async def cart_of(shop: Shop, buyer: Person) -> cart_pb2.Cart:
    return await shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=buyer.metadata)


async def test_checkout_turns_the_cart_into_an_order_and_takes_the_stock(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball, bike = await shop.product(admin, stock=3), await shop.product(admin, name="Bike", price=89_900, stock=2)
    await shop.add(buyer, ball, 2)
    await shop.add(buyer, bike)

    order = await shop.checkout(buyer)

    assert order.status == order_pb2.ORDER_STATUS_PLACED
    assert order.account_id == buyer.id
    assert order.total == Money(currency_code="USD", minor_units=2 * 1999 + 89_900)
    lines = {(line.product_name, line.quantity, line.unit_price.minor_units, line.line_total.minor_units) for line in order.lines}
    assert lines == {("Ball", 2, 1999, 3998), ("Bike", 1, 89_900, 89_900)}
    assert (await shop.stock(ball), await shop.stock(bike)) == (1, 1)
    assert not (await cart_of(shop, buyer)).lines
    ledger = await shop.pool.fetch("SELECT delta FROM stock_ledger WHERE kind = 'sale' ORDER BY delta")
    assert [row["delta"] for row in ledger] == [-2, -1]
    assert await shop.pool.fetchval("SELECT count(*) FROM events WHERE kind = 'order.placed'") == 1
    assert await shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order.id), metadata=buyer.metadata) == order


async def test_an_order_keeps_name_and_price_whatever_becomes_of_the_product(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin)
    await shop.add(buyer, ball)
    order = await shop.checkout(buyer)
    changed = catalog_pb2.Product(id=ball.id, name="Other", price=Money(minor_units=1))
    await shop.catalog.UpdateProduct(catalog_pb2.UpdateProductRequest(product=changed), metadata=admin.metadata)
    await shop.catalog.DeleteProduct(catalog_pb2.DeleteProductRequest(product_id=ball.id), metadata=admin.metadata)
    again = await shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order.id), metadata=buyer.metadata)
    assert again == order


async def test_every_line_that_cannot_be_served_is_named_and_nothing_changes(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball, bike, fine, gone = [await shop.product(admin, name=name, stock=3) for name in ("Ball", "Bike", "Fine", "Gone")]
    for product, quantity in ((ball, 5), (bike, 4), (fine, 1), (gone, 1)):
        await shop.add(buyer, product, quantity)
    await shop.catalog.DeleteProduct(catalog_pb2.DeleteProductRequest(product_id=gone.id), metadata=admin.metadata)
    before = await cart_of(shop, buyer)

    error = await refusal(shop.checkout(buyer, key="k"))

    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "OUT_OF_STOCK")
    shortage = {(line.product_id, line.wanted, line.available) for line in error.detail(order_pb2.StockShortage).lines}
    assert shortage == {(ball.id, 5, 3), (bike.id, 4, 3), (gone.id, 1, 0)}
    assert len(error.detail(PreconditionFailure).violations) == 3
    assert await cart_of(shop, buyer) == before
    assert [await shop.stock(product) for product in (ball, bike, fine)] == [3, 3, 3]
    assert await shop.pool.fetchval("SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM idempotency_keys)") == 0


async def test_an_empty_cart_cannot_be_bought(shop: Shop) -> None:
    error = await refusal(shop.checkout(await shop.person()))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "CART_EMPTY")


async def test_the_same_key_gives_the_same_order_byte_for_byte(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin, stock=5)
    await shop.add(buyer, ball)
    metadata = (*buyer.metadata, ("idempotency-key", "one"))
    first = shop.orders.Checkout(order_pb2.CheckoutRequest(), metadata=metadata)
    order = await first
    await shop.add(buyer, ball)
    second = shop.orders.Checkout(order_pb2.CheckoutRequest(), metadata=metadata)
    assert (await second).SerializeToString() == order.SerializeToString()
    assert ("idempotent-replayed", "true") not in tuple(await first.initial_metadata())
    assert ("idempotent-replayed", "true") in tuple(await second.initial_metadata())
    assert await shop.stock(ball) == 4
    assert len((await cart_of(shop, buyer)).lines) == 1


async def test_a_key_is_refused_for_another_request_and_free_for_another_account(shop: Shop) -> None:
    admin, buyer, other = await shop.person(admin=True), await shop.person(), await shop.person()
    ball = await shop.product(admin)
    for person in (buyer, other):
        await shop.add(person, ball)
    order = await shop.checkout(buyer, key="one")
    error = await refusal(shop.checkout(buyer, key="one", expected_total=Money(minor_units=1)))
    assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED", ["idempotency-key"])
    assert (await shop.checkout(other, key="one")).id != order.id


async def test_a_key_whose_checkout_was_refused_can_be_used_again(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin)
    assert (await refusal(shop.checkout(buyer, key="one"))).reason == "CART_EMPTY"
    await shop.add(buyer, ball)
    assert (await shop.checkout(buyer, key="one")).id


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256])
async def test_a_malformed_key_is_refused(shop: Shop, key: str) -> None:
    buyer = await shop.person()
    call = shop.orders.Checkout(order_pb2.CheckoutRequest(), metadata=(*buyer.metadata, ("idempotency-key", key)))
    error = await refusal(call)
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, ["idempotency-key"])


async def test_a_buyer_can_insist_on_total_and_cart(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin, price=100)
    cart = await shop.add(buyer, ball, 2)
    changed = catalog_pb2.Product(id=ball.id, price=Money(minor_units=150))
    await shop.catalog.UpdateProduct(catalog_pb2.UpdateProductRequest(product=changed), metadata=admin.metadata)

    error = await refusal(shop.checkout(buyer, expected_total=cart.total))
    assert (error.code, error.reason) == (StatusCode.ABORTED, "TOTAL_CHANGED")
    assert error.metadata == {"expected_total": "200", "total": "300"}
    assert not any(isinstance(detail, RetryInfo) for detail in error.details)  # the same request never succeeds
    error = await refusal(shop.checkout(buyer, cart_etag=cart.etag))
    now = await cart_of(shop, buyer)
    assert (error.code, error.reason, error.metadata) == (
        StatusCode.ABORTED,
        "ETAG_MISMATCH",
        {"expected_etag": cart.etag, "etag": now.etag},
    )
    assert (await shop.checkout(buyer, expected_total=now.total, cart_etag=now.etag)).total == now.total


async def test_validating_says_what_would_be_and_changes_nothing(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin, stock=1)
    cart = await shop.add(buyer, ball)
    draft = await shop.checkout(buyer, key="one", validate_only=True)
    assert (draft.id, draft.total) == ("", cart.total)
    assert await cart_of(shop, buyer) == cart
    assert await shop.stock(ball) == 1
    assert await shop.pool.fetchval("SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM idempotency_keys)") == 0
    assert (await shop.checkout(buyer, key="one")).id
    await shop.add(buyer, ball)
    assert (await refusal(shop.checkout(buyer, key="one", validate_only=True))).reason == "OUT_OF_STOCK"
    assert (await refusal(shop.checkout(buyer, key="a b", validate_only=True))).fields == ["idempotency-key"]


async def test_history_is_the_buyers_own_newest_first_and_in_pages(shop: Shop) -> None:
    admin, buyer, other = await shop.person(admin=True), await shop.person(), await shop.person()
    ball = await shop.product(admin, stock=100)
    placed = []
    for person in (buyer, other, buyer, buyer):
        await shop.add(person, ball)
        order = await shop.checkout(person)
        if person is buyer:
            placed.append(order.id)
    found, token = [], ""
    while True:
        request = order_pb2.ListOrdersRequest(page_size=2, page_token=token)
        page = await shop.orders.ListOrders(request, metadata=buyer.metadata)
        found += [order.id for order in page.orders]
        token = page.next_page_token
        if not token:
            break
        error = await refusal(shop.orders.ListOrders(request.__class__(page_token=token), metadata=other.metadata))
        assert error.reason == "PAGE_TOKEN_INVALID"
    assert found == placed[::-1]


async def test_lists_can_be_narrowed_to_a_status_and_an_account(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin, stock=100)
    await shop.add(buyer, ball)
    await shop.checkout(buyer)
    await shop.add(buyer, ball)
    order = await shop.checkout(buyer)
    await shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id), metadata=buyer.metadata)
    mine = await shop.orders.ListOrders(order_pb2.ListOrdersRequest(status=order_pb2.ORDER_STATUS_CANCELLED), metadata=buyer.metadata)
    assert [found.id for found in mine.orders] == [order.id]
    for request, count in (
        (order_pb2.ListAllOrdersRequest(), 2),
        (order_pb2.ListAllOrdersRequest(status=order_pb2.ORDER_STATUS_PLACED), 1),
        (order_pb2.ListAllOrdersRequest(account_id=buyer.id), 2),
        (order_pb2.ListAllOrdersRequest(account_id=buyer.id, status=order_pb2.ORDER_STATUS_PAID), 0),
        (order_pb2.ListAllOrdersRequest(account_id=admin.id), 0),
    ):
        assert len((await shop.orders.ListAllOrders(request, metadata=admin.metadata)).orders) == count


async def test_anothers_order_answers_exactly_as_an_absent_one(shop: Shop) -> None:
    admin, buyer, stranger = await shop.person(admin=True), await shop.person(), await shop.person()
    await shop.add(buyer, await shop.product(admin))
    order, absent = await shop.checkout(buyer), str(uuid.uuid4())
    for ask in (
        lambda order_id, who: shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order_id), metadata=who.metadata),
        lambda order_id, who: shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order_id), metadata=who.metadata),
    ):
        foreign, missing = await refusal(ask(order.id, stranger)), await refusal(ask(absent, stranger))
        assert foreign.reason == missing.reason == "ORDER_NOT_FOUND"
        assert repr(foreign).replace(order.id, "ID") == repr(missing).replace(absent, "ID")
    assert await shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order.id), metadata=admin.metadata) == order


async def test_cancelling_restocks_once_and_is_final(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin, stock=3)
    await shop.add(buyer, ball, 2)
    order = await shop.checkout(buyer)
    request = order_pb2.CancelOrderRequest(order_id=order.id, reason="changed my mind")
    cancelled = await shop.orders.CancelOrder(request, metadata=buyer.metadata)
    assert cancelled.status == order_pb2.ORDER_STATUS_CANCELLED
    assert [(step.status, step.actor, step.reason) for step in cancelled.history] == [
        (order_pb2.ORDER_STATUS_PLACED, order_pb2.ORDER_ACTOR_BUYER, ""),
        (order_pb2.ORDER_STATUS_CANCELLED, order_pb2.ORDER_ACTOR_BUYER, "changed my mind"),
    ]
    error = await refusal(shop.orders.CancelOrder(request, metadata=buyer.metadata))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "ORDER_STATE")
    assert error.metadata == {"status": "CANCELLED", "allowed": ""}
    assert await shop.stock(ball) == 3
    assert await shop.pool.fetchval(LEDGER_MATCHES_STOCK) == 0


async def test_stock_that_a_cancelled_order_lifts_above_the_limit_can_be_lowered(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin, stock=1_000_000_000)
    await shop.add(buyer, ball, 3)
    order = await shop.checkout(buyer)

    async def adjust(delta: int) -> catalog_pb2.Product:
        request = catalog_pb2.AdjustStockRequest(product_id=ball.id, delta=delta)
        return await shop.catalog.AdjustStock(request, metadata=admin.metadata)

    assert (await adjust(3)).stock == 1_000_000_000
    await shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id), metadata=buyer.metadata)
    assert (await adjust(-1)).stock == 1_000_000_002
    error = await refusal(adjust(1))
    assert (error.reason, error.metadata) == ("STOCK_LIMIT", {"stock": "1000000002"})
    assert (await adjust(-2)).stock == 1_000_000_000
    assert await shop.pool.fetchval(LEDGER_MATCHES_STOCK) == 0


async def test_an_order_is_advanced_by_administrators_along_its_states(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    await shop.add(buyer, await shop.product(admin))
    order = await shop.checkout(buyer)
    for status in (order_pb2.ORDER_STATUS_PAID, order_pb2.ORDER_STATUS_SHIPPED, order_pb2.ORDER_STATUS_DELIVERED):
        request = order_pb2.AdvanceOrderRequest(order_id=order.id, status=status)
        assert (await shop.orders.AdvanceOrder(request, metadata=admin.metadata)).status == status
    error = await refusal(shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id), metadata=admin.metadata))
    assert error.metadata == {"status": "DELIVERED", "allowed": "REFUNDED"}
    kinds = await shop.pool.fetch("SELECT kind FROM events WHERE subject_id = $1 ORDER BY id", uuid.UUID(order.id))
    assert [row["kind"] for row in kinds] == ["order.placed", "order.paid", "order.shipped", "order.delivered"]


@pytest.mark.parametrize("table", ["products", "cart_items", "orders"])  # order_items: `verify`
async def test_no_amount_is_in_another_currency_than_the_shops(shop: Shop, table: str) -> None:
    ball, buyer = await shop.product(await shop.person(admin=True)), await shop.person()
    await shop.add(buyer, ball)
    await shop.checkout(buyer)
    await shop.add(buyer, ball)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await shop.pool.execute(f"UPDATE {table} SET currency_code = 'EUR'")  # noqa: S608 - a constant


async def test_an_actor_is_stored_with_the_kind_in_which_it_acts(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin)
    for who, by in ((buyer, buyer), (buyer, admin), (admin, admin)):
        await shop.add(who, ball)
        order = await shop.checkout(who)
        await shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id), metadata=by.metadata)
    person = {uuid.UUID(buyer.id): "buyer", uuid.UUID(admin.id): "admin", None: None}
    steps = await shop.pool.fetch("SELECT actor_kind, actor_id FROM order_history ORDER BY order_id, version")
    assert [(row["actor_kind"], person[row["actor_id"]]) for row in steps] == [
        *(("buyer", "buyer"), ("buyer", "buyer")),
        *(("buyer", "buyer"), ("administrator", "admin")),
        *(("buyer", "admin"), ("buyer", "admin")),  # an administrator's own order
    ]
    ledger = await shop.pool.fetch("SELECT kind, actor_kind, actor_id FROM stock_ledger ORDER BY id")
    assert [(row["kind"], row["actor_kind"], person[row["actor_id"]]) for row in ledger] == [
        ("initial", "administrator", "admin"),
        *(("sale", None, None), ("cancel", "buyer", "buyer")),
        *(("sale", None, None), ("cancel", "administrator", "admin")),
        *(("sale", None, None), ("cancel", "buyer", "admin")),
    ]


async def test_an_actor_of_a_kind_that_a_later_release_writes_is_left_alone(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    await shop.add(buyer, await shop.product(admin))
    order = await shop.checkout(buyer)
    request = order_pb2.AdvanceOrderRequest(order_id=order.id, status=order_pb2.ORDER_STATUS_PAID)
    await shop.orders.AdvanceOrder(request, metadata=admin.metadata)
    for table, constraint in (("order_history", "order_history_actor_check"), ("audit_log", "audit_log_actor_kind_check")):
        await shop.pool.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
        await shop.pool.execute(f"UPDATE {table} SET actor_kind = 'service_account', actor_id = NULL WHERE actor_kind = 'administrator'")  # noqa: S608 - a constant
    found = await shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order.id), metadata=buyer.metadata)
    assert [step.actor for step in found.history] == [order_pb2.ORDER_ACTOR_BUYER, order_pb2.ORDER_ACTOR_UNSPECIFIED]
    log = await shop.audit.ListAuditLog(audit_pb2.ListAuditLogRequest(), metadata=admin.metadata)
    assert [(entry.action, entry.actor_id) for entry in log.entries] == [("order.paid", ""), ("product.created", "")]


async def test_a_state_and_a_role_that_a_later_release_writes_are_left_alone(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    await shop.add(buyer, await shop.product(admin))
    order = await shop.checkout(buyer)
    await shop.pool.execute("ALTER TABLE orders DROP CONSTRAINT orders_status_check")
    await shop.pool.execute("ALTER TABLE accounts DROP CONSTRAINT accounts_roles_check")
    await shop.pool.execute("UPDATE orders SET status = 'packed'")
    await shop.pool.execute("UPDATE order_history SET status = 'packed'")
    await shop.pool.execute("UPDATE accounts SET role = 'packer' WHERE id = $1", buyer.id)
    found = await shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order.id), metadata=buyer.metadata)
    assert (found.status, found.history[0].status) == (order_pb2.ORDER_STATUS_UNSPECIFIED,) * 2
    error = await refusal(shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id), metadata=buyer.metadata))
    assert (error.reason, error.metadata["allowed"]) == ("ORDER_STATE", "")
    assert (await shop.users.GetMe(user_pb2.GetMeRequest(), metadata=buyer.metadata)).role == user_pb2.ROLE_UNSPECIFIED
    error = await refusal(shop.users.GetAdminOnly(user_pb2.GetAdminOnlyRequest(), metadata=buyer.metadata))
    assert error.reason == "ADMIN_ONLY"
    disabled = await shop.users.UpdateUser(user_pb2.UpdateUserRequest(user_id=buyer.id, disabled=True), metadata=admin.metadata)
    assert (disabled.role, disabled.disabled) == (user_pb2.ROLE_UNSPECIFIED, True)
    assert await shop.pool.fetchval("SELECT status FROM orders") == "packed"
    assert await shop.pool.fetchval("SELECT role FROM accounts WHERE id = $1", buyer.id) == "packer"


@pytest.mark.race
async def test_the_last_units_are_sold_once_when_buyers_race(shop: Shop, race_rounds: int) -> None:
    admin = await shop.person(admin=True)
    buyers = [await shop.person() for _ in range(12)]
    for _ in range(race_rounds):
        ball = await shop.product(admin, stock=5)
        for buyer in buyers:
            await shop.add(buyer, ball)
        outcomes = await asyncio.gather(*(shop.checkout(buyer) for buyer in buyers), return_exceptions=True)
        placed = [outcome for outcome in outcomes if isinstance(outcome, order_pb2.Order)]
        assert len(placed) == 5
        assert await shop.stock(ball) == 0
        await shop.pool.execute("DELETE FROM cart_items")
    assert await shop.pool.fetchval(LEDGER_MATCHES_STOCK) == 0


@pytest.mark.race
async def test_one_key_makes_one_order_when_it_is_sent_many_times_at_once(shop: Shop, race_rounds: int) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin, stock=10_000)
    for number in range(race_rounds):
        await shop.add(buyer, ball)
        orders = await asyncio.gather(*(shop.checkout(buyer, key=f"key-{number}") for _ in range(20)))
        assert len({order.SerializeToString() for order in orders}) == 1
    assert await shop.pool.fetchval("SELECT count(*) FROM orders") == race_rounds


@pytest.mark.race
async def test_carts_in_opposite_order_do_not_deadlock(shop: Shop, race_rounds: int) -> None:
    admin = await shop.person(admin=True)
    buyers = [await shop.person() for _ in range(8)]
    products = [await shop.product(admin, name=f"P{number}", stock=10_000) for number in range(4)]
    for _ in range(race_rounds):
        for number, buyer in enumerate(buyers):
            for product in products if number % 2 else products[::-1]:
                await shop.add(buyer, product)
        cancel = [order_pb2.CancelOrderRequest(order_id=(await shop.checkout(buyer)).id) for buyer in buyers[:3]]
        await asyncio.gather(
            *(shop.checkout(buyer) for buyer in buyers[3:]),
            *(shop.orders.CancelOrder(request, metadata=admin.metadata) for request in cancel),
            *(
                shop.catalog.AdjustStock(catalog_pb2.AdjustStockRequest(product_id=product.id, delta=1), metadata=admin.metadata)
                for product in products
            ),
        )
    await shop.pool.execute("SELECT pg_stat_force_next_flush()")
    assert await shop.pool.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    assert await shop.pool.fetchval(LEDGER_MATCHES_STOCK) == 0


@pytest.mark.race
async def test_an_order_cancelled_many_times_at_once_restocks_once(shop: Shop, race_rounds: int) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin, stock=7)
    for _ in itertools.repeat(None, race_rounds):
        await shop.add(buyer, ball, 7)
        request = order_pb2.CancelOrderRequest(order_id=(await shop.checkout(buyer)).id)
        calls = (shop.orders.CancelOrder(request, metadata=buyer.metadata) for _ in range(8))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(outcome, order_pb2.Order) for outcome in outcomes) == 1
        assert await shop.stock(ball) == 7
