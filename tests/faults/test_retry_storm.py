"""The database is down under stock gRPC clients with the published service configs: the attempts that reach workers are bounded."""

import asyncio
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import grpc

from faults.buyers import Goods, Tally, dice
from faults.conftest import Conclude, Scale
from faults.processes import HOST, Edge, Worker, kill_at_once, open_channel, running
from mercato import service_config
from mercato.v1.auth_pb2 import CreateGuestRequest
from mercato.v1.cart_pb2 import AddCartItemRequest, GetCartRequest
from mercato_server.embedded.postgres import Postgres
from support.patience import patient, until

READ, KEYED, UNKEYED = "CartService/GetCart", "CartService/AddCartItem", "AuthService/CreateGuest"
SENT_MAX = 5
"""Attempts of a client's gRPC for a call that its service config repeats."""
EDGE_MAX = 3
"""Attempts of the edge for each read that it gets."""
FAILURES_MAX = 50
"""Failures after which a channel repeats no call; ten successes make up for one of them."""
THINK_S = (0.1, 0.3)

UNITS = "SELECT coalesce(sum(quantity), 0)::int FROM cart_items"


class Counting(grpc.GenericRpcHandler):
    """Forwards the edge's attempts to a worker; counts them by the id of the caller's call, and by the edge's id of what it got."""

    def __init__(self, worker: grpc.aio.Channel) -> None:
        self._worker = worker
        self.address = ""
        self.attempts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        method: Any = self._worker.unary_unary(handler_call_details.method)

        async def forward(request: bytes, context: Any) -> bytes:
            metadata = context.invocation_metadata()
            sent = dict(metadata)
            self.attempts[sent.get("x-call", "")][sent.get("x-request-id", "")] += 1
            try:
                return bytes(await method(request, metadata=metadata, timeout=context.time_remaining()))
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details(), tuple(error.trailing_metadata()))
                raise

        return grpc.unary_unary_rpc_method_handler(forward)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Counting"]:
        """Serve for a block."""
        server = grpc.aio.server()
        server.add_generic_rpc_handlers([self])
        self.address = f"{HOST}:{server.add_insecure_port(f'{HOST}:0')}"
        await server.start()
        yield self
        await server.stop(None)


class Call(NamedTuple):
    """A call that has ended."""

    id: str
    method: str
    succeeded: bool


class Channel:
    """A channel with one of the service configs, and the calls of its callers."""

    def __init__(self, target: str, goods: Goods, *, keyed: bool) -> None:
        self.keyed = keyed
        self.calls: list[Call] = []
        self._goods = goods
        self.channel = grpc.aio.insecure_channel(target, [("grpc.service_config", service_config(keyed=keyed))])

    async def call(self, method: str) -> bool:
        """Make a call with a key; return whether it succeeded."""
        requests = {
            READ: GetCartRequest(),
            KEYED: AddCartItemRequest(product_id=str(self._goods.product_ids[0]), quantity=1),
            UNKEYED: CreateGuestRequest(),
        }
        key = uuid.uuid4().hex
        made: Any = self.channel.unary_unary(f"/mercato.v1.{method}")
        metadata = (*dice.choice(self._goods.buyers).metadata(key), ("x-call", key))
        code = await made(requests[method].SerializeToString(), metadata=metadata, timeout=patient()).code()
        self.calls.append(Call(key, method, code is grpc.StatusCode.OK))
        return self.calls[-1].succeeded

    async def insist(self, method: str, closing: asyncio.Event) -> None:
        """Make one call after the other."""
        while not closing.is_set():
            await self.call(method)
            await asyncio.sleep(dice.uniform(*THINK_S))

    def repeats(self, counting: Counting) -> int:
        """Return how often gRPC sent one of its calls again."""
        return sum(len(counting.attempts[call.id]) - 1 for call in self.calls)


def attempts_per_call(counting: Counting, channels: Iterable[Channel]) -> dict[str, int]:
    """Return for each method the most attempts of a call that reached the worker."""
    most = Counter[str]()
    for call in (call for channel in channels for call in channel.calls):
        most[call.method] = max(most[call.method], counting.attempts[call.id].total())
    return dict(most)


async def test_stock_clients_of_a_shop_without_its_database_send_few_attempts(
    directory: Path, durable_postgres: Postgres, durable_goods: Goods, scale: Scale, conclude: Conclude
) -> None:
    worker = Worker(directory, durable_goods.database_url)
    channels_each, callers, outage_s, closing = scale(1, 8), scale(12, 24), scale(3, 10), asyncio.Event()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(worker))
        counting = Counting(await stack.enter_async_context(open_channel(worker.address)))
        edge = Edge(directory, [await stack.enter_async_context(counting.serving())], 0.2)
        await stack.enter_async_context(edge)
        channels = [Channel(edge.address, durable_goods, keyed=keyed) for keyed in (False, True) for _ in range(channels_each)]
        await kill_at_once(durable_postgres)
        async with asyncio.TaskGroup() as group:
            for channel in channels:
                for number in range(callers):
                    group.create_task(channel.insist((READ, KEYED, UNKEYED)[number % 3], closing))
            await asyncio.sleep(outage_s)
            await durable_postgres.start()
            closing.set()
        for channel in channels:
            await until(partial(channel.call, READ), "a channel that repeated too much serves again")
            await channel.channel.close()
        connection = await asyncpg.connect(durable_goods.database_url)
        units = await connection.fetchval(UNITS)
        await connection.close()
    worker.require_no_bugs_logged()
    calls = [call for channel in channels for call in channel.calls]
    repeats = [channel.repeats(counting) for channel in channels]
    reads_only, with_keys = [attempts_per_call(counting, [each for each in channels if each.keyed is keyed]) for keyed in (False, True)]
    counts = {
        "seconds without database": outage_s,
        "channels": len(channels),
        "calls": len(calls),
        "attempts": sum(counting.attempts[call.id].total() for call in calls),
        "attempts repeated by clients": sum(repeats),
        "attempts of a read": max(reads_only[READ], with_keys[READ]),
        "of a keyed change": with_keys[KEYED],
    }
    await conclude("database down under stock clients", durable_goods, Tally(), **counts)
    assert max(reads_only[READ], with_keys[READ]) in range(EDGE_MAX + 1, SENT_MAX * EDGE_MAX + 1)
    assert with_keys[KEYED] in range(2, SENT_MAX + 1)
    assert [reads_only[KEYED], reads_only[UNKEYED], with_keys[UNKEYED]] == [1, 1, 1]
    assert max(repeats) <= FAILURES_MAX + sum(call.succeeded for call in calls) / 10
    added = [call.succeeded for call in calls if call.method == KEYED]
    assert sum(added) <= units <= len(added)
