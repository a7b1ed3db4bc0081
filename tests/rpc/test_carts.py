"""CartService through a real channel."""

import asyncio
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from grpc import StatusCode

from mercato.v1 import cart_pb2, catalog_pb2
from mercato.v1.money_pb2 import Money
from mercato_server.database.transactions import transaction
from support.patience import until
from support.shop import Shop, refusal

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
ADD = "INSERT INTO cart_items (account_id, product_id, quantity, unit_price_minor, currency_code) VALUES ($1, $2, 1, 1999, 'USD')"


async def test_a_cart_is_empty_at_first(shop: Shop) -> None:
    buyer = await shop.person()
    cart = await shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=buyer.metadata)
    assert not cart.lines
    assert cart.total == Money(currency_code="USD", minor_units=0)
    assert cart.etag


async def test_adding_without_a_quantity_adds_one_and_adding_again_increments(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin)
    request = cart_pb2.AddCartItemRequest(product_id=ball.id)
    for expected in (1, 2):
        cart = await shop.carts.AddCartItem(request, metadata=buyer.metadata)
        [line] = cart.lines
        assert (line.product_id, line.name, line.quantity, line.line_total.minor_units) == (ball.id, "Ball", expected, expected * 1999)
        assert cart == await shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=buyer.metadata)


async def test_lines_stay_in_the_order_in_which_they_were_first_added(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    products = [await shop.product(admin, name=name) for name in ("C", "A", "B")]
    for product in products:
        await shop.add(buyer, product)
    cart = await shop.add(buyer, products[0])
    assert [line.name for line in cart.lines] == ["C", "A", "B"]


async def test_a_line_can_be_set_made_and_removed_by_setting(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin)
    for quantity, lines in ((5, [5]), (2, [2]), (0, []), (0, [])):
        request = cart_pb2.SetCartItemRequest(product_id=ball.id, quantity=quantity)
        cart = await shop.carts.SetCartItem(request, metadata=buyer.metadata)
        assert [line.quantity for line in cart.lines] == lines


async def test_removing_and_clearing_touch_no_other_buyers_cart(shop: Shop) -> None:
    admin, buyer, other = await shop.person(admin=True), await shop.person(), await shop.person()
    ball, bike = await shop.product(admin), await shop.product(admin, name="Bike")
    for person in (buyer, other):
        await shop.add(person, ball)
        await shop.add(person, bike)
    request = cart_pb2.RemoveCartItemRequest(product_id=ball.id)
    for _ in range(2):
        cart = await shop.carts.RemoveCartItem(request, metadata=buyer.metadata)
        assert [line.name for line in cart.lines] == ["Bike"]
    assert not (await shop.carts.ClearCart(cart_pb2.ClearCartRequest(), metadata=buyer.metadata)).lines
    assert len((await shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=other.metadata)).lines) == 2


CHANGES: dict[str, tuple[Callable[[str], Any], list[int]]] = {
    "AddCartItem": (lambda product_id: cart_pb2.AddCartItemRequest(product_id=product_id), [1]),
    "SetCartItem": (lambda product_id: cart_pb2.SetCartItemRequest(product_id=product_id, quantity=3), [3]),
    "RemoveCartItem": (lambda product_id: cart_pb2.RemoveCartItemRequest(product_id=product_id), []),
}
"""Changes of a cart that holds two products, with the quantities that are left if another call removes all lines meanwhile."""


@pytest.mark.parametrize("rpc", CHANGES)
async def test_a_change_that_waits_while_the_cart_is_bought_answers_with_what_is_left(shop: Shop, rpc: str) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball, bike = await shop.product(admin), await shop.product(admin, name="Bike")
    for product in (ball, bike):
        await shop.add(buyer, product, 2)
    request, left = CHANGES[rpc]
    async with transaction(shop.pool) as conn:
        await conn.execute("DELETE FROM cart_items")
        changing = asyncio.ensure_future(getattr(shop.carts, rpc)(request(ball.id), metadata=buyer.metadata))
        await until(partial(shop.pool.fetchval, WAITING))
        await conn.execute("SELECT pg_sleep(0.01)")  # so that it waits for longer than a statement without a wait may take
    cart = await changing
    assert [line.quantity for line in cart.lines] == left
    assert cart == await shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=buyer.metadata)


@pytest.mark.parametrize("rpc", CHANGES)
async def test_a_change_that_waits_for_its_line_answers_with_what_was_added_meanwhile(shop: Shop, rpc: str) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball, bike = await shop.product(admin), await shop.product(admin, name="Bike")
    await shop.add(buyer, ball)
    async with transaction(shop.pool) as conn:
        await conn.execute("SELECT FROM cart_items FOR UPDATE")
        changing = asyncio.ensure_future(getattr(shop.carts, rpc)(CHANGES[rpc][0](ball.id), metadata=buyer.metadata))
        await until(partial(shop.pool.fetchval, WAITING))
        await conn.execute(ADD, uuid.UUID(buyer.id), uuid.UUID(bike.id))
        await conn.execute("SELECT pg_sleep(0.01)")
    cart = await changing
    assert "Bike" in [line.name for line in cart.lines]
    assert cart == await shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=buyer.metadata)


async def test_a_cart_shows_live_prices_and_warns_of_what_changed(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    dear, few, none, gone = [await shop.product(admin, name=name, price=100, stock=3) for name in ("Dear", "Few", "None", "Gone")]
    for product, quantity in ((dear, 1), (few, 5), (none, 1), (gone, 1)):
        await shop.add(buyer, product, quantity)
    changed = catalog_pb2.Product(id=dear.id, price=Money(minor_units=150))
    await shop.catalog.UpdateProduct(catalog_pb2.UpdateProductRequest(product=changed), metadata=admin.metadata)
    await shop.catalog.AdjustStock(catalog_pb2.AdjustStockRequest(product_id=none.id, delta=-3), metadata=admin.metadata)
    await shop.catalog.DeleteProduct(catalog_pb2.DeleteProductRequest(product_id=gone.id), metadata=admin.metadata)

    cart = await shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=buyer.metadata)

    warnings = {line.name: [warning.code for warning in line.warnings] for line in cart.lines}
    assert warnings == {
        "Dear": [cart_pb2.CART_WARNING_CODE_PRICE_CHANGED],
        "Few": [cart_pb2.CART_WARNING_CODE_FEWER_LEFT],
        "None": [cart_pb2.CART_WARNING_CODE_OUT_OF_STOCK],
        "Gone": [cart_pb2.CART_WARNING_CODE_PRODUCT_GONE],
    }
    assert cart.lines[0].warnings[0].previous_unit_price.minor_units == 100
    assert cart.lines[0].unit_price.minor_units == 150
    assert cart.lines[1].warnings[0].available == 3
    assert cart.total.minor_units == 150 + 500 + 100


async def test_setting_a_quantity_acknowledges_the_price_and_adding_to_the_line_does_not(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin, price=100)
    await shop.add(buyer, ball, 2)

    async def reprice(price: int) -> None:
        changed = catalog_pb2.Product(id=ball.id, price=Money(minor_units=price))
        await shop.catalog.UpdateProduct(catalog_pb2.UpdateProductRequest(product=changed), metadata=admin.metadata)

    async def put(quantity: int) -> cart_pb2.Cart:
        request = cart_pb2.SetCartItemRequest(product_id=ball.id, quantity=quantity)
        return await shop.carts.SetCartItem(request, metadata=buyer.metadata)

    def previous(cart: cart_pb2.Cart) -> list[int]:
        return [warning.previous_unit_price.minor_units for line in cart.lines for warning in line.warnings]

    await reprice(150)
    assert previous(await shop.add(buyer, ball)) == [100]
    acknowledged = await put(3)  # the quantity that the line has
    assert (previous(acknowledged), acknowledged.total.minor_units) == ([], 450)
    await reprice(120)
    assert previous(await shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=buyer.metadata)) == [150]
    assert previous(await put(1)) == []
    await reprice(100)
    assert previous(await put(0)) == []
    assert previous(await shop.add(buyer, ball)) == []  # a new line


async def test_a_product_that_is_not_on_sale_cannot_be_added(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin)
    await shop.catalog.DeleteProduct(catalog_pb2.DeleteProductRequest(product_id=ball.id), metadata=admin.metadata)
    for product_id in (ball.id, str(uuid.uuid4())):
        error = await refusal(shop.carts.AddCartItem(cart_pb2.AddCartItemRequest(product_id=product_id), metadata=buyer.metadata))
        assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "PRODUCT_NOT_FOUND")
    assert await shop.pool.fetchval("SELECT count(*) FROM cart_items") == 0


@pytest.mark.parametrize("quantity", [0, -1, 1001, 2**31 - 1, -(2**31)])
async def test_a_quantity_out_of_bounds_is_refused(shop: Shop, quantity: int) -> None:
    buyer = await shop.person()
    error = await refusal(shop.carts.AddCartItem(cart_pb2.AddCartItemRequest(product_id="x", quantity=quantity), metadata=buyer.metadata))
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, ["product_id", "quantity"])


async def test_setting_needs_a_quantity(shop: Shop) -> None:
    buyer = await shop.person()
    request = cart_pb2.SetCartItemRequest(product_id=str(uuid.uuid4()))
    assert (await refusal(shop.carts.SetCartItem(request, metadata=buyer.metadata))).fields == ["quantity"]


async def test_a_line_and_a_cart_have_limits(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball, bike = await shop.product(admin), await shop.product(admin, name="Bike")
    await shop.add(buyer, ball, 1000)
    error = await refusal(shop.add(buyer, ball))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "CART_LIMIT")
    await shop.pool.execute(
        """WITH more AS (INSERT INTO products (name, description, price_minor, currency_code, image_urls)
                         SELECT 'p', '', 1, 'USD', '{}' FROM generate_series(1, 199) RETURNING id),
                stocked AS (INSERT INTO stock_levels (product_id, on_hand) SELECT id, 1 FROM more)
           INSERT INTO cart_items (account_id, product_id, quantity, unit_price_minor, currency_code)
           SELECT $1, id, 1, 1, 'USD' FROM more""",
        uuid.UUID(buyer.id),
    )
    assert (await refusal(shop.add(buyer, bike))).reason == "CART_LIMIT"
    request = cart_pb2.SetCartItemRequest(product_id=ball.id, quantity=7)
    assert len((await shop.carts.SetCartItem(request, metadata=buyer.metadata)).lines) == 200


async def test_a_token_whose_account_is_gone_is_not_valid(shop: Shop) -> None:
    admin, ghost = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin)
    await shop.pool.execute("DELETE FROM accounts WHERE id = $1", uuid.UUID(ghost.id))
    assert (await refusal(shop.add(ghost, ball))).reason == "TOKEN_INVALID"


@pytest.mark.race
async def test_no_unit_is_lost_when_a_buyer_adds_many_times_at_once(shop: Shop, race_rounds: int) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin)
    for round_ in range(1, race_rounds + 1):
        await asyncio.gather(*(shop.add(buyer, ball) for _ in range(20)))
        cart = await shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=buyer.metadata)
        assert cart.lines[0].quantity == min(20 * round_, 1000)
