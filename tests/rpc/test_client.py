"""The Python clients against a worker, as other services use them."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from mercato import AsyncClient, Client, Session
from mercato.errors import CartEmpty, NotFound, RefreshTokenInvalid, TokenInvalid
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
    async with AsyncClient(target, timeout=CALL_S) as client:
        assert [product.id async for product in client.catalog.list_products()] == [ball.id]
        await client.login(jo.email, PASSWORD)
        await client.cart.add_cart_item(product_id=ball.id)
        assert (await client.orders.checkout()).lines[0].product_id == ball.id
        with pytest.raises(CartEmpty):
            await client.orders.checkout()
        await client.logout()
        with pytest.raises(TokenInvalid):
            await client.cart.get_cart()


async def test_a_thread_shops_with_the_other_client(target: str, shop: Shop) -> None:
    jo, ball = await shop.person(), await shop.product(await shop.person(admin=True))

    def buy() -> str:
        with Client(target, timeout=CALL_S) as client:
            assert [product.id for product in client.catalog.list_products()] == [ball.id]
            client.login(jo.email, PASSWORD)
            client.cart.add_cart_item(product_id=ball.id)
            order = client.orders.checkout()
            with pytest.raises(NotFound):
                client.catalog.get_product(product_id=jo.id)
            client.logout()
            with pytest.raises(TokenInvalid):
                client.cart.get_cart()
            return order.lines[0].product_id

    assert await asyncio.to_thread(buy) == ball.id


async def test_calls_that_change_something_carry_a_key_of_their_own(target: str, shop: Shop) -> None:
    jo, ball = await shop.person(), await shop.product(await shop.person(admin=True))
    async with AsyncClient(target, token=jo.token) as client:
        for _ in range(2):
            await client.cart.add_cart_item(product_id=ball.id)
        answers = [await client.with_response.cart.add_cart_item(product_id=ball.id, idempotency_key="mine") for _ in range(2)]
        assert [answer.replayed for answer in answers] == [False, True]
        assert (await client.cart.get_cart()).lines[0].quantity == 3
    assert await shop.pool.fetchval("SELECT count(*) FROM idempotency_keys") == 3


async def test_a_client_goes_on_with_a_session_and_refreshes_it_once(target: str, shop: Shop) -> None:
    jo = await shop.person()
    async with AsyncClient(target, session=Session("", jo.refresh_token, 0)) as client:
        people = await asyncio.gather(*(client.users.get_me() for _ in range(20)))
        assert {person.id for person in people} == {jo.id}
        assert await shop.pool.fetchval(TOKENS) == 2
        assert client.session is not None
        assert client.session.refresh_token != jo.refresh_token


async def test_a_client_whose_session_has_ended_is_told_so(target: str, shop: Shop) -> None:
    jo = await shop.person()
    await shop.pool.execute("UPDATE sessions SET ended_at = now(), end_reason = 'revoked'")
    async with AsyncClient(target, session=Session("", jo.refresh_token, 0)) as client:
        with pytest.raises(RefreshTokenInvalid):
            await client.users.get_admin_only()
