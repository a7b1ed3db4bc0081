"""A purchase from signup to order through both Python clients, and sessions of a real shop."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from mercato.errors import CartEmpty, EmailTaken, EtagMismatch, InvalidField, OutOfStock, RefreshTokenInvalid, TokenInvalid
from mercato.sessions import FileStore, Session
from mercato.v1.catalog_pb2 import Product
from mercato.v1.user_pb2 import ROLE_USER
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.worker import running
from support.python_twins import Twin, beside
from support.shop import CALL_S, PASSWORD, Shop

ORDERS = "SELECT count(*) FROM orders"
TOKENS = "SELECT count(*) FROM refresh_tokens"
SESSIONS = "SELECT count(*) FROM sessions WHERE ended_at IS NULL"
EMAIL = "jo@example.com"


@pytest.fixture
async def target(settings: Settings) -> AsyncIterator[str]:
    async with running(settings) as (_, [port]):
        yield f"127.0.0.1:{port}"


@pytest.fixture
async def shop(target: str, pool: "Pool") -> AsyncIterator[Shop]:
    async with grpc.aio.insecure_channel(target) as channel:
        yield Shop(channel, pool)


@pytest.fixture
async def ball(shop: Shop) -> Product:
    return await shop.product(await shop.person(admin=True), name="Ball", stock=3)


@pytest.fixture
def during(twin: Twin, target: str) -> Callable[..., Any]:
    """Run a scenario with a client."""

    async def run(scenario: Callable[[Any], None], **named: Any) -> None:
        def with_client() -> None:
            with twin.open(target, timeout=CALL_S, **named) as client:
                scenario(client)

        await beside(with_client)

    return run


async def test_a_buyer_signs_up_and_buys_and_so_does_a_guest(during: Callable[..., Any], shop: Shop, ball: Product) -> None:
    def scenario(client: Any) -> None:
        assert client.auth.sign_up(email=EMAIL, password=PASSWORD, full_name="Jo").role == ROLE_USER
        with pytest.raises(EmailTaken) as taken:
            client.auth.sign_up(email=EMAIL, password=PASSWORD, full_name="Jo")
        assert taken.value.resource_type
        client.login(EMAIL, PASSWORD)
        assert client.session.email == EMAIL
        [found] = client.catalog.list_products(q="ball")
        with pytest.raises(InvalidField) as invalid:
            client.cart.add_cart_item(product_id=found.id, quantity=-1)
        assert [violation.field for violation in invalid.value.violations] == ["quantity"]
        client.cart.add_cart_item(product_id=found.id, quantity=5)
        with pytest.raises(OutOfStock) as shortage:
            client.orders.checkout()
        [line] = shortage.value.lines
        assert (line.product_id, line.wanted, line.available) == (ball.id, 5, 3)
        client.cart.set_cart_item(product_id=found.id, quantity=2)
        order = client.orders.checkout(idempotency_key="mine")
        again = client.with_response.orders.checkout(idempotency_key="mine")
        assert (again.message, again.replayed) == (order, True)
        with pytest.raises(CartEmpty):
            client.orders.checkout()
        assert [each.id for each in client.orders.list_orders()] == [order.id]

    def guest(client: Any) -> None:
        client.use(client.auth.create_guest())
        client.cart.add_cart_item(product_id=ball.id)
        client.cart.update_cart_header(contact_email=EMAIL)
        client.orders.checkout()

    await during(scenario)
    assert await shop.pool.fetchval(ORDERS) == 1
    assert await shop.stock(ball) == 1
    await during(guest)
    assert await shop.pool.fetchval(ORDERS) == 2
    assert await shop.stock(ball) == 0


async def test_lists_have_all_pages(during: Callable[..., Any], shop: Shop) -> None:
    admin = await shop.person(admin=True)
    made = {(await shop.product(admin, name=f"Ball {number}")).id for number in range(7)}

    def scenario(client: Any) -> None:
        found = [product.id for product in client.catalog.list_products(page_size=3)]
        assert len(found) == 7
        assert set(found) == made
        assert [len(page.products) for page in client.catalog.list_products(page_size=3).pages()] == [3, 3, 1]

    await during(scenario)


async def test_a_session_in_a_file_outlives_its_client(during: Callable[..., Any], shop: Shop, tmp_path: Path) -> None:
    jo, store = await shop.person(), FileStore(tmp_path / "session.json")

    def login(client: Any) -> None:
        client.login(jo.email, PASSWORD)
        assert client.users.get_me().id == jo.id

    def later(client: Any) -> None:
        assert client.users.get_me().id == jo.id
        client.logout()
        with pytest.raises(TokenInvalid):
            client.users.get_me()

    before = await shop.pool.fetchval(SESSIONS)
    await during(login, session=store)
    assert await shop.pool.fetchval(SESSIONS) == before + 1
    await during(later, session=store)
    assert await shop.pool.fetchval(SESSIONS) == before
    assert store.load() is None


async def test_a_session_is_refreshed_and_its_end_told(during: Callable[..., Any], shop: Shop) -> None:
    jo = await shop.person()

    def scenario(client: Any) -> None:
        assert client.users.get_me().id == jo.id
        assert client.session.refresh_token != jo.refresh_token

    await during(scenario, session=Session("", jo.refresh_token, 0))
    assert await shop.pool.fetchval(TOKENS) == 2
    await shop.pool.execute("UPDATE sessions SET ended_at = now(), end_reason = 'revoked'")

    def ended(client: Any) -> None:
        with pytest.raises(RefreshTokenInvalid):
            client.users.get_me()

    await during(ended, session=Session("", jo.refresh_token, 0))


async def test_an_administrator_changes_a_product_only_as_it_was_read(during: Callable[..., Any], shop: Shop, ball: Product) -> None:
    admin = await shop.person(admin=True)

    def scenario(client: Any) -> None:
        changed = client.catalog.update_product(product=Product(id=ball.id, name="Big ball"), etag=ball.etag)
        with pytest.raises(EtagMismatch) as stale:
            client.catalog.update_product(product=Product(id=ball.id, name="Small ball"), etag=ball.etag)
        assert stale.value.current_etag == changed.etag

    await during(scenario, token=admin.token)


async def test_an_administrator_sees_deleted_products_also_with_an_expired_token(
    during: Callable[..., Any], shop: Shop, ball: Product
) -> None:
    admin = await shop.person(admin=True)

    def scenario(client: Any) -> None:
        client.catalog.delete_product(product_id=ball.id)
        assert [product.id for product in client.catalog.list_products()] == []
        assert [product.id for product in client.catalog.list_products(show_deleted=True)] == [ball.id]

    def expired(client: Any) -> None:
        assert [product.id for product in client.catalog.list_products(show_deleted=True)] == [ball.id]

    await during(scenario, token=admin.token)
    await during(expired, session=Session("expired", admin.refresh_token, 0))
    assert await shop.pool.fetchval(TOKENS) == 3
