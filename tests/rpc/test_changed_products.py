"""Orders have the right name and price of products that are changed or deleted at the same moment."""

import asyncio
import itertools
import json
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from mercato import call_error
from mercato.v1.catalog_pb2 import DeleteProductRequest, Product, UndeleteProductRequest, UpdateProductRequest
from mercato.v1.money_pb2 import Money
from mercato.v1.order_pb2 import Order
from mercato_server.database.pool import Pool
from mercato_server.database.transactions import transaction
from mercato_server.store import locked_carts
from mercato_server.store.catalog import LOCK_PRODUCT
from mercato_server.store.verify import verify
from support.patience import until
from support.shop import Person, Shop, refusal

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"

# A change and a sale of a product hold the lock of its stock level when they write their events, so the events' numbers are in the
# order of the transactions. An entry of the audit log belongs to the event of the same transaction.
GET_TOLD = """
SELECT event.subject_id::text AS product_id, event.kind, event.xid::text AS transaction, entry.after
  FROM events AS event
  LEFT JOIN audit_log AS entry ON entry.subject_id = event.subject_id AND entry.xmin = event.xid::xid
 WHERE event.kind LIKE 'product.%' OR event.kind = 'stock.changed'
 ORDER BY event.id
"""

GET_SOLD = """
SELECT event.xid::text AS transaction, item.product_id::text AS product_id, item.product_name, item.unit_price_minor
  FROM events AS event
  JOIN order_items AS item ON item.order_id = event.subject_id
 WHERE event.kind = 'order.placed'
"""


async def bought_while(shop: Shop, buyer: Person, product: Product, change: str, **fields: Any) -> Awaitable[Order]:
    """Let a checkout wait for a transaction that changes a product, then commit that transaction; return the checkout."""
    async with transaction(shop.pool) as conn:
        await conn.fetchrow(LOCK_PRODUCT, uuid.UUID(product.id))
        await conn.execute(f"UPDATE products SET {change}, version = version + 1 WHERE id = $1", uuid.UUID(product.id))  # noqa: S608 - a constant
        buying = asyncio.create_task(shop.checkout(buyer, **fields))
        await until(partial(shop.pool.fetchval, WAITING))
        await conn.execute("SELECT pg_sleep(0.01)")  # so that it waits for longer than a statement without a wait may take
    return buying


async def test_an_order_that_waits_for_a_change_of_its_product_has_the_new_name_and_price(shop: Shop) -> None:
    ball, buyer = await shop.product(await shop.person(admin=True), price=100), await shop.person()
    await shop.add(buyer, ball, 2)
    order = await (await bought_while(shop, buyer, ball, "name = 'New', price_minor = 70"))
    assert [(line.product_name, line.unit_price.minor_units) for line in order.lines] == [("New", 70)]
    assert order.total.minor_units == 140


async def test_an_order_that_is_only_validated_has_the_new_name_and_price_too(shop: Shop) -> None:
    ball, buyer = await shop.product(await shop.person(admin=True), price=100), await shop.person()
    await shop.add(buyer, ball, 2)
    order = await (await bought_while(shop, buyer, ball, "name = 'New', price_minor = 70", validate_only=True))
    assert [(line.product_name, line.unit_price.minor_units) for line in order.lines] == [("New", 70)]
    assert order.total.minor_units == 140


async def test_the_expected_total_is_compared_with_the_price_after_the_wait(shop: Shop) -> None:
    ball, buyer = await shop.product(await shop.person(admin=True), price=100), await shop.person()
    await shop.add(buyer, ball, 2)
    order = await (await bought_while(shop, buyer, ball, "price_minor = 70", expected_total=Money(minor_units=140)))
    assert order.total.minor_units == 140


async def test_an_order_that_waits_until_its_product_is_on_sale_again_is_placed(shop: Shop) -> None:
    ball, buyer = await shop.product(await shop.person(admin=True)), await shop.person()
    await shop.add(buyer, ball)
    await shop.pool.execute("UPDATE products SET deleted_at = now(), version = version + 1")
    assert (await (await bought_while(shop, buyer, ball, "deleted_at = NULL"))).id


async def test_a_change_that_the_lock_did_not_reveal_is_found_when_the_order_is_placed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that is too short to be noticed."""
    monkeypatch.setattr(locked_carts, "LOCK_CARTS", locked_carts.LOCK_CARTS.replace("interval '5 milliseconds'", "interval '1 hour'"))
    ball, buyer = await shop.product(await shop.person(admin=True), price=100), await shop.person()
    await shop.add(buyer, ball, 2)
    order = await (await bought_while(shop, buyer, ball, "name = 'New', price_minor = 70"))
    assert [(line.product_name, line.unit_price.minor_units) for line in order.lines] == [("New", 70)]


async def test_an_account_that_is_disabled_while_its_checkout_waits_buys_nothing_and_its_key_is_free(shop: Shop) -> None:
    ball, buyer = await shop.product(await shop.person(admin=True)), await shop.person()
    await shop.add(buyer, ball)
    async with transaction(shop.pool) as conn:
        await conn.execute("UPDATE accounts SET disabled_at = now() WHERE id = $1", uuid.UUID(buyer.id))
        buying = asyncio.create_task(shop.checkout(buyer, "one"))
        await until(partial(shop.pool.fetchval, WAITING))
    assert (await refusal(buying)).reason == "TOKEN_INVALID"
    assert await shop.pool.fetchval("SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM idempotency_keys)") == 0


async def test_an_order_that_waits_for_the_deletion_of_its_product_is_refused(shop: Shop) -> None:
    ball, buyer = await shop.product(await shop.person(admin=True)), await shop.person()
    await shop.add(buyer, ball)
    assert (await refusal(await bought_while(shop, buyer, ball, "deleted_at = now()"))).reason == "OUT_OF_STOCK"
    assert await shop.pool.fetchval("SELECT count(*) FROM orders") == 0


@pytest.mark.race
async def test_no_order_disagrees_with_the_audit_log(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    admin = await shop.person(admin=True)
    products = [await shop.product(admin, name=f"P{number}", price=1, stock=1_000_000) for number in range(3)]
    buyers = [await shop.person() for _ in range(8)]
    done = asyncio.Event()

    async def change(product: Product, at: Shop) -> None:
        for price in range(2, 1_000_000):
            if done.is_set():
                return
            changed = Product(id=product.id, name=f"{product.name} for {price}", price=Money(minor_units=price))
            update = UpdateProductRequest(product=changed, update_mask=FieldMask(paths=["name", "price"]))
            await at.catalog.UpdateProduct(update, metadata=admin.metadata)
            if price % 4 == 0:
                await at.catalog.DeleteProduct(DeleteProductRequest(product_id=product.id), metadata=admin.metadata)
                await at.catalog.UndeleteProduct(UndeleteProductRequest(product_id=product.id), metadata=admin.metadata)

    async def buy(buyer: Person, at: Shop, wanted: list[Product]) -> None:
        for _ in range(race_rounds):
            for product in wanted:
                await _at_last(partial(at.add, buyer, product))
            await _at_last(partial(at.checkout, buyer))

    changing = [asyncio.create_task(change(product, at)) for product, at in zip(products, (shop, elsewhere, shop), strict=True)]
    pairs = itertools.cycle(itertools.permutations(products, 2))
    await asyncio.gather(*(buy(buyer, at, [*pair]) for buyer, at, pair in zip(buyers, (shop, elsewhere) * 4, pairs, strict=False)))
    done.set()
    await asyncio.gather(*changing)

    compared, disagreements = await _compare(shop.pool)
    assert not disagreements
    assert compared == 2 * race_rounds * len(buyers)
    async with shop.pool.acquire() as conn:
        assert not [finding for finding in await verify(conn) if finding.violations]


async def _at_last(call: Callable[[], Awaitable[object]]) -> None:
    """Repeat a call until it succeeds: its product is deleted and undeleted now and then."""
    while True:
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            # CART_LIMIT: the product was deleted, and was undeleted when the server looked for the reason.
            if call_error(error).reason not in ("PRODUCT_NOT_FOUND", "OUT_OF_STOCK", "CART_LIMIT"):
                raise
        else:
            return


async def _compare(pool: "Pool") -> tuple[int, list[str]]:
    """Return the number of order lines, and the lines that differ from the audit log's state of their product at that time."""
    sold = defaultdict(list)
    for row in await pool.fetch(GET_SOLD):
        sold[row["transaction"], row["product_id"]].append((row["product_name"], row["unit_price_minor"]))
    known: dict[str, dict[str, Any]] = defaultdict(dict)
    compared, disagreements = 0, []
    for product_id, kind, number, after in await pool.fetch(GET_TOLD):
        now = known[product_id]
        if kind != "stock.changed":
            now.update(json.loads(after))
            continue
        for line in sold.pop((number, product_id)):
            compared += 1
            if line != (now["name"], now["price_minor"]) or now.get("deleted_at"):
                disagreements.append(f"sold {line}, and the product was {now}")
    assert not sold
    return compared, disagreements
