"""The Python client, as other services use it."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from mercato import Client, call_error
from mercato.v1.auth_pb2 import ListSessionsRequest
from mercato.v1.cart_pb2 import AddCartItemRequest, GetCartRequest
from mercato.v1.catalog_pb2 import ListProductsRequest
from mercato.v1.order_pb2 import CheckoutRequest
from mercato.v1.user_pb2 import GetAdminOnlyRequest, GetMeRequest
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.worker import running
from support.shop import CALL_S, PASSWORD, Shop

TOKENS = "SELECT count(*) FROM refresh_tokens"


@pytest.fixture
async def target(settings: Settings) -> AsyncIterator[str]:
    async with running(settings) as (_, [port]):
        yield f"127.0.0.1:{port}"


@pytest.fixture
async def shop(target: str, pool: "Pool") -> AsyncIterator[Shop]:
    async with grpc.aio.insecure_channel(target) as channel:
        yield Shop(channel, pool)


async def test_a_client_logs_in_shops_and_logs_out(target: str, shop: Shop) -> None:
    jo, ball = await shop.person(), await shop.product(await shop.person(admin=True))
    async with Client(target, timeout_s=CALL_S) as client:
        await client.catalog.ListProducts(ListProductsRequest())
        await client.login(jo.email, PASSWORD)
        await client.cart.AddCartItem(AddCartItemRequest(product_id=ball.id))
        assert (await client.orders.Checkout(CheckoutRequest())).lines[0].product_id == ball.id
        await client.logout()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.cart.GetCart(GetCartRequest())
        assert call_error(refused.value).reason == "TOKEN_INVALID"


async def test_calls_that_change_something_carry_a_key_of_their_own(target: str, shop: Shop) -> None:
    jo, ball = await shop.person(), await shop.product(await shop.person(admin=True))
    async with Client(target, token=jo.token) as client:
        for _ in range(2):
            await client.cart.AddCartItem(AddCartItemRequest(product_id=ball.id))
        await client.cart.AddCartItem(AddCartItemRequest(product_id=ball.id), metadata=(("idempotency-key", "mine"),))
        await client.cart.AddCartItem(AddCartItemRequest(product_id=ball.id), metadata=(("idempotency-key", "mine"),))
        assert (await client.cart.GetCart(GetCartRequest())).lines[0].quantity == 3
    assert await shop.pool.fetchval("SELECT count(*) FROM idempotency_keys") == 3


async def test_a_client_goes_on_with_a_session_and_refreshes_it_once(target: str, shop: Shop) -> None:
    jo = await shop.person()
    async with Client(target, refresh_token=jo.refresh_token) as client:
        people = await asyncio.gather(*(client.users.GetMe(GetMeRequest()) for _ in range(20)))
        assert {person.id for person in people} == {jo.id}
        assert await shop.pool.fetchval(TOKENS) == 2
        assert client.refresh_token != jo.refresh_token
        client._refresh_at = 0  # the access token is about to expire
        [session] = (await client.auth.ListSessions(ListSessionsRequest())).sessions
        assert (session.id, session.current) == (jo.session_id, True)
        assert await shop.pool.fetchval(TOKENS) == 3


async def test_a_client_whose_session_has_ended_is_told_so(target: str, shop: Shop) -> None:
    jo = await shop.person()
    await shop.pool.execute("UPDATE sessions SET ended_at = now(), end_reason = 'revoked'")
    async with Client(target, refresh_token=jo.refresh_token) as client:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.users.GetAdminOnly(GetAdminOnlyRequest())
        assert call_error(refused.value).reason == "REFRESH_TOKEN_INVALID"
