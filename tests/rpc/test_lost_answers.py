"""The answer to a change is lost with its connection: a stock gRPC client acts once, with the first service config or with keys."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from mercato import service_config
from mercato.v1.auth_pb2 import CreateGuestRequest
from mercato.v1.cart_pb2 import AddCartItemRequest
from mercato.v1.catalog_pb2 import CreateProductRequest, Product
from mercato.v1.money_pb2 import Money
from mercato.v1.order_pb2 import CheckoutRequest
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.worker import running
from support.patience import until
from support.shop import CALL_S, Shop

ADD, CHECKOUT = "CartService/AddCartItem", "OrderService/Checkout"
CREATE, JOIN = "CatalogService/CreateProduct", "AuthService/CreateGuest"
EFFECTS = {
    ADD: "SELECT coalesce(sum(quantity), 0)::int FROM cart_items",
    CHECKOUT: "SELECT count(*) FROM orders",
    CREATE: "SELECT count(*) FROM products WHERE name = 'Lost'",
    JOIN: "SELECT count(*) FROM accounts WHERE role = 'guest'",
}
"""How often calls of a method have changed something."""


class Loser:
    """Forwards connections to a worker; of the first one, no answer comes back, and it breaks once the change is committed."""

    def __init__(self, port: int, committed: Callable[[], Awaitable[int]]) -> None:
        self._port, self._committed = port, committed
        self.connections = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection."""
        self.connections += 1
        lossy = self.connections == 1
        answers, worker = await asyncio.open_connection("127.0.0.1", self._port)
        tasks = [asyncio.ensure_future(_copy(reader, worker)), asyncio.ensure_future(self._answer(answers, writer, lossy=lossy))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        writer.transport.abort()
        worker.transport.abort()

    async def _answer(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter, *, lossy: bool) -> None:
        if not lossy:
            await _copy(answers, writer)
            return
        writer.write(await answers.read(65_536))  # the settings of HTTP/2, without which a client sends no call
        await until(self._committed, "the change is committed")


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()


@asynccontextmanager
async def losing(settings: Settings, pool: Pool, method: str) -> AsyncIterator[tuple[Shop, Loser, str]]:
    """Run a worker behind a Loser; yield the shop on a connection of its own, the Loser and its address."""
    async with running(settings) as (_, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as direct:
        loser = Loser(port, lambda: pool.fetchval(EFFECTS[method]))
        server = await asyncio.start_server(loser.accept, "127.0.0.1", 0)
        try:
            yield Shop(direct, pool), loser, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()


@pytest.mark.parametrize(
    ("method", "keyed", "key", "effects", "succeeds"),
    [
        *(pytest.param(method, False, "", 1, False, id=f"{method}, reads only, no key") for method in (ADD, CHECKOUT, CREATE)),
        *(pytest.param(method, True, "a-key", 1, True, id=f"{method}, keyed, with a key") for method in (ADD, CHECKOUT, CREATE)),
        pytest.param(JOIN, True, "a-key", 1, False, id=f"{JOIN}, keyed, takes no key"),
        pytest.param(ADD, True, "", 2, True, id=f"{ADD}, keyed, no key: acts twice, as the docs warn"),
    ],
)
async def test_a_change_whose_answer_is_lost(
    settings: Settings,
    pool: Pool,
    method: str,
    keyed: bool,  # noqa: FBT001 - a column of the table
    key: str,
    effects: int,
    succeeds: bool,  # noqa: FBT001
) -> None:
    async with losing(settings, pool, method) as (shop, loser, address):
        admin, buyer = await shop.person(admin=True), await shop.person()
        product = await shop.product(admin)
        requests: dict[str, Message] = {
            ADD: AddCartItemRequest(product_id=product.id, quantity=1),
            CHECKOUT: CheckoutRequest(),
            CREATE: CreateProductRequest(product=Product(name="Lost", price=Money(minor_units=100))),
            JOIN: CreateGuestRequest(),
        }
        if method == CHECKOUT:
            await shop.add(buyer, product)
        metadata = (*(admin if method == CREATE else buyer).metadata, *((("idempotency-key", key),) if key else ()))
        async with grpc.aio.insecure_channel(address, options=[("grpc.service_config", service_config(keyed=keyed))]) as channel:
            call: Any = channel.unary_unary(f"/mercato.v1.{method}")
            code = await call(requests[method].SerializeToString(), metadata=metadata, timeout=CALL_S).code()
        assert code is (grpc.StatusCode.OK if succeeds else grpc.StatusCode.UNAVAILABLE)
        assert await pool.fetchval(EFFECTS[method]) == effects
        assert loser.connections == (2 if succeeds else 1)
