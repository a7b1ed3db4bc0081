"""A login merges the cart of the guest that logs in."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import grpc
import pytest

from mercato.v1 import auth_pb2, cart_pb2, order_pb2, user_pb2
from mercato.v1.cart_merge_pb2 import (
    CART_MERGE_MODE_KEEP,
    CART_MERGE_MODE_REPLACE,
    CART_MERGE_MODE_SUM,
    CART_MERGE_MODE_UNSPECIFIED,
    CartMergeMode,
    GuestMerge,
    GuestMergeLine,
)
from mercato.v1.catalog_pb2 import Product, UpdateProductRequest
from mercato.v1.money_pb2 import Money
from mercato_server.config.settings import OrderRules, Settings
from mercato_server.database.pool import Pool
from mercato_server.store.verify import verify
from support.patience import patient
from support.shop import CALL_S, PASSWORD, Person, Shop, refusal, worker

UNIT_COUNTS = itertools.cycle((1, 2, 3))
GUESTS = "SELECT count(*) FROM accounts WHERE role = 'guest'"
UNITS = "SELECT coalesce(sum(quantity), 0) FROM cart_items"


def log_in(shop: Shop, person: Person, guest: Person, mode: CartMergeMode.ValueType = CART_MERGE_MODE_UNSPECIFIED) -> Any:
    request = auth_pb2.LoginRequest(email=person.email, password=PASSWORD, guest_token=guest.refresh_token, cart_merge=mode)
    return shop.auth.Login(request)


async def cart_of(shop: Shop, person: Person) -> dict[str, int]:
    cart = await shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=person.metadata, timeout=CALL_S)
    return {line.product_id: line.quantity for line in cart.lines}


async def goods(shop: Shop, names: str) -> list[Product]:
    admin = await shop.person(admin=True)
    return [await shop.product(admin, name=name) for name in names]


def line(product: Product, account: int, guest: int, quantity: int) -> GuestMergeLine:
    left_out = account + guest - quantity
    return GuestMergeLine(product_id=product.id, account_quantity=account, guest_quantity=guest, quantity=quantity, left_out=left_out)


@pytest.mark.parametrize(
    ("mode", "quantities"),
    [
        (CART_MERGE_MODE_UNSPECIFIED, (5, 1, 4)),
        (CART_MERGE_MODE_SUM, (5, 1, 4)),
        (CART_MERGE_MODE_KEEP, (2, 1, 0)),
        (CART_MERGE_MODE_REPLACE, (3, 0, 4)),
    ],
)
async def test_a_login_merges_the_carts_and_tells_the_changes(
    shop: Shop, mode: CartMergeMode.ValueType, quantities: tuple[int, int, int]
) -> None:
    products = await goods(shop, "abc")
    jo, guest = await shop.person(), await shop.guest()
    for person, units in ((jo, (2, 1, 0)), (guest, (3, 0, 4))):
        for product, quantity in zip(products, units, strict=True):
            if quantity:
                await shop.add(person, product, quantity)
    login = await log_in(shop, jo, guest, mode)
    assert await cart_of(shop, jo) == {product.id: units for product, units in zip(products, quantities, strict=True) if units}
    before = zip(products, (2, 1, 0), (3, 0, 4), quantities, strict=True)
    lines = [line(*each) for each in before if each[2] or each[1] != each[3]]
    expected = GuestMerge(merged=True, mode=mode or CART_MERGE_MODE_SUM, lines=lines)
    assert login.guest_merge == expected
    assert (await refusal(shop.users.GetMe(user_pb2.GetMeRequest(), metadata=guest.metadata))).reason == "TOKEN_INVALID"
    again = await log_in(shop, jo, guest, mode)
    assert again.guest_merge == GuestMerge(merged=False, mode=mode or CART_MERGE_MODE_SUM)
    assert await cart_of(shop, jo) == {product.id: units for product, units in zip(products, quantities, strict=True) if units}


async def test_a_login_without_a_guest_tells_of_no_merge(shop: Shop) -> None:
    jo = await shop.person()
    login = await shop.auth.Login(auth_pb2.LoginRequest(email=jo.email, password=PASSWORD))
    assert not login.HasField("guest_merge")


async def test_a_wrong_guest_token_fails_no_login_and_moves_nothing(shop: Shop) -> None:
    [ball] = await goods(shop, "a")
    jo, other, spent, ended = await shop.person(), await shop.person(), await shop.guest(), await shop.guest()
    await shop.add(other, ball)
    await shop.add(spent, ball)
    await shop.auth.Refresh(auth_pb2.RefreshRequest(refresh_token=spent.refresh_token))
    await shop.auth.Logout(auth_pb2.LogoutRequest(), metadata=ended.metadata)
    for token in (other.refresh_token, jo.refresh_token, spent.refresh_token, ended.refresh_token, "mrt_" + "A" * 43, "x" * 5_000, "é"):
        login = await log_in(shop, jo, Person("", "", "", token))
        assert login.guest_merge == GuestMerge(merged=False, mode=CART_MERGE_MODE_SUM)
    assert await cart_of(shop, jo) == {}
    assert await cart_of(shop, other) == await cart_of(shop, spent) == {ball.id: 1}


async def test_a_wrong_password_leaves_the_guest_as_it_was(shop: Shop) -> None:
    [ball] = await goods(shop, "a")
    jo, guest = await shop.person(), await shop.guest()
    await shop.add(guest, ball)
    wrong = auth_pb2.LoginRequest(email=jo.email, password="wrong", guest_token=guest.refresh_token)
    assert (await refusal(shop.auth.Login(wrong))).reason == "INVALID_CREDENTIALS"
    assert await cart_of(shop, guest) == {ball.id: 1}


async def test_an_unknown_mode_is_refused(shop: Shop) -> None:
    request = auth_pb2.LoginRequest(email="jo@example.com", password=PASSWORD, cart_merge=99)  # type: ignore[arg-type] # on purpose
    error = await refusal(shop.auth.Login(request))
    assert (error.reason, error.fields) == ("INVALID_FIELD", ["cart_merge"])


@pytest.fixture
async def strict(settings: Settings, pool: "Pool") -> AsyncIterator[Shop]:
    """A shop that sells ten units of a product to a buyer."""
    async with worker(replace(settings, orders=OrderRules(units_per_product=10)), pool) as shop:
        yield shop


async def test_units_beyond_the_limit_are_left_out_and_stock_is_no_limit(strict: Shop) -> None:
    admin = await strict.person(admin=True)
    ball, rare = await strict.product(admin, stock=100), await strict.product(admin, name="Rare", stock=1)
    jo, guest = await strict.person(), await strict.guest()
    await strict.add(jo, ball, 8)
    await strict.add(guest, ball, 5)
    await strict.add(guest, rare, 6)
    login = await log_in(strict, jo, guest)
    assert sorted(login.guest_merge.lines, key=lambda each: each.quantity) == [line(rare, 0, 6, 6), line(ball, 8, 5, 10)]
    assert await cart_of(strict, jo) == {ball.id: 10, rare.id: 6}


async def test_a_merged_line_still_shows_that_its_price_has_changed(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    ball = await shop.product(admin, price=1999)
    jo, guest = await shop.person(), await shop.guest()
    await shop.add(guest, ball)  # at the old price
    dearer = UpdateProductRequest(product=Product(id=ball.id, price=Money(minor_units=2999)))
    await shop.catalog.UpdateProduct(dearer, metadata=admin.metadata)
    await shop.add(jo, ball)
    login = await log_in(shop, jo, guest)
    metadata = (("authorization", f"Bearer {login.access_token}"),)
    [merged] = (await shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=metadata)).lines
    assert merged.quantity == 2
    assert [warning.code for warning in merged.warnings] == [cart_pb2.CART_WARNING_CODE_PRICE_CHANGED]


async def test_codes_of_both_carts_are_united(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    promotion = await shop.promotion(admin)
    ball, jo, guest = await shop.product(admin), await shop.person(), await shop.guest()
    for code, person in (("ONE", jo), ("TWO", guest)):
        await shop.code(admin, promotion, code)
        await shop.carts.UpdateCartHeader(cart_pb2.UpdateCartHeaderRequest(codes=[code]), metadata=person.metadata)
    await shop.add(guest, ball)
    login = await log_in(shop, jo, guest)
    assert (list(login.guest_merge.codes_added), list(login.guest_merge.codes_left_out)) == (["two"], [])
    header = await shop.carts.GetCartHeader(cart_pb2.GetCartHeaderRequest(), metadata=jo.metadata)
    assert list(header.codes) == ["one", "two"]


async def test_a_guest_with_orders_keeps_them_when_it_logs_in_and_one_without_is_gone(shop: Shop) -> None:
    [ball] = await goods(shop, "a")
    jo, buyer, looker = await shop.person(), await shop.guest("x@example.com"), await shop.guest()
    await shop.add(buyer, ball)
    order = await shop.checkout(buyer)
    await shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id), metadata=buyer.metadata)
    await shop.add(buyer, ball)
    for guest in (buyer, looker):
        assert (await log_in(shop, jo, guest)).guest_merge.merged
    assert await shop.pool.fetchval(GUESTS) == 1
    assert await shop.pool.fetchval("SELECT account_id FROM orders") == uuid.UUID(buyer.id)
    assert await cart_of(shop, jo) == {ball.id: 1}
    # The address of the order was typed only, so the account does not get the order.
    assert await shop.pool.fetchval("SELECT count(*) FROM orders WHERE account_id = $1", uuid.UUID(jo.id)) == 0
    assert order.account_id == buyer.id
    async with shop.pool.acquire() as conn:
        assert not [finding for finding in await verify(conn) if finding.violations]


async def test_concurrent_logins_merge_a_guests_cart_once(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    products = await goods(shop, "abcd")
    people = [await shop.person() for _ in range(2)]
    for _ in range(race_rounds):
        guest = await shop.guest()
        for product in products:
            await shop.add(guest, product, next(UNIT_COUNTS))
        before = await shop.pool.fetchval(UNITS)
        calls = [log_in(where, person, guest) for person in people for where in (shop, elsewhere) for _ in range(2)]
        logins = await asyncio.gather(*calls)
        assert [login.guest_merge.merged for login in logins].count(True) == 1
        assert await shop.pool.fetchval(UNITS) == before
        assert await shop.pool.fetchval(GUESTS) == 0


async def test_units_that_a_buyer_adds_while_another_device_logs_in_are_all_there(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    [ball] = await goods(shop, "a")
    jo = await shop.person()
    for _ in range(race_rounds):
        await shop.carts.ClearCart(cart_pb2.ClearCartRequest(), metadata=jo.metadata, timeout=CALL_S)
        guest = await shop.guest()
        await shop.add(guest, ball)

        async def add(person: Person) -> int:
            return await _added(elsewhere, person, ball)

        merge, *added = await asyncio.gather(log_in(shop, jo, guest), *(add(person) for person in (jo, guest, jo, guest)))
        assert merge.guest_merge.merged
        assert await cart_of(shop, jo) == {ball.id: 1 + sum(added)}
        assert await shop.pool.fetchval(UNITS) == 1 + sum(added)


async def _added(shop: Shop, person: Person, product: Product) -> int:
    """Add a unit; return 1, or 0 if the call was refused because the guest's session has ended."""
    request = cart_pb2.AddCartItemRequest(product_id=product.id)
    call = shop.carts.AddCartItem(request, metadata=person.metadata, timeout=CALL_S)
    try:
        await call
    except grpc.aio.AioRpcError:
        assert (await refusal(call)).reason == "TOKEN_INVALID"
        return 0
    return 1


async def blocked(shop: Shop, calls: int) -> None:
    """Wait until so many calls wait for a lock."""
    async with asyncio.timeout(patient()):
        while await shop.pool.fetchval("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted") < calls:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("late", ["new line", "known line", "header", "known header"])
async def test_a_late_call_of_a_guest_with_an_order_leaves_nothing_in_its_dead_cart(
    shop: Shop, elsewhere: Shop, database: str, late: str
) -> None:
    held, ball = await goods(shop, "ab")
    guest, jo = await shop.guest("x@example.com"), await shop.person()  # the guest's rows are locked first
    await shop.add(guest, held)
    order = await shop.checkout(guest)
    await shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id), metadata=guest.metadata)
    await shop.add(jo, held)
    await shop.add(guest, held)
    if late == "known line":
        await shop.add(guest, ball)
    if late == "header":
        await shop.pool.execute("DELETE FROM carts WHERE account_id = $1", uuid.UUID(guest.id))
    before = await shop.pool.fetchval(UNITS)
    holder = await asyncpg.connect(database)
    try:
        await holder.execute("BEGIN")
        await holder.execute("SELECT FROM cart_items WHERE account_id = $1 FOR UPDATE", uuid.UUID(jo.id))
        login = asyncio.ensure_future(log_in(shop, jo, guest))
        await blocked(shop, 1)
        header = cart_pb2.UpdateCartHeaderRequest(note="Ring")
        changing: Any = (
            elsewhere.carts.UpdateCartHeader(header, metadata=guest.metadata, timeout=CALL_S)
            if "header" in late
            else elsewhere.add(guest, ball)
        )
        change = asyncio.ensure_future(refusal(changing))
        await blocked(shop, 2)
        await holder.execute("ROLLBACK")
    finally:
        await holder.close()
    assert (await login).guest_merge.merged
    assert (await change).reason == "TOKEN_INVALID"
    assert await shop.pool.fetchval(UNITS) == before
    assert await shop.pool.fetchval("SELECT count(*) FROM carts WHERE account_id = $1", uuid.UUID(guest.id)) == 0


async def test_a_header_that_is_made_beside_a_merge_is_not_overwritten(shop: Shop, elsewhere: Shop, database: str) -> None:
    [ball] = await goods(shop, "a")
    guest, jo = await shop.guest(), await shop.person()
    await shop.add(guest, ball)
    await shop.add(jo, ball)
    note = cart_pb2.UpdateCartHeaderRequest(note="Leave it with Sam")
    await shop.carts.UpdateCartHeader(note, metadata=guest.metadata, timeout=CALL_S)
    holder = await asyncpg.connect(database)
    try:
        await holder.execute("BEGIN")
        await holder.execute("SELECT FROM cart_items WHERE account_id = $1 FOR UPDATE", uuid.UUID(jo.id))
        login = asyncio.ensure_future(log_in(shop, jo, guest))
        await blocked(shop, 1)  # after it has found that the account has no header
        ring = cart_pb2.UpdateCartHeaderRequest(note="Ring")
        await elsewhere.carts.UpdateCartHeader(ring, metadata=jo.metadata, timeout=CALL_S)
        await holder.execute("ROLLBACK")
    finally:
        await holder.close()
    assert (await login).guest_merge.merged
    header = await shop.carts.GetCartHeader(cart_pb2.GetCartHeaderRequest(), metadata=jo.metadata)
    assert header.note == "Ring"
