"""The answer to a change is lost with its connection: a stock gRPC client with the first service config sends the change once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from mercato import service_config
from mercato.v1 import cart_pb2, cart_pb2_grpc
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.worker import running
from support.patience import until
from support.shop import CALL_S, Shop

UNITS = "SELECT coalesce(sum(quantity), 0)::int FROM cart_items"


class Loser:
    """Forwards connections to a worker; of the first one, no answer comes back, and it breaks once the change is committed."""

    def __init__(self, port: int, pool: Pool) -> None:
        self._port, self._pool = port, pool
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
            return await _copy(answers, writer)
        writer.write(await answers.read(65_536))  # the settings of HTTP/2, without which a client sends no call
        return await until(lambda: self._pool.fetchval(UNITS), "the change is committed")


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()


@asynccontextmanager
async def losing(settings: Settings, pool: Pool) -> AsyncIterator[tuple[Shop, Loser, str]]:
    """Run a worker behind a Loser; yield the shop on a connection of its own, the Loser and its address."""
    async with running(settings) as (_, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as direct:
        loser = Loser(port, pool)
        server = await asyncio.start_server(loser.accept, "127.0.0.1", 0)
        try:
            yield Shop(direct, pool), loser, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()


@pytest.mark.parametrize(
    ("keyed", "key", "units", "succeeds"),
    [
        pytest.param(False, "", 1, False, id="reads only, no key"),
        pytest.param(True, "a-key", 1, True, id="keyed, with a key"),
        pytest.param(True, "", 2, True, id="keyed, no key: acts twice, as the docs warn"),
    ],
)
async def test_a_change_whose_answer_is_lost(settings: Settings, pool: Pool, keyed: bool, key: str, units: int, succeeds: bool) -> None:  # noqa: FBT001 - columns of the table
    async with losing(settings, pool) as (shop, loser, address):
        product = await shop.product(await shop.person(admin=True))
        buyer = await shop.person()
        metadata = (*buyer.metadata, *((("idempotency-key", key),) if key else ()))
        async with grpc.aio.insecure_channel(address, options=[("grpc.service_config", service_config(keyed=keyed))]) as channel:
            request = cart_pb2.AddCartItemRequest(product_id=product.id, quantity=1)
            call = cart_pb2_grpc.CartServiceStub(channel).AddCartItem(request, metadata=metadata, timeout=CALL_S)
            code = await call.code()
        assert (code is grpc.StatusCode.OK) == succeeds
        assert code in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
        assert await pool.fetchval(UNITS) == units
        assert loser.connections == (2 if succeeds else 1)
