"""Checkouts that share a transaction, in a batch."""

import uuid

import pytest

from mercato_server.database.pool import Changes
from mercato_server.domain.errors import IdempotencyKeyReused, OutOfStock, TokenInvalid
from mercato_server.domain.purchases import PricedCart
from mercato_server.store import carts, orders
from mercato_server.store.idempotency import IdempotencyKey, Stored
from mercato_server.store.locked_carts import Checkout
from mercato_server.store.price_book import PriceBook
from mercato_server.store.verify import verify
from support.shop import Person, Shop


def checkout(buyer: Person, key: str) -> Checkout:
    account_id = uuid.UUID(buyer.id)
    key_of_call = IdempotencyKey(account_id, key, "/mercato.v1.OrderService/Checkout", b"", lambda order: str(order.id).encode())
    return Checkout(account_id, uuid.UUID(buyer.session_id), key_of_call)


async def test_an_ended_session_fails_only_its_own_buyer_in_a_batch(shop: Shop) -> None:
    admin, *buyers = [await shop.person(admin=not number) for number in range(4)]
    ball = await shop.product(admin, stock=2)
    for buyer in buyers:
        await shop.add(buyer, ball)
    gone = buyers[0]
    await shop.pool.execute("UPDATE sessions SET ended_at = now(), end_reason = 'logout' WHERE id = $1", uuid.UUID(gone.session_id))
    checkouts = [checkout(buyer, "new") for buyer in buyers]

    refused, *placed = await orders.checkout(shop.pool, checkouts, orders.Shop("USD"))

    assert isinstance(refused, TokenInvalid)
    assert all(isinstance(order, Stored) for order in placed)
    assert await shop.pool.fetchval("SELECT array_agg(account_id::text) FROM cart_items") == [gone.id]
    assert not await shop.pool.fetchval("SELECT count(*) FROM idempotency_keys WHERE scope_id = $1", uuid.UUID(gone.id))
    changes = [carts.LineChange(each.account_id, uuid.UUID(ball.id), 1, each.session_id) for each in checkouts]
    ended, *made = await carts.add(shop.pool, changes, PriceBook())
    assert isinstance(ended, TokenInvalid)
    assert [[line.quantity for line in cart.lines] for cart in made if isinstance(cart, PricedCart)] == [[1], [1]]


async def test_a_key_of_an_old_order_fails_only_its_own_buyer_and_reserves_no_stock(shop: Shop) -> None:
    admin, *buyers = [await shop.person(admin=not number) for number in range(4)]
    ball = await shop.product(admin, stock=4)
    again, lucky, late = buyers
    await shop.add(again, ball)
    old = await shop.checkout(again, "old")
    await shop.pool.execute("UPDATE orders SET created_at = created_at - interval '2 days'")
    await shop.pool.execute("UPDATE events SET created_at = created_at - interval '2 days'")
    await shop.pool.execute("DELETE FROM idempotency_keys")
    for buyer in buyers:
        await shop.add(buyer, ball, 2)

    told: list[Changes] = []
    shop.pool.on_commit(told.append)
    checkouts = [checkout(again, "old"), checkout(lucky, "new"), checkout(late, "new")]
    outcomes = await orders.checkout(shop.pool, checkouts, orders.Shop("USD"))

    reused, stored, refused = outcomes
    assert isinstance(reused, IdempotencyKeyReused)
    assert isinstance(stored, Stored)
    assert isinstance(refused, OutOfStock)
    assert [(shortage.wanted, shortage.available) for shortage in refused.shortages] == [(2, 1)]
    rows = await shop.pool.fetch("SELECT id::text, account_id::text, idempotency_key FROM orders ORDER BY id")
    assert [tuple(row) for row in rows] == [(old.id, again.id, "old"), (stored.response.decode(), lucky.id, "new")]
    assert [row[0] for row in await shop.pool.fetch("SELECT scope_id::text FROM idempotency_keys")] == [lucky.id]
    assert {row[0] for row in await shop.pool.fetch("SELECT account_id::text FROM cart_items")} == {again.id, late.id}
    assert await shop.stock(ball) == 1
    assert told == [{"order.placed": {uuid.UUID(stored.response.decode())}, "stock.changed": {uuid.UUID(ball.id)}}]
    [refused] = await orders.checkout(shop.pool, [checkout(late, "newer")], orders.Shop("USD"))
    assert isinstance(refused, OutOfStock)
    assert len(told) == 1  # a refused checkout changes nothing, so listeners are not told
    async with shop.pool.acquire() as conn:
        assert not [finding for finding in await verify(conn) if finding.violations]


async def test_a_batch_notifies_listeners_once_of_all_its_purchases(shop: Shop) -> None:
    admin, *buyers = [await shop.person(admin=not number) for number in range(4)]
    ball, bike, unsold = [await shop.product(admin, stock=3) for _ in range(3)]
    for buyer, product in zip(buyers, (ball, bike, unsold), strict=True):
        await shop.add(buyer, product, 4 if product is unsold else 1)
    await shop.add(buyers[0], bike)
    told: list[Changes] = []
    shop.pool.on_commit(told.append)

    *placed, refused = await orders.checkout(shop.pool, [checkout(buyer, "new") for buyer in buyers], orders.Shop("USD"))

    assert isinstance(refused, OutOfStock)
    placed_ids = {uuid.UUID(order.response.decode()) for order in placed if isinstance(order, Stored)}
    assert len(placed_ids) == 2
    assert told == [{"order.placed": placed_ids, "stock.changed": {uuid.UUID(ball.id), uuid.UUID(bike.id)}}]


async def test_stock_kept_for_several_old_keys_goes_to_the_first_buyer_with_a_new_one(shop: Shop) -> None:
    admin, *buyers = [await shop.person(admin=not number) for number in range(6)]
    ball = await shop.product(admin, stock=5)
    first, second, lucky, _, modest = buyers
    for again in (first, second):
        await shop.add(again, ball)
        await shop.checkout(again, "old")
    await shop.pool.execute("DELETE FROM idempotency_keys")
    for buyer in buyers:
        await shop.add(buyer, ball, 1 if buyer is modest else 2)

    checkouts = [checkout(buyer, "old" if buyer in (first, second) else "new") for buyer in buyers]
    outcomes = await orders.checkout(shop.pool, checkouts, orders.Shop("USD"))

    assert [type(outcome) for outcome in outcomes] == [IdempotencyKeyReused, IdempotencyKeyReused, Stored, OutOfStock, Stored]
    assert await shop.stock(ball) == 0
    sold = await shop.pool.fetch("SELECT account_id::text, quantity FROM orders JOIN order_items ON order_id = orders.id")
    assert sorted(map(tuple, sold)) == sorted([(first.id, 1), (second.id, 1), (modest.id, 1), (lucky.id, 2)])


async def test_a_number_that_an_earlier_order_has_is_drawn_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    buyers = [await shop.person() for _ in range(2)]
    ball = await shop.product(await shop.person(admin=True), stock=2)
    for buyer in buyers:
        await shop.add(buyer, ball)
    first = await shop.checkout(buyers[0])
    drawn = iter([[first.number], ["9QK2W0F3XTE"]])
    monkeypatch.setattr(orders, "new_numbers", lambda _: next(drawn))

    [placed] = await orders.checkout(shop.pool, [checkout(buyers[1], "new")], orders.Shop("USD"))

    assert isinstance(placed, Stored)
    assert next(drawn, None) is None
    numbers = await shop.pool.fetch("SELECT account_id::text, number FROM orders")
    assert {tuple(row) for row in numbers} == {(buyers[0].id, first.number), (buyers[1].id, "9QK2W0F3XTE")}
    assert await shop.pool.fetchval("SELECT on_hand FROM stock_levels WHERE product_id = $1", uuid.UUID(ball.id)) == 0
