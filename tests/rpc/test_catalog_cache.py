"""The worker's catalog cache saves statements, and no client gets stale data after a change."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import asyncpg
import grpc
import pytest
from google.protobuf.message import Message
from grpc import StatusCode

from mercato.v1 import catalog_pb2
from mercato.v1.catalog_pb2 import (
    AdjustStockRequest,
    BatchGetProductsRequest,
    DeleteProductRequest,
    GetProductRequest,
    ListProductsRequest,
    Product,
    UndeleteProductRequest,
    UpdateProductRequest,
)
from mercato.v1.order_pb2 import CancelOrderRequest
from mercato_server.composition import StartupError
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.worker import running
from support.feed_outage import unheard
from support.patience import Within, until
from support.shop import SOON_S, Person, Shop, open_worker, refusal, worker

AT_ONCE_S = 0.5
LOCK = 'BEGIN; LOCK TABLE "{}" IN ACCESS EXCLUSIVE MODE'
Answer = TypeVar("Answer")


@asynccontextmanager
async def locked(database: str, table: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Lock a table against all reads for a block."""
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(LOCK.format(table))
        yield connection
    finally:
        await connection.close()


async def get(shop: Shop, product: Product, timeout_s: float | None = None) -> Product:
    return await shop.catalog.GetProduct(GetProductRequest(product_id=product.id), timeout=timeout_s)


async def from_memory(read: Callable[[], Awaitable[Answer]]) -> Answer:
    """Read from the cache while the database does not answer. A worker that has not polled the feed in time is called again."""
    return await until(read, despite=grpc.aio.AioRpcError)


async def batch(shop: Shop, *products: Product, timeout_s: float | None = None) -> list[Product]:
    request = BatchGetProductsRequest(ids=[product.id for product in products])
    return list((await shop.catalog.BatchGetProducts(request, timeout=timeout_s)).products)


async def test_cached_reads_are_answered_without_the_database(shop: Shop, database: str) -> None:
    admin = await shop.person(admin=True)
    ball, bike, other = [await shop.product(admin, name=name) for name in ("Ball", "Bike", "Other")]
    requests = ListProductsRequest(), ListProductsRequest(page_size=2), ListProductsRequest(q="ball", include_total_size=True)
    pages = [await shop.catalog.ListProducts(request) for request in requests]
    assert await batch(shop, bike, ball) == [bike, ball]
    async with locked(database, "products"):
        assert await from_memory(lambda: get(shop, ball, AT_ONCE_S)) == ball
        assert await from_memory(lambda: batch(shop, ball, bike, ball, timeout_s=AT_ONCE_S)) == [ball, bike, ball]
        for request, page in zip(requests, pages, strict=True):
            assert await from_memory(lambda wanted=request: shop.catalog.ListProducts(wanted, timeout=AT_ONCE_S)) == page  # type: ignore[misc]
        unknown = GetProductRequest(product_id=admin.id)
        assert (await refusal(shop.catalog.GetProduct(unknown, timeout=0.3))).code in (StatusCode.ABORTED, StatusCode.DEADLINE_EXCEEDED)
    assert [product.name for product in pages[0].products] == ["Other", "Bike", "Ball"]
    assert (len(pages[1].products), bool(pages[1].next_page_token)) == (2, True)
    assert pages[2].total_size == 1
    assert await get(shop, other) == other


async def test_a_read_after_a_change_stays_cached_when_its_event_arrives(settings: Settings, pool: "Pool", database: str) -> None:
    async with open_worker(settings, pool) as (worker, shop):
        admin = await shop.person(admin=True)
        ball = await shop.product(admin)
        requests = ListProductsRequest(), ListProductsRequest(in_stock=True), ListProductsRequest(q="nothing like it")
        for change in (update, buy_one):
            await change(shop, admin, ball)
            read = [await get(shop, ball), *[await shop.catalog.ListProducts(request) for request in requests]]
            answered = asyncio.get_running_loop().time()
            async with locked(database, "products"):
                await until(lambda: worker.parts.listener._read_until > answered)  # noqa: B023 - a poll that began after these answers has ended
                assert await from_memory(lambda: get(shop, ball, AT_ONCE_S)) == read[0]
                for request, page in zip(requests, read[1:], strict=True):
                    assert await from_memory(lambda wanted=request: shop.catalog.ListProducts(wanted, timeout=AT_ONCE_S)) == page  # type: ignore[misc]


REQUESTS: tuple[Message, ...] = (
    ListProductsRequest(),
    ListProductsRequest(page_size=3),
    ListProductsRequest(page_size=1, order_by="price"),
    ListProductsRequest(order_by="name desc", in_stock=True),
    ListProductsRequest(min_price=2, max_price=4, include_total_size=True),
    ListProductsRequest(q="ball 3", include_total_size=True),
    ListProductsRequest(q="nothing like it", include_total_size=True),
    ListProductsRequest(skip=2, page_size=2),
)


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
async def test_an_answer_from_memory_is_the_one_of_the_database(shop: Shop, elsewhere: Shop, request_: ListProductsRequest) -> None:
    admin = await shop.person(admin=True)
    for number in range(1, 6):
        await shop.product(admin, name=f"Ball {number}", description="ball " * 30 * number, price=number, stock=number % 2)
    first, again, fresh = [await at.catalog.ListProducts(request_) for at in (shop, shop, elsewhere)]
    assert first == again == fresh
    assert first.SerializeToString(deterministic=True) == again.SerializeToString(deterministic=True)
    following = ListProductsRequest()
    following.CopyFrom(request_)
    following.page_token, following.skip = first.next_page_token, 0
    assert await shop.catalog.ListProducts(following) == await elsewhere.catalog.ListProducts(following)


async def buy_one(shop: Shop, admin: Person, product: Product) -> None:
    await shop.add(admin, product)
    await shop.checkout(admin)


async def buy_and_cancel(shop: Shop, admin: Person, product: Product) -> None:
    await shop.add(admin, product, 3)
    order = await shop.checkout(admin)
    await shop.stock(product)
    await shop.orders.CancelOrder(CancelOrderRequest(order_id=order.id), metadata=admin.metadata)


async def update(shop: Shop, admin: Person, product: Product) -> None:
    await shop.catalog.UpdateProduct(UpdateProductRequest(product=Product(id=product.id, name="Renamed")), metadata=admin.metadata)


async def adjust(shop: Shop, admin: Person, product: Product) -> None:
    await shop.catalog.AdjustStock(AdjustStockRequest(product_id=product.id, delta=-10), metadata=admin.metadata)


async def delete(shop: Shop, admin: Person, product: Product) -> None:
    await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=product.id), metadata=admin.metadata)


async def delete_and_restore(shop: Shop, admin: Person, product: Product) -> None:
    await delete(shop, admin, product)
    await shop.catalog.ListProducts(ListProductsRequest())
    await shop.catalog.UndeleteProduct(UndeleteProductRequest(product_id=product.id), metadata=admin.metadata)


async def create(shop: Shop, admin: Person, _product: Product) -> None:
    await shop.product(admin, name="New")


CHANGES = (buy_one, buy_and_cancel, update, adjust, delete, delete_and_restore, create)
VIEWS = ListProductsRequest(), ListProductsRequest(in_stock=True), ListProductsRequest(order_by="name")


async def seen(shop: Shop, product: Product) -> list[catalog_pb2.ListProductsResponse | Product | None]:
    """Return the answer of each read that shows a product."""
    try:
        shown = await get(shop, product)
    except grpc.aio.AioRpcError as error:
        if error.code() is not StatusCode.NOT_FOUND:
            raise
        shown = None
    return [shown, *[await shop.catalog.ListProducts(view) for view in VIEWS]]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_a_change_is_seen_at_once_by_all_workers_of_a_host(
    settings: Settings, pool: "Pool", tmp_path: Path, change: Callable[[Shop, Person, Product], Awaitable[None]]
) -> None:
    beside = replace(settings, shared_memory=str(tmp_path / "shared"))
    async with worker(beside, pool) as shop, worker(beside, pool) as other:
        admin = await shop.person(admin=True)
        ball = await shop.product(admin, stock=100)
        for at in (shop, other, other):
            await seen(at, ball)
        await change(shop, admin, ball)
        seen_by_other = await seen(other, ball)  # at once, before any pause
        async with worker(settings, pool) as fresh:
            assert seen_by_other == await seen(fresh, ball)


async def test_a_file_that_cannot_be_shared_is_reported_at_the_start(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="MERCATO_SHARED_MEMORY"):
        async with running(replace(settings, shared_memory=str(tmp_path / "absent" / "shared"))):
            raise AssertionError("it serves")


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_a_change_is_seen_at_once_where_it_was_made_and_soon_elsewhere(
    shop: Shop, elsewhere: Shop, settings: Settings, within: Within, change: Callable[[Shop, Person, Product], Awaitable[None]]
) -> None:
    admin = await shop.person(admin=True)
    ball = await shop.product(admin, stock=10)
    before = await seen(shop, ball)
    for at in (shop, elsewhere, elsewhere):
        assert await seen(at, ball) == before
    await change(shop, admin, ball)
    changed = time.monotonic()
    async with worker(settings, shop.pool) as fresh:
        truth = await seen(fresh, ball)
    assert truth != before
    assert await seen(shop, ball) == truth
    asked = changed
    while await seen(elsewhere, ball) != truth:
        assert asked - changed < within(SOON_S)
        asked = time.monotonic()


async def test_a_buyer_sees_the_effect_of_a_purchase_at_once(shop: Shop) -> None:
    buyer, ball = await shop.person(), await shop.product(await shop.person(admin=True), stock=100)
    for left in range(99, 89, -1):
        await shop.add(buyer, ball)
        await get(shop, ball)
        await shop.checkout(buyer, key=f"order-{left}")
        assert (await get(shop, ball)).stock == left


async def test_a_worker_clears_its_cache_when_transaction_ids_may_have_restarted(settings: Settings, pool: "Pool") -> None:
    async with open_worker(settings, pool) as (worker, shop):
        ball = await shop.product(await shop.person(admin=True))
        await until(lambda: worker.parts.listener.current)  # it clears the cache when it begins
        await get(shop, ball)
        await shop.catalog.ListProducts(ListProductsRequest())
        assert worker.parts.cache.sizes == (1, 1)
        await pool.execute("SELECT pg_stat_reset_shared('bgwriter')")  # as after a crash
        await until(lambda: worker.parts.cache.sizes == (0, 0))
        assert await get(shop, ball) == ball


async def test_a_worker_that_cannot_read_the_feed_asks_the_database(shop: Shop, pool: "Pool", database: str) -> None:
    ball = await shop.product(await shop.person(admin=True), stock=10)
    for _ in range(2):
        await get(shop, ball)
    async with unheard(pool, database, "UPDATE stock_levels SET on_hand = 3"):
        assert (await get(shop, ball)).stock == 3


@pytest.mark.race
async def test_readers_never_see_stock_go_back_up_while_it_is_sold(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    ball = await shop.product(await shop.person(admin=True), stock=1_000)
    buyers = [await shop.person() for _ in range(4)]
    sold = asyncio.Event()

    async def watch(at: Shop) -> None:
        last = 1_000
        while not sold.is_set():
            stock = (await get(at, ball)).stock
            assert stock <= last
            last = stock

    async def buy(buyer: Person) -> None:
        for _ in range(race_rounds * 2):
            await shop.add(buyer, ball)
            await shop.checkout(buyer)

    async with asyncio.TaskGroup() as group:
        for at in (shop, elsewhere):
            group.create_task(watch(at))
        await asyncio.gather(*map(buy, buyers))
        sold.set()
    assert (await get(shop, ball)).stock == 1_000 - race_rounds * 2 * len(buyers)
