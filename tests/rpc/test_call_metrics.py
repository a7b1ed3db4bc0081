"""The metrics of calls: how many ended how, how long they took, which were answered from memory, and the statements for them."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from grpc import StatusCode

from mercato.v1.cart_pb2 import ClearCartRequest
from mercato.v1.catalog_pb2 import GetProductRequest, ListProductsRequest
from mercato.v1.order_pb2 import GetOrderRequest
from mercato.v1.user_pb2 import GetMeRequest
from mercato_server.config.holding import Holding
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.rpc.call_counts import BOUNDS_S, Histogram
from mercato_server.worker import Worker
from support.patience import patient, until
from support.scrape import Samples, scrape
from support.shop import Shop, open_worker, refusal

TIME = "mercato_rpc_duration_seconds"
GET_ME, CLEAR_CART = "/mercato.v1.UserService/GetMe", "/mercato.v1.CartService/ClearCart"
GET_PRODUCT, LIST_PRODUCTS = "/mercato.v1.CatalogService/GetProduct", "/mercato.v1.CatalogService/ListProducts"
GET_ORDER = "/mercato.v1.OrderService/GetOrder"


@pytest.fixture
def settings(settings: Settings, port: int) -> Settings:
    """Settings of a worker that serves metrics."""
    return replace(settings, metrics_listen=("127.0.0.1", port))


@pytest.fixture
async def served(settings: Settings, pool: "Pool") -> AsyncIterator[tuple[Worker, Shop]]:
    async with open_worker(settings, pool) as worker_and_shop:
        yield worker_and_shop


async def samples(port: int) -> Samples:
    return await asyncio.to_thread(scrape, port)


async def test_calls_are_counted_by_method_and_code_with_their_time(served: tuple[Worker, Shop], port: int) -> None:
    _, shop = served
    jo = await shop.person()
    assert f"{TIME}_count OK {GET_ME}" not in await samples(port)
    began = time.perf_counter()
    for _ in range(3):
        await shop.users.GetMe(GetMeRequest(), metadata=jo.metadata)
        await refusal(shop.orders.GetOrder(GetOrderRequest(order_id="x"), metadata=jo.metadata))
    await refusal(shop.users.GetMe(GetMeRequest()))
    took_s = time.perf_counter() - began
    found = await samples(port)
    counts = {name.removeprefix(f"{TIME}_count "): value for name, value in found.items() if name.startswith(f"{TIME}_count ")}
    assert counts == {f"OK {GET_ME}": 3, f"INVALID_ARGUMENT {GET_ORDER}": 3, f"UNAUTHENTICATED {GET_ME}": 1}
    sums = [found[f"{TIME}_sum {labels}"] for labels in counts]
    assert min(sums) > 0
    assert sum(sums) < took_s
    buckets = [value for name, value in found.items() if name.startswith(f"{TIME}_bucket OK ") and name.endswith(GET_ME)]
    assert (len(buckets), buckets[-1]) == (len(BOUNDS_S) + 1, 3)
    assert buckets == sorted(buckets)


async def test_answers_from_memory_are_in_the_histogram_and_counted_apart(served: tuple[Worker, Shop], port: int) -> None:
    _, shop = served
    product = await shop.product(await shop.person(admin=True))
    request = GetProductRequest(product_id=product.id)
    made = 0

    async def from_memory() -> bool:
        nonlocal made
        for _ in range(5):
            await shop.catalog.GetProduct(request)
        made += 5
        return (await samples(port)).get(f"mercato_rpc_cached_calls_total {GET_PRODUCT}", 0) >= 5

    await until(from_memory)
    found = await samples(port)
    assert found[f"{TIME}_count OK {GET_PRODUCT}"] == made
    assert found[f"mercato_rpc_cached_calls_total {GET_PRODUCT}"] <= found["mercato_catalog_cache_hits_total product"]


async def test_calls_that_are_shed_are_counted_by_reason(settings: Settings, pool: "Pool", port: int) -> None:
    async with open_worker(replace(settings, holding=Holding(calls_per_client=0)), pool) as (_, shop):
        metadata = (("x-client-address", "192.0.2.1"),)
        assert (await samples(port))["mercato_rpc_shed_calls_total TOO_MANY_CALLS"] == 0, "the first increase must be seen too"
        for _ in range(3):
            assert (await refusal(shop.users.GetMe(GetMeRequest(), metadata=metadata))).reason == "TOO_MANY_CALLS"
        found = await samples(port)
    assert found["mercato_rpc_shed_calls_total TOO_MANY_CALLS"] == 3
    assert found[f"{TIME}_count RESOURCE_EXHAUSTED {GET_ME}"] == 3
    assert found["mercato_rpc_in_flight"] == 0


async def test_calls_in_flight_are_shown_while_they_run(served: tuple[Worker, Shop], pool: "Pool", port: int) -> None:
    _, shop = served
    jo = await shop.person()

    async def shown(count: int) -> bool:
        return (await samples(port))["mercato_rpc_in_flight"] == count

    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("LOCK TABLE carts IN ACCESS EXCLUSIVE MODE")
        calls = [asyncio.ensure_future(shop.carts.ClearCart(ClearCartRequest(), metadata=jo.metadata)) for _ in range(2)]
        await until(lambda: shown(2))
    await asyncio.gather(*calls)
    await until(lambda: shown(0))
    assert (await samples(port))[f"{TIME}_count OK {CLEAR_CART}"] == 2


async def test_statements_of_calls_and_of_background_work_are_counted_apart(served: tuple[Worker, Shop], port: int) -> None:
    worker, shop = served
    jo = await shop.person()
    await shop.users.GetMe(GetMeRequest(), metadata=jo.metadata)
    before = await samples(port)
    await worker.parts.pool.execute("SELECT 1")
    for _ in range(4):
        await shop.users.GetMe(GetMeRequest(), metadata=jo.metadata)
    after = await samples(port)

    def grown(name: str) -> float:
        return after[name] - before[name]

    assert grown("mercato_database_statements_total calls") >= 4
    assert grown("mercato_database_statement_seconds_total calls") > 0
    assert grown("mercato_database_statements_total background") >= 1


@pytest.mark.parametrize(("took_s", "bucket"), [(0.0, 0), (0.0005, 0), (0.00051, 1), (1.0, 10), (10.0, 13), (10.1, 14), (1e9, 14)])
def test_a_duration_is_in_the_bucket_of_the_least_bound_that_it_does_not_exceed(took_s: float, bucket: int) -> None:
    histogram = Histogram()
    histogram.add(took_s)
    assert (histogram.counts.index(1), sum(histogram.counts), histogram.total_s) == (bucket, 1, took_s)


async def test_a_call_that_a_hanging_database_keeps_beyond_its_deadline_is_no_cancelled_one(settings: Settings, pool: "Pool") -> None:
    async with open_worker(replace(settings, pool_size=1), pool) as (worker, shop):
        await worker.parts.supervisor.stop()  # so the call itself has the connection
        durations = worker.parts.calls.counts.durations

        async def late() -> bool:
            backend = await worker.parts.pool.fetchval("SELECT pg_backend_pid()")
            os.kill(backend, signal.SIGSTOP)
            try:
                error = await refusal(shop.catalog.ListProducts(ListProductsRequest(skip=3), timeout=0.3))
                await until(lambda: worker.parts.calls.idle)
            finally:
                os.kill(backend, signal.SIGCONT)
            assert error.code is StatusCode.DEADLINE_EXCEEDED
            return (LIST_PRODUCTS, "DEADLINE_EXCEEDED") in durations

        await until(late)  # on a busy machine the client may leave before the worker's own clock is at the deadline
        before = cancelled(durations)
        async with shop.pool.acquire() as conn, conn.transaction():
            await conn.execute("LOCK TABLE products IN ACCESS EXCLUSIVE MODE")
            left = asyncio.ensure_future(shop.catalog.ListProducts(ListProductsRequest(skip=3), timeout=patient()))
            await until(lambda: worker.parts.calls.in_flight == 1)
            left.cancel()
            await until(lambda: worker.parts.calls.idle)
    assert cancelled(durations) == before + 1


def cancelled(durations: dict[tuple[str, str], Histogram]) -> int:
    found = durations.get((LIST_PRODUCTS, "CANCELLED"))
    return sum(found.counts) if found else 0
