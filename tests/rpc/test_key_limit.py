"""The number of idempotency keys that an account may have stored, so that it cannot fill the disk."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from grpc import StatusCode

from mercato.v1.auth_pb2 import RequestPasswordResetRequest
from mercato.v1.cart_pb2 import AddCartItemRequest, Cart, ClearCartRequest
from mercato.v1.catalog_pb2 import Category, CreateCategoryRequest
from mercato.v1.order_pb2 import CheckoutRequest
from mercato.v1.user_pb2 import UpdateMeRequest
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.domain.errors import TooManyKeys
from mercato_server.store import orders
from mercato_server.store.idempotency import IdempotencyKey
from mercato_server.store.locked_carts import Checkout
from mercato_server.store.sweeps import sweep
from support.idempotency_cases import Reply, call
from support.shop import Shop, refusal, worker

LIMIT = 3
AGE = "UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = '0'"


@pytest.fixture
async def strict(settings: Settings, pool: "Pool") -> AsyncIterator[Shop]:
    """A worker that lets an account store three keys."""
    async with worker(replace(settings, keys_per_account=LIMIT), pool) as shop:
        yield shop


async def test_an_account_stores_a_limited_number_of_keys_and_still_gets_every_replay(strict: Shop) -> None:
    admin, buyer, other = await strict.person(admin=True), await strict.person(), await strict.person()
    request = AddCartItemRequest(product_id=(await strict.product(admin)).id)
    refused = AddCartItemRequest(product_id=str(uuid.uuid4()))
    assert (await refusal(call(strict, refused, buyer, "free"))).reason == "PRODUCT_NOT_FOUND"  # a refused call stores no key
    first = [await call(strict, request, buyer, str(number)) for number in range(LIMIT)]
    for message in (request, ClearCartRequest(), UpdateMeRequest(full_name="Newer"), CheckoutRequest()):
        error = await refusal(call(strict, message, buyer, "one-more"))
        assert (error.code, error.reason, error.metadata) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_KEYS", {"limit": str(LIMIT)})
    for number, reply in enumerate(first):
        assert await call(strict, request, buyer, str(number)) == Reply(reply.raw, replayed=True)
    assert (await refusal(call(strict, ClearCartRequest(), buyer, "0"))).reason == "IDEMPOTENCY_KEY_REUSED"
    cart: Cart = await strict.carts.AddCartItem(request, metadata=buyer.metadata)  # no key, no limit
    assert cart.lines[0].quantity == LIMIT + 1
    assert not (await call(strict, request, other, "0")).replayed
    await strict.pool.execute(AGE)
    await sweep(strict.pool)
    assert not (await call(strict, request, buyer, "one-more")).replayed


async def test_administrators_and_strangers_are_limited_by_other_means(strict: Shop) -> None:
    """An administrator may change any number of products. A stranger's keys are counted for each request."""
    admin = await strict.person(admin=True)
    for number in range(LIMIT + 1):
        await call(strict, CreateCategoryRequest(category=Category(name=f"Category {number}")), admin, str(number))
    same, another = (RequestPasswordResetRequest(email=f"{name}@example.com") for name in ("jo", "al"))
    for number in range(LIMIT):
        await call(strict, same, None, str(number))
    assert (await refusal(call(strict, same, None, "one-more"))).reason == "TOO_MANY_KEYS"
    assert not (await call(strict, another, None, "one-more")).replayed


async def test_an_account_without_room_for_a_key_fails_alone_in_a_batch(shop: Shop) -> None:
    admin, full, buyer = await shop.person(admin=True), await shop.person(), await shop.person()
    ball = await shop.product(admin)
    batch = []
    for person, keys in ((full, 1), (buyer, 0)):
        await shop.add(person, ball)
        for number in range(keys):
            await call(shop, UpdateMeRequest(), person, str(number))
        account_id = uuid.UUID(person.id)
        key = IdempotencyKey(account_id, "new", "/mercato.v1.OrderService/Checkout", b"", lambda order: str(order.id).encode(), live_max=1)
        batch.append(Checkout(account_id, uuid.UUID(person.session_id), key))
    refused, placed = await orders.checkout(shop.pool, batch, orders.Shop("USD"))
    assert isinstance(refused, TooManyKeys)
    assert not isinstance(placed, Exception)
    assert [row[0] for row in await shop.pool.fetch("SELECT account_id::text FROM cart_items")] == [full.id]
