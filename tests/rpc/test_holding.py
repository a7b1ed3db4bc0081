"""A worker bounds what one client address holds, and no caller that does not come through the edge."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from mercato import call_error
from mercato.v1 import catalog_pb2
from mercato_server.config.holding import Holding
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from support.patience import patient, until
from support.shop import Shop, refusal, worker

ONE, OTHER, ONES_NEIGHBOUR = "2001:db8:1:1::1", "192.0.2.1", "2001:db8:1:1::2"
MOST = 3
SLOW = "SELECT $1::uuid[] AS id FROM pg_sleep(86400)"
BATCH = catalog_pb2.BatchGetProductsRequest(ids=["0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57", "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b58"])
QUESTION = reflection_pb2.ServerReflectionRequest(list_services="")


def at(address: str) -> Any:
    """Return the metadata by which the edge reports a client's address."""
    return (("x-client-address", address),)


@pytest.fixture
async def small(settings: Settings, pool: "Pool") -> AsyncIterator[Shop]:
    """A worker that lets a client hold little."""
    holding = Holding(calls_per_client=MOST, streams_per_client=MOST, reflection_requests=MOST)
    async with worker(replace(settings, holding=holding), pool) as shop:
        yield shop


@asynccontextmanager
async def held(calls: list[Any]) -> AsyncIterator[None]:
    """Cancel calls after a block."""
    try:
        yield
    finally:
        for call in calls:
            call.cancel()


async def test_calls_of_one_address_above_its_share_are_refused_and_others_are_served(
    small: Shop, pool: "Pool", monkeypatch: pytest.MonkeyPatch
) -> None:
    categories = partial(small.catalog.ListCategories, catalog_pb2.ListCategoriesRequest())
    with monkeypatch.context() as slow:
        slow.setattr("mercato_server.store.catalog.GET_PRODUCTS", SLOW)
        calls: list[Any] = []

        async def has_no_place_left() -> bool:
            calls.append(small.catalog.BatchGetProducts(BATCH, metadata=at(ONE), timeout=patient()))
            return await is_refused(categories, ONE)

        async with held(calls):
            await until(has_no_place_left)
            error = await refusal(categories(metadata=at(ONES_NEIGHBOUR)))
            assert (error.code, error.reason, error.metadata) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", {"most": str(MOST)})
            assert error.detail(RetryInfo).retry_delay.seconds == 1
            await categories(metadata=at(OTHER))
            for call in [categories() for _ in range(2 * MOST)]:
                await call
    await until(lambda: categories(metadata=at(ONE)), despite=grpc.aio.AioRpcError)


async def is_refused(call: Any, address: str) -> bool:
    try:
        await call(metadata=at(address))
    except grpc.aio.AioRpcError as error:
        return call_error(error).reason == "TOO_MANY_CALLS"
    return False


async def test_health_watches_of_one_address_are_bounded_and_end_free_their_places(small: Shop) -> None:
    health = health_pb2_grpc.HealthStub(small.channel)
    watch = partial(health.Watch, health_pb2.HealthCheckRequest())
    watches = [watch(metadata=at(ONE)) for _ in range(MOST)]
    async with held(watches):
        assert {(await call.read()).status for call in watches} == {health_pb2.HealthCheckResponse.SERVING}
        error = await refusal(watch(metadata=at(ONES_NEIGHBOUR)).read())
        assert (error.code, error.reason) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
        free = [watch(metadata=at(OTHER)), *(watch() for _ in range(2 * MOST))]
        async with held(free):
            assert {(await call.read()).status for call in free} == {health_pb2.HealthCheckResponse.SERVING}

    async def again() -> Any:
        call = watch(metadata=at(ONE))
        async with held([call]):
            return await call.read()

    await until(again, despite=grpc.aio.AioRpcError)


def describe(shop: Shop) -> Any:
    """Return the RPC of reflection. A call that the server refuses must not write: gRPC may report the failed write instead."""
    return shop.channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )


async def test_reflection_of_one_address_is_bounded_in_streams_and_requests(small: Shop) -> None:
    streams = [describe(small)(metadata=at(ONE)) for _ in range(MOST)]
    async with held(streams):
        for stream in streams:
            await stream.write(QUESTION)
            assert (await stream.read()).list_services_response.service
        error = await refusal(describe(small)(metadata=at(ONE)).read())
        assert (error.code, error.reason) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
        stream = describe(small)(metadata=at(OTHER))
        for _ in range(MOST):
            await stream.write(QUESTION)
            assert (await stream.read()).list_services_response.service
        await stream.write(QUESTION)
        error = await refusal(stream.read())
        assert (error.code, error.reason) == (StatusCode.RESOURCE_EXHAUSTED, "STREAM_TOO_LONG")


async def test_reflection_can_be_turned_off(settings: Settings, pool: "Pool") -> None:
    async with worker(replace(settings, holding=Holding(reflection=False)), pool) as shop:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await describe(shop)().read()
        assert caught.value.code() is StatusCode.UNIMPLEMENTED
        assert (await shop.catalog.ListProducts(catalog_pb2.ListProductsRequest())).products == []


async def test_requests_for_reflection_pass_at_a_bounded_rate_in_turn(settings: Settings, pool: "Pool") -> None:
    async with worker(replace(settings, holding=Holding(reflection_requests_per_s=20)), pool) as shop:
        began = asyncio.get_running_loop().time()
        for _ in range(5):
            async for answer in describe(shop)(iter([QUESTION])):
                assert answer.list_services_response.service
        assert asyncio.get_running_loop().time() - began >= 4 / 20
