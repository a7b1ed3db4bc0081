"""A worker as a gRPC server: malformed input, limits, deadlines, health, reflection, a lost database, and its stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import asyncpg
import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from mercato.rpcs import rpcs
from mercato.v1 import auth_pb2, cart_pb2, catalog_pb2, catalog_pb2_grpc, order_pb2
from mercato_server.composition import SERVICES, StartupError
from mercato_server.config.settings import Limits, Settings
from mercato_server.database import migrations
from mercato_server.database.pool import Pool, small_pool
from mercato_server.embedded.postgres import Postgres
from mercato_server.rpc import calls
from mercato_server.rpc.reflection import REFLECTION
from mercato_server.worker import running
from support.patience import allowed, patient, until
from support.shop import CALL_S, Refusal, Shop, refusal, waiting_in_vain, worker

RPCS = rpcs()


def raw(shop: Shop, method: str) -> Any:
    return shop.channel.unary_unary(method, request_serializer=None, response_deserializer=None)


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
async def test_malformed_bytes_are_the_callers_error_and_show_nothing_of_the_server(shop: Shop, rpc: Any) -> None:
    person = await shop.person(admin=True)
    for data in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe" + b"\xff" * 100):
        error = await refusal(raw(shop, rpc.path)(data, metadata=person.metadata))
        assert (error.code, error.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert "Traceback" not in error.message


async def test_an_unknown_method_is_unimplemented(shop: Shop) -> None:
    for method in ("/mercato.v1.CartService/Steal", "/mercato.v1.NoService/Get"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw(shop, method)(b"")
        assert caught.value.code() is StatusCode.UNIMPLEMENTED


async def test_a_request_that_is_too_large_is_refused(shop: Shop) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await shop.auth.SignUp(auth_pb2.SignUpRequest(email="a" * 70_000))
    assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED


async def test_a_bug_leaves_as_internal_with_the_request_id_and_nothing_else(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mercato_server.store.catalog.GET_PRODUCT", "SELECT 1 / 0 AS id, $1::uuid")
    request = catalog_pb2.GetProductRequest(product_id="0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57")
    error = await refusal(shop.catalog.GetProduct(request, metadata=(("x-request-id", "req-1"),)))
    assert (error.code, error.reason, error.message) == (StatusCode.INTERNAL, "INTERNAL", "internal error")
    assert error.metadata == {"request_id": "req-1"}


UNFIT = (
    "(pg_typeof($1::uuid)::text || 'x')::integer",  # 22P02
    "(length($1::uuid::text) + 2147483647)",  # 22003
    "(SELECT string_agg(n::text, ' ')::tsvector FROM generate_series(length($1::uuid::text), 300000) AS n)",  # 54000
    "(repeat('(', 100000 + length($1::uuid::text))::tsquery)",  # 54001
)


async def test_a_value_that_the_database_refuses_is_the_callers_error(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    request = catalog_pb2.GetProductRequest(product_id="0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57")
    for value in UNFIT:
        monkeypatch.setattr("mercato_server.store.catalog.GET_PRODUCT", f"SELECT {value} AS id")
        error = await refusal(shop.catalog.GetProduct(request))
        assert (error.code, error.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"), value
        assert error.message == "the request has a value that the database cannot take"


async def hold_stock(database: str) -> "asyncpg.Connection[asyncpg.Record]":
    """Lock every product and its stock in another client's transaction."""
    connection = await asyncpg.connect(database)
    await connection.execute("BEGIN")
    await connection.execute("SELECT FROM products JOIN stock_levels ON product_id = id FOR UPDATE")
    return connection


async def waiting_for_locks(conn: "asyncpg.Connection[asyncpg.Record]") -> int:
    return int(await conn.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


@asynccontextmanager
async def adjusting(shop: Shop, database: str, timeout_s: float) -> AsyncIterator[tuple[catalog_pb2.Product, asyncio.Task[Any]]]:
    """Yield a product with 10 units, and a call that adds one once the block ends, and waits for the lock of the stock until then."""
    admin = await shop.person(admin=True)
    ball = await shop.product(admin)
    blocker = await hold_stock(database)
    request = catalog_pb2.AdjustStockRequest(product_id=ball.id, delta=1)
    slow = asyncio.ensure_future(shop.catalog.AdjustStock(request, metadata=admin.metadata, timeout=timeout_s))
    await until(lambda: waiting_for_locks(blocker))
    yield ball, slow
    await blocker.close()


async def test_a_lock_that_is_not_to_be_had_before_the_deadline_is_a_conflict_and_leaves_nothing_behind(shop: Shop, database: str) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    await shop.add(buyer, await shop.product(admin))
    blocker = await hold_stock(database)
    request = order_pb2.CheckoutRequest()
    error = await waiting_in_vain(lambda timeout_s: shop.orders.Checkout(request, metadata=buyer.metadata, timeout=timeout_s), allowed(0.5))
    assert (error.code, error.reason) == (StatusCode.ABORTED, "CONFLICT")
    assert error.detail(RetryInfo).retry_delay.nanos == 100_000_000
    assert await waiting_for_locks(blocker) == 0
    await blocker.close()
    assert (await shop.checkout(buyer)).id
    assert await shop.pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_a_caller_with_a_longer_deadline_gets_the_conflict_too(settings: Settings, pool: "Pool") -> None:
    async with worker(replace(settings, limits=Limits(statement_timeout_s=allowed(0.2))), pool) as shop:
        admin = await shop.person(admin=True)
        ball = await shop.product(admin)
        blocker = await hold_stock(settings.database_url)
        request = catalog_pb2.AdjustStockRequest(product_id=ball.id, delta=1)
        error = await waiting_in_vain(
            lambda timeout_s: shop.catalog.AdjustStock(request, metadata=admin.metadata, timeout=timeout_s), allowed(0.5)
        )
        assert (error.code, error.reason) == (StatusCode.ABORTED, "CONFLICT")
        await blocker.close()


SLOW = "SELECT $1::uuid AS id FROM pg_sleep(30)"
ANY_PRODUCT = catalog_pb2.GetProductRequest(product_id="0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57")
SOME_PRODUCTS = catalog_pb2.BatchGetProductsRequest(ids=[ANY_PRODUCT.product_id, "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b58"])
ASLEEP = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"


ENDLESS = "SELECT id FROM pg_sleep(86400), unnest($1::uuid[]) AS id"


@pytest.mark.parametrize("statement", ["carts.GET_CARTS", "catalog.GET_PRODUCTS", "sessions.GET_ROLES"])
async def test_a_call_ends_at_its_deadline_and_so_does_its_statement(
    settings: Settings, pool: "Pool", monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    async with worker(replace(settings, limits=Limits(statement_timeout_s=86_400)), pool) as shop:
        buyer = await shop.person()
        monkeypatch.setattr(f"mercato_server.store.{statement}", ENDLESS)
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await (
                    shop.catalog.BatchGetProducts(SOME_PRODUCTS, timeout=0.3)
                    if statement == "catalog.GET_PRODUCTS"
                    else shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=buyer.metadata, timeout=0.3)
                )
            assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED
        await until(partial(pool.fetchval, ASLEEP))


async def served(settings: Settings, call: Any) -> Refusal:
    """Run a worker with other settings, and make a call that must fail; return its error."""
    async with (
        running(settings) as (_, [port]),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        small_pool(settings.database_url) as pool,
    ):
        return await refusal(call(Shop(channel, pool)))


async def test_a_call_without_a_deadline_gets_the_servers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mercato_server.store.catalog.GET_PRODUCT", SLOW)
    quick = replace(settings, limits=Limits(timeout_s=0.2))
    error = await served(quick, lambda other: other.catalog.GetProduct(ANY_PRODUCT))
    assert (error.code, error.reason) == (StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


async def test_calls_above_the_limit_are_shed(settings: Settings) -> None:
    none = replace(settings, limits=Limits(concurrent_calls=0))
    error = await served(none, lambda shop: shop.catalog.ListProducts(catalog_pb2.ListProductsRequest()))
    assert (error.code, error.reason) == (StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert error.trailers["retry-after"] == "1"


async def test_a_lost_database_is_unavailable_and_found_again(settings: Settings, own_postgres: Postgres) -> None:
    request = catalog_pb2.ListCategoriesRequest()  # a read that workers do not cache
    await migrations.migrate(own_postgres.url())
    settings = replace(settings, database_url=own_postgres.url())
    async with running(settings) as (_, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        catalog = catalog_pb2_grpc.CatalogServiceStub(channel)
        assert not (await catalog.ListCategories(request)).categories
        await own_postgres.stop()
        error = await refusal(catalog.ListCategories(request))
        assert (error.code, error.reason) == (StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
        await own_postgres.start()
        assert not (await catalog.ListCategories(request)).categories


async def test_every_service_is_healthy(shop: Shop) -> None:
    health = health_pb2_grpc.HealthStub(shop.channel)
    for service in ("", *(service.full_name for service in SERVICES)):
        assert (await health.Check(health_pb2.HealthCheckRequest(service=service))).status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("name", REFLECTION)
async def test_reflection_answers_under_both_names(shop: Shop, name: str) -> None:
    call = shop.channel.stream_stream(
        f"/{name}/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    [answer] = [message async for message in call]
    listed = {service.name for service in answer.list_services_response.service}
    assert {service.full_name for service in SERVICES} <= listed


async def test_a_worker_that_stops_says_so_first_and_lets_calls_end(settings: Settings, database: str) -> None:
    longest_s, stop_now = patient(), asyncio.Event()  # of the call that waits for a lock meanwhile
    limits = replace(settings.limits, timeout_max_s=longest_s)
    settings = replace(settings, drain_s=allowed(0.5), grace_s=patient(), limits=limits)
    async with small_pool(database) as pool:
        async with running(settings, stop_now) as (worker, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            shop = Shop(channel, pool)
            async with adjusting(shop, database, longest_s) as (ball, slow):
                stopping = asyncio.ensure_future(worker.stop())
                health = health_pb2_grpc.HealthStub(channel)
                async with asyncio.timeout(patient()):
                    while (await health.Check(health_pb2.HealthCheckRequest())).status != health_pb2.HealthCheckResponse.NOT_SERVING:
                        await asyncio.sleep(0)
                alive = await health.Check(health_pb2.HealthCheckRequest(service="liveness"))
                assert alive.status == health_pb2.HealthCheckResponse.SERVING
                assert await shop.stock(ball) == 10
                await until(lambda: turned_away(shop, ball))
            assert (await slow).stock == 11
            await stopping
            stop_now.set()  # the second stop may be shorter
        await until(partial(pool.fetchval, GONE))


async def test_a_worker_that_stops_serves_an_edge_that_notices_it_late(settings: Settings) -> None:
    drain_s, told = allowed(0.5), asyncio.Event()
    slow_edge = replace(settings, drain_s=drain_s, grace_s=patient())
    async with running(slow_edge) as (worker, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        catalog, health = catalog_pb2_grpc.CatalogServiceStub(channel), health_pb2_grpc.HealthStub(channel)

        async def call_until_told() -> None:
            while not told.is_set():
                await catalog.ListCategories(catalog_pb2.ListCategoriesRequest(), timeout=CALL_S)

        async with asyncio.TaskGroup() as callers:
            for _ in range(8):
                callers.create_task(call_until_told())
            stopping = asyncio.ensure_future(worker.stop())
            async with asyncio.timeout(patient()):
                while (await health.Check(health_pb2.HealthCheckRequest())).status != health_pb2.HealthCheckResponse.NOT_SERVING:
                    await asyncio.sleep(0)
            await asyncio.sleep(1.2 * drain_s)  # longer than a worker's drain
            assert not stopping.done()
            told.set()
        await asyncio.wait_for(stopping, patient())


async def test_a_worker_that_stops_goes_on_serving_while_its_callers_wait_for_answers(
    settings: Settings, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "QUIET_POLL_S", 0)
    stopping = replace(settings, grace_s=patient())
    async with (
        running(stopping) as (worker, [port]),
        small_pool(database) as pool,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        async with adjusting(Shop(channel, pool), database, CALL_S) as (_, slow):
            quiet = asyncio.ensure_future(worker.parts.arrivals.until_quiet(worker.parts.calls))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not quiet.done()
        assert (await slow).stock == 11
        await asyncio.wait_for(quiet, patient())


GONE = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'mercato'"


async def turned_away(shop: Shop, ball: catalog_pb2.Product) -> bool:
    """Return whether new calls find no server any more."""
    try:
        await shop.stock(ball)
    except grpc.aio.AioRpcError as error:
        return error.code() is StatusCode.UNAVAILABLE
    return False


async def test_a_worker_that_drains_stops_at_once_when_interrupted(settings: Settings) -> None:
    stop_now = asyncio.Event()
    async with running(replace(settings, drain_s=3600, grace_s=60), stop_now) as (worker, _):
        stopping = asyncio.ensure_future(worker.stop())
        done, _ = await asyncio.wait([stopping], timeout=0.1)
        assert not done
        stop_now.set()
        await asyncio.wait_for(stopping, patient())


class SlowEdge:
    """Settings whose wait for the edge takes no time, and whose wait for late calls takes an hour."""

    def __init__(self, settings: Settings) -> None:
        self._drains_s = iter([0.0, 3600.0])
        self.grace_s = settings.grace_s
        self.interrupt_grace_s = settings.interrupt_grace_s

    @property
    def drain_s(self) -> float:
        return next(self._drains_s)


async def test_a_worker_that_waits_for_late_calls_stops_at_once_when_interrupted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_now, waits = asyncio.Event(), asyncio.Event()

    async def never_quiet(_calls: object) -> None:
        waits.set()
        await asyncio.Event().wait()

    async with running(settings, stop_now) as (worker, _):
        with monkeypatch.context() as patched:
            patched.setattr(worker, "settings", SlowEdge(settings))
            patched.setattr(worker.parts.arrivals, "until_quiet", never_quiet)
            stopping = asyncio.ensure_future(worker.stop())
            await asyncio.wait_for(waits.wait(), patient())
            stop_now.set()
            await asyncio.wait_for(stopping, patient())


async def test_a_second_worker_on_one_address_fails_loudly(settings: Settings) -> None:
    async with running(settings) as (_, [port]):
        with pytest.raises(StartupError, match="cannot listen"):
            async with running(replace(settings, listen=(f"127.0.0.1:{port}",))):
                pass
